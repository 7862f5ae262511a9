"""What is kept of a request while it is answered, and the line of the log that it leaves."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import g

from polyadic.formats import json

REQUEST_ID, TRACE = "X-Request-Id", "Traceparent"
SOUND_ID = re.compile(r"[\x21-\x7e]{1,128}")
SOUND_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?")
"""A traceparent as W3C Trace Context has it."""


_PROCESS, _NUMBERS = os.urandom(10).hex(), itertools.count()
"""A request without a number of its client's gets one: 20 digits of chance for the process, and 12 that count."""


@dataclass
class Record:
    """One request: what it asks, and the seconds of its phases.

    phases: decode, queue, predict and encode. failed: whether an answer that had begun could not be ended.
    """

    id: str
    inference_id: str | None
    trace: str | None
    algorithm: str = ""
    model: str = ""
    rows: int = 0
    failed: bool = False
    began: float = field(default_factory=time.monotonic)
    phases: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of_request(environ: Mapping[str, Any]) -> Record:
        """That of a request; it has the number that the client gives it, or one of its own."""
        given, trace = environ.get("HTTP_X_REQUEST_ID", ""), environ.get("HTTP_TRACEPARENT", "")
        return Record(
            given if given and SOUND_ID.fullmatch(given) else f"{_PROCESS}{next(_NUMBERS):012x}",
            environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID"),
            trace if trace and SOUND_TRACE.fullmatch(trace) else None,
        )

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures what is done within."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began

    def line(self, method: str, path: str, status: int, variant: str | None) -> str:
        """The line of the log: one JSON object, times in milliseconds."""
        took = {name: round(1000 * seconds, 3) for name, seconds in self.phases.items()}
        told = {
            "id": self.id,
            "inference_id": self.inference_id,
            "trace": self.trace,
            "variant": variant,
            "model": self.model or None,
            "algorithm": self.algorithm or None,
            "method": method,
            "path": path,
            "code": status,
            "rows": self.rows,
            "broken_off": self.failed or None,
            "ms": took | {"all": round(1000 * (time.monotonic() - self.began), 3)},
        }
        return json.encode({key: value for key, value in told.items() if value is not None}).decode() + "\n"


def current() -> Record:
    """The record of the request under way."""
    record: Record = g.record
    return record


def log_fault(error: BaseException) -> tuple[str, str]:
    """Writes the traceback to the log; what a client is told, and the number under which the log has it."""
    number = uuid.uuid4().hex[:12]
    log(f"error {number}: {error!r}\n{''.join(traceback.format_exception(error))}\n", error=True)
    return f"a fault in the server: the log has more under id {number}", number


def log(line: str, *, error: bool = False) -> None:
    """Writes a line to the log; where that is full or closed, requests are answered all the same."""
    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(line)
        stream.flush()
