"""Lines of jobs and servers as CloudWatch Logs: kept in files, told to moto, and put back at a start."""

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moto.logs.models import logs_backends

from local_mode.front_door.resources import ACCOUNT, now


class Logs:
    """Streams of lines, each in a group."""

    def __init__(self, folder: Path, region: str, lock: threading.RLock) -> None:
        self._folder, self._region, self._lock = folder, region, lock
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*.jsonl")):
            events = whole_lines(file)
            if events:
                self._tell(events[0]["group"], events[0]["stream"], events)

    def write(self, group: str, stream: str, line: str) -> None:
        """Adds a line to a stream."""
        event = {"group": group, "stream": stream, "timestamp": int(now() * 1000), "message": line or " "}
        with self._lock:
            with (self._folder / f"{quote(f'{group}/{stream}', safe='')}.jsonl").open("a") as file:
                file.write(json.dumps(event) + "\n")
            self._tell(group, stream, [event])

    def _tell(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        backend = logs_backends[ACCOUNT][self._region]
        if group not in backend.groups:
            backend.create_log_group(group, {})
        if stream not in backend.groups[group].streams:
            backend.create_log_stream(group, stream)
        kept = [{"timestamp": event["timestamp"], "message": event["message"]} for event in events]
        backend.groups[group].put_log_events(stream, kept)  # Past the checks of clients' events: of order and of age.


def whole_lines(file: Path) -> list[dict[str, Any]]:
    """The documents of a file of JSON Lines; one that a kill or a full disk cut short is left out, and ended."""
    data = file.read_bytes()
    if data and not data.endswith(b"\n"):
        with file.open("ab") as tail:
            tail.write(b"\n")
    found = []
    for line in data.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
