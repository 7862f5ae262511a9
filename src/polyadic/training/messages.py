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

FOLDER_VARIABLE = "POLYADIC_MESSAGES"
"""The environment variable that names the folder."""
_KINDS: dict[str, type[PolyadicError]] = {
    error.__name__: error for error in (UserError, AlgorithmError, PlatformError, PolyadicError)
}
_PR_SET_PDEATHSIG = 1


def request_stop(folder: Path) -> None:
    """Asks the workers to end at the next step boundary."""
    (folder / "stop").touch()


def stop_requested(folder: Path) -> bool:
    """Whether the launcher has asked the workers to end."""
    return (folder / "stop").exists()


def write_failure(folder: Path, rank: int, failure: PolyadicError) -> None:
    """Tells the launcher why the worker of this rank ends."""
    message = {"kind": kind(failure), "message": str(failure), "time": time.time()}
    with contextlib.suppress(OSError):
        (folder / f"failure-{rank}.json").write_text(json.dumps(message))


def first_failure(folder: Path) -> PolyadicError | None:
    """The failure that came first; one of a lost peer only where there is no other, for it is seldom the cause."""
    failures = [json.loads(path.read_text()) for path in folder.glob("failure-*.json")]
    if not failures:
        return None
    return revive(min(failures, key=lambda failure: (failure["kind"] == PlatformError.__name__, failure["time"])))


def revive(failure: dict[str, str]) -> PolyadicError:
    """The failure that a kind and a message describe."""
    return _KINDS[failure["kind"]](failure["message"])


def die_with_parent() -> None:
    """Ends this process when its parent ends, for whatever reason; only Linux can do this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
