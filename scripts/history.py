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


def seconds_of(time: str) -> float:
    """An ISO date as seconds of the epoch; one without a zone is UTC."""
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


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
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read the history {path}: {error.strerror or error}") from error
    changes: dict[str, Change] = {}
    for number, line in enumerate(lines, start=1):
        try:
            change = _change(line)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{path}, line {number} is not a change of weights; mend or remove it") from error
        if change.endpoint == endpoint:
            changes[change.time] = change
    return list(changes.values())


def _change(line: bytes) -> Change:
    """One line of the file; a ValueError, TypeError or AttributeError where it is no change."""
    change = Change(**json.loads(line))
    for time in (change.time, change.settled or change.time):
        seconds_of(time)
    before, after = (
        {name: float(weight) for name, weight in weights.items()} for weights in (change.before, change.after)
    )
    return replace(change, before=before, after=after, models=dict(change.models) if change.models else None)


def last_standing(changes: list[Change]) -> Change | None:
    """The newest split or promotion that no rollback has undone: rollbacks one after another go ever further back.

    A deployment makes variants anew, and nothing before it can be gone back to, unless it never came to hold.
    """
    standing: list[Change] = []
    for change in changes:
        match change.action:
            case "split" | "promote":
                standing.append(change)
            case "deploy":
                standing = standing if change.settled is None else []
            case "rollback" if standing:
                standing.pop()
    return standing[-1] if standing else None
