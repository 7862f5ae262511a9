"""What the launcher and its workers tell each other, through a folder of their own. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import sys
import time
from pathlib import Path

from polyadic.errors import AlgorithmError, PlatformError, PolyadicError, UserError, kind

FOLDER = "POLYADIC_REPORTS"
_KINDS: dict[str, type[PolyadicError]] = {
    one.__name__: one for one in (UserError, AlgorithmError, PlatformError, PolyadicError)
}
_PR_SET_PDEATHSIG = 1


def request_stop(folder: Path) -> None:
    """Asks the workers to end at the next step boundary."""
    (folder / "stop").touch()


def stop_requested(folder: Path) -> bool:
    """Whether the launcher has asked for the end."""
    return (folder / "stop").exists()


def write(folder: Path, rank: int, failure: PolyadicError) -> None:
    """Tells the launcher why this worker ends."""
    with contextlib.suppress(OSError):
        (folder / f"failure-{rank}.json").write_text(
            json.dumps({"kind": kind(failure), "message": str(failure), "time": time.time()})
        )


def read(folder: Path) -> PolyadicError | None:
    """The failure that came first, those of lost peers last: they are seldom the cause."""
    failures = [json.loads(path.read_text()) for path in folder.glob("failure-*.json")]
    if not failures:
        return None
    first = min(failures, key=lambda one: (one["kind"] == PlatformError.__name__, one["time"]))
    return revive(first)


def revive(failure: dict[str, str]) -> PolyadicError:
    """The failure that a kind and a message describe."""
    return _KINDS[failure["kind"]](failure["message"])


def die_with_parent() -> None:
    """Ends this process when its parent ends, however that may be; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
