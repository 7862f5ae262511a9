"""Ctrl-C and SIGTERM, recorded in a value that loops look at."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Raised by our own loops, never by a handler, when the user asked to stop."""


class StopRequest:
    """Counts the signals received; the handler does nothing else."""

    def __init__(self) -> None:
        self.count = 0
        self.signal_number = 0

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal_number

    def raise_if_requested(self) -> None:
        if self:
            raise Stopped

    def receive(self, signal_number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signal_number = signal_number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within the context SIGINT and SIGTERM end nothing: the yielded value counts them."""
    request = StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, request.receive) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
