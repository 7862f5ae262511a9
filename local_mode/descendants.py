"""Processes of a host or server, known by the SAGEMAKER_BASE_DIR that they inherited."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

VARIABLE = b"SAGEMAKER_BASE_DIR="
START_SECONDS = 10.0
_ENVIRONMENT_START = 50 - 3
"""Where env_start stands in /proc/PID/stat behind the name: its 50th field, the state being the third (proc(5))."""


def living(is_base: Callable[[bytes], bool]) -> list[int]:
    """The other processes of this machine whose base folder is one of these; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It ended meanwhile, or it is another user's.
            variables = _environment(entry).split(b"\0")
            bases = (each.removeprefix(VARIABLE) for each in variables if each.startswith(VARIABLE))
            if any(map(is_base, bases)) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def _environment(entry: Path) -> bytes:
    """The environment of a process, once it has one: between exec and its first instruction Linux shows none."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        starts = _starts(entry)  # Before it is read: what has started meanwhile is read once more.
        text = (entry / "environ").read_bytes()
        if text or not starts or time.monotonic() > deadline:
            return text
        time.sleep(0.001)


def _starts(entry: Path) -> bool:
    (entry / "exe").readlink()  # An OSError for what has ended, and for the kernel's own threads.
    return (entry / "stat").read_text().rpartition(")")[2].split()[_ENVIRONMENT_START] == "0"
