"""The history of an endpoint's weights: JSON lines, and the change that a rollback undoes."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from scripts.aws import UsageError

Weights = dict[str, float]
Action = Literal["split", "promote", "rollback", "deploy"]


@dataclass(frozen=True)
class Change:
    """One change of an endpoint's weights: when it was asked for, and when it held for all requests.

    `reason` is why a promotion was made: what the comparison said, or what the user gave for not waiting for it.
    `models` has a fingerprint of each variant's model, after a deployment.
    """

    time: str
    endpoint: str
    action: Action
    before: Weights
    after: Weights
    settled: str | None = None
    reason: str | None = None
    models: dict[str, str] | None = None


def fingerprint(model: str) -> str:
    """Eight digits that tell one model from another."""
    return hashlib.sha256(model.encode()).hexdigest()[:8]


def now() -> str:
    """The moment, as a change has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def append(path: Path, change: Change) -> None:
    """Add a change to the file; the same change again, with more known of it, takes its place."""
    known = {key: value for key, value in asdict(change).items() if value is not None}
    with path.open("a") as file:
        file.write(json.dumps(known) + "\n")
        file.flush()
        os.fsync(file.fileno())


def settle(path: Path, change: Change) -> Change:
    """Note that a change holds from now on."""
    settled = replace(change, settled=now())
    append(path, settled)
    return settled


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
    changes: dict[str, Change] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            change = Change(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path}, line {number} is not a change of weights; mend or remove it") from error
        if change.endpoint == endpoint:
            changes[change.time] = change
    return list(changes.values())


def last_standing(changes: list[Change]) -> Change | None:
    """The newest split or promotion that no rollback has undone: rollbacks one after another go ever further back.

    A deployment makes variants anew, and nothing before it can be gone back to.
    """
    standing: list[Change] = []
    for change in changes:
        if change.action in ("split", "promote"):
            standing.append(change)
        elif change.action == "deploy":
            standing = []
        elif standing:
            standing.pop()
    return standing[-1] if standing else None
