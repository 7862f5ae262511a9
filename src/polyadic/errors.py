"""The three kinds of failure, each with the exit code and the HTTP status that it becomes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

FAILURE_LIMIT = 1024
"""Characters of /opt/ml/output/failure that SageMaker keeps as FailureReason."""


class PolyadicError(Exception):
    """A failure whose message is written for its reader: what was got, what is allowed, what to do."""

    exit_code = 2
    http_status = 500


class UserError(PolyadicError):
    """The user can prevent it."""

    exit_code = 1
    http_status = 400


class InstanceError(UserError):
    """One instance of a request is at fault; `index` counts from 0."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(f"instances[{index}]: {message}")
        self.index = index


class AlgorithmError(PolyadicError):
    """Ours: a fault in Polyadic itself."""


class PlatformError(PolyadicError):
    """Disk, network or a lost host."""

    exit_code = 3
    http_status = 503


_CANNOT_ALLOCATE = "can't allocate memory"
"""What torch's RuntimeError says of a CPU without memory."""


def classify(error: BaseException) -> PolyadicError:
    """The kind of an exception: an OSError is the platform's, want of memory the user's, an unknown one ours."""
    if isinstance(error, PolyadicError):
        return error
    if isinstance(error, MemoryError) or _CANNOT_ALLOCATE in str(error):
        return UserError(
            f"out of memory ({(str(error) or 'MemoryError').splitlines()[0]}): give less at a time, or choose an "
            "instance with more"
        )
    if isinstance(error, (OSError, ConnectionError, TimeoutError)):
        return PlatformError(f"{error} ({type(error).__name__})")
    return AlgorithmError(f"{error} ({type(error).__name__}). This is a fault in Polyadic: please report it")


def failure_text(error: PolyadicError, host: str) -> str:
    """The text of /opt/ml/output/failure: the sentence first, then its kind and host, within 1,024 characters."""
    tail = f" [{kind(error)} on {host}]"
    message = str(error)
    room = FAILURE_LIMIT - len(tail)
    return (message if len(message) <= room else message[: room - 1] + "…") + tail


def kind(error: PolyadicError) -> str:
    """The name of the error's kind: UserError, AlgorithmError or PlatformError."""
    return next(k.__name__ for k in (UserError, AlgorithmError, PlatformError, PolyadicError) if isinstance(error, k))


def shorten(value: object) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a name that is none of the known ones, with the nearest of them."""
    nearest = difflib.get_close_matches(name.lower(), known, 1, 0.6)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"unknown {what} {name!r}: {hint}{'Known' if hint else 'known'} are {', '.join(known)}"
