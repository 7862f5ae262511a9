"""Pipe mode: the FIFO that SageMaker feeds a channel by, which appears some time after the job has begun."""

from __future__ import annotations

import time
from pathlib import Path

from polyadic.errors import PlatformError

SECONDS_FOR_A_PIPE = 300.0


def await_pipe(pipe: Path, channel: str) -> None:
    """Waits until SageMaker has made a pipe; PlatformError where it does not."""
    deadline = time.monotonic() + SECONDS_FOR_A_PIPE
    while not pipe.exists():
        if time.monotonic() > deadline:
            raise PlatformError(f"the pipe of channel {channel}, {pipe}, is not there after {SECONDS_FOR_A_PIPE:g} s")
        time.sleep(0.05)
