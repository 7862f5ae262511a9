"""The front door of the demonstration: `python -m local_mode up` on a free port, over a state of its own."""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from local_mode.errors import LocalModeError
from local_mode.front_door import orphans
from local_mode.front_door.resources import REGION
from local_mode.front_door.surroundings import SETTINGS_FILE, environment
from local_mode.running import POLL_SECONDS, Running, stop_all
from local_mode.stopping import StopRequest

READY = re.compile(r"AWS_ENDPOINT_URL=(http://\S+)")
START_SECONDS, END_SECONDS = 120.0, 60.0
OF_SERVERS = {"MODEL_SERVER_WORKERS": "1"}
"""One worker answers these requests as fast as they come, and is up in half the time of two."""


@dataclass(frozen=True)
class Door:
    """A front door that answers, and boto3's clients of it."""

    url: str
    state: Path
    sagemaker: Any
    runtime: Any
    s3: Any

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which a command finds it."""
        return environment(self.state.resolve() / SETTINGS_FILE, self.url)


class _Lines:
    """Keeps the lines of `up` in a file, and notices the one that has its address."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("w")
        self.url: str | None = None
        self.ready = threading.Event()

    def __call__(self, line: str) -> None:
        print(line, file=self._file, flush=True)
        found = READY.match(line)
        if found:
            self.url = found[1]
            self.ready.set()

    def close(self) -> None:
        self._file.close()


@contextmanager
def opened(state: Path, options: Sequence[str], log: Path, stop: StopRequest) -> Iterator[Door]:
    """A front door over an empty state; when the context ends, so do its jobs and servers."""
    empty(state)
    lines = _Lines(log)
    words = ["local_mode", "up", "--port", "0", "--state", str(state), *options]
    up = Running("up", [sys.executable, "-m", *words], os.environ | OF_SERVERS, lines)
    try:
        _await_address(up, lines, stop)
        with _clients(str(lines.url), state) as door:
            yield door
    finally:
        stop_all([up], END_SECONDS)
        up.close()
        orphans.end_all(state.resolve() / "run")  # Where it had to be killed.
        lines.close()


def empty(state: Path) -> None:
    """Removes the state of an earlier demonstration; LocalModeError where it is in use, or no state."""
    if not state.exists():
        return
    if not (state / "lock").is_file():
        raise LocalModeError(f"{state} is no state of a front door, and is not overwritten: give another --output")
    try:
        lock = orphans.lock(state)
    except LocalModeError:
        raise LocalModeError(f"{state} is in use: end the front door over it, or give another --output") from None
    with lock:
        orphans.end_all(state.resolve() / "run")
        shutil.rmtree(state)


def _await_address(up: Running, lines: _Lines, stop: StopRequest) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not lines.ready.wait(POLL_SECONDS):
        stop.raise_if_requested()
        if up.poll() is not None or time.monotonic() > deadline:
            said = up.last_lines[-1] if up.last_lines else "it said nothing"
            raise LocalModeError(f"the front door did not start: {said}")


@contextmanager
def _clients(url: str, state: Path) -> Iterator[Door]:
    keys = {"region_name": REGION, "aws_access_key_id": "local", "aws_secret_access_key": "local"}
    names = ("sagemaker", "sagemaker-runtime", "s3")
    clients = [boto3.client(name, endpoint_url=url, **keys) for name in names]
    try:
        yield Door(url, state, *clients)
    finally:
        for client in clients:
            client.close()
