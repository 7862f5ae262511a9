"""What the front door knows, in SQLite: documents by their kind and name, written by one thread at a time."""

import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""


class Store:
    """Documents that survive the process: what was put is on the disk when `put` returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(folder / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(SCHEMA)

    def put(self, kind: str, name: str, document: Mapping[str, Any]) -> None:
        """Keeps a document in place of the one of that name."""
        text = json.dumps(document)
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, name, text))

    def change(self, kind: str, name: str, **members: Any) -> dict[str, Any]:
        """The document with some members in place of its own; KeyError without one of that name."""
        with self._lock:
            document = self.get(kind, name)
            if document is None:
                raise KeyError(name)
            document |= members
            self.put(kind, name, document)
            return document

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The document of that name, or None."""
        with self._lock:
            row = self._database.execute(
                "SELECT document FROM documents WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The documents of a kind by their names, in the order of these."""
        with self._lock:
            rows = self._database.execute(
                "SELECT name, document FROM documents WHERE kind = ? ORDER BY name", (kind,)
            ).fetchall()
        return {name: json.loads(text) for name, text in rows}

    def drop(self, kind: str, name: str) -> None:
        """Forgets a document, if it is there."""
        with self._lock:
            self._database.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def close(self) -> None:
        """Ends the writing."""
        with self._lock:
            self._database.close()
