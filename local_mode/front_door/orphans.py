"""One front door a folder of state, and nothing left running of one that was killed."""

import fcntl
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from local_mode import descendants
from local_mode.errors import LocalModeError

SECONDS = 10.0


def lock(state: Path) -> IO[str]:
    """The file that says that a state is in use, held; LocalModeError where another process holds it."""
    file = (state / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise LocalModeError(f"{state} is in use by another front door: give --state another folder") from None
    return file


def end_all(scratch: Path) -> None:
    """Ends the processes that an earlier front door left, known by their folders under `scratch`, and removes these."""
    below = bytes(scratch) + b"/"
    deadline = time.monotonic() + SECONDS
    while (pids := descendants.living(lambda base: base.startswith(below))) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(scratch, ignore_errors=True)
