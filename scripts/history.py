"""The history of an endpoint's weights: one JSON line per change, and the change that a rollback undoes."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from scripts.aws import UsageError

Weights = dict[str, float]


@dataclass(frozen=True)
class Change:
    """One change of an endpoint's weights."""

    time: str
    endpoint: str
    action: Literal["split", "rollback"]
    before: Weights
    after: Weights


def append(path: Path, endpoint: str, action: Literal["split", "rollback"], before: Weights, after: Weights) -> None:
    """Add a change, dated now, to the file."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a") as file:
        file.write(json.dumps(asdict(Change(now, endpoint, action, before, after))) + "\n")
        file.flush()
        os.fsync(file.fileno())


def require_appendable(path: Path) -> None:
    """A UsageError where no change could be written to `path`, so that none is made unrecorded."""
    try:
        path.open("a").close()
    except OSError as error:
        raise UsageError(f"cannot write the history {path}: {error.strerror}; choose another with --history") from error


def read(path: Path, endpoint: str) -> list[Change]:
    """The endpoint's changes, oldest first; none where there is no file."""
    if not path.exists():
        return []
    changes = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            changes.append(Change(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path}, line {number} is not a change of weights; mend or remove it") from error
    return [change for change in changes if change.endpoint == endpoint]


def last_standing(changes: list[Change]) -> Change | None:
    """The newest split that no rollback has undone: rollbacks one after another go ever further back."""
    standing: list[Change] = []
    for change in changes:
        if change.action == "split":
            standing.append(change)
        elif standing:
            standing.pop()
    return standing[-1] if standing else None
