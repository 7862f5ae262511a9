"""What the page reads of the store: over a connection of its own, so that no reader keeps a writer waiting."""

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_mode.front_door.resources import Document

PAGE_JOBS = 20
"""Jobs in one list of the page."""
MOST_REMEMBERED = 256
NEWEST = """
SELECT document FROM documents WHERE kind = ?
ORDER BY json_extract(document, '$.CreationTime') DESC, name LIMIT ? OFFSET ?
"""


@dataclass(frozen=True)
class Listing:
    """One page of the documents of a kind, newest first; number: of the page, from 1; of: how many pages there are."""

    documents: Sequence[Document]
    number: int
    of: int
    total: int


class Reader:
    """Reads state.sqlite; what was read is remembered until somebody writes."""

    def __init__(self, folder: Path) -> None:
        uri = f"{(folder / 'state.sqlite').resolve().as_uri()}?mode=ro"
        self._lock = threading.Lock()
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        self._version, self._remembered = -1, dict[tuple[Any, ...], list[Any]]()

    def newest(self, kind: str, number: int) -> Listing:
        """A page of the documents of a kind; the last one where there are fewer."""
        total: int = self._rows("SELECT count(*) FROM documents WHERE kind = ?", kind)[0]
        of = max(1, -(-total // PAGE_JOBS))
        number = min(max(1, number), of)
        texts = self._rows(NEWEST, kind, PAGE_JOBS, (number - 1) * PAGE_JOBS)
        return Listing([json.loads(text) for text in texts], number, of, total)

    def all(self, kind: str) -> list[Document]:
        """The documents of a kind, by their names."""
        texts = self._rows("SELECT document FROM documents WHERE kind = ? ORDER BY name", kind)
        return [json.loads(text) for text in texts]

    def get(self, kind: str, name: str) -> Document | None:
        """The document of that name, or None."""
        texts = self._rows("SELECT document FROM documents WHERE kind = ? AND name = ?", kind, name)
        return json.loads(texts[0]) if texts else None

    def named(self, kind: str, names: Sequence[str]) -> list[Document]:
        """The documents of these names, by their names, but for those that there are not."""
        query = (
            "SELECT document FROM documents WHERE kind = ? AND name IN (SELECT value FROM json_each(?)) ORDER BY name"
        )
        return [json.loads(text) for text in self._rows(query, kind, json.dumps(list(names)))]

    def count(self, query: str, *parameters: Any) -> int:
        """The number that a query finds."""
        return int(self._rows(query, *parameters)[0])

    def close(self) -> None:
        """Ends the reading."""
        with self._lock:
            self._database.close()

    def _rows(self, query: str, *parameters: Any) -> list[Any]:
        """The first column of what a query finds."""
        with self._lock:
            version = self._database.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version or len(self._remembered) > MOST_REMEMBERED:
                self._version, self._remembered = version, {}
            key = (query, *parameters)
            if key not in self._remembered:
                self._remembered[key] = [row[0] for row in self._database.execute(query, parameters)]
            return self._remembered[key]
