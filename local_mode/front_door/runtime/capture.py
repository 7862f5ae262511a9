"""Data capture: requests and answers as JSON Lines in S3, in SageMaker's layout; no answer waits for it."""

import base64
import json
import queue
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local_mode.front_door.runtime.calls import INFERENCE_ID, PREFIX, Answer, Call
from local_mode.front_door.runtime.routes import CaptureSettings
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects

FLUSH_SECONDS = 5.0
FLUSH_BYTES = 4 * 2**20
WAITING_BYTES = 256 * 2**20
FREE_SHARE = 0.05
"""Of the disk: with less of it free nothing is captured."""


@dataclass(frozen=True)
class _Event:
    settings: CaptureSettings
    call: Call
    variant: str
    answer: Answer
    moment: datetime

    @property
    def size(self) -> int:
        return len(self.call.body) + len(self.answer.body)


@dataclass
class _File:
    """Lines that are not yet in S3."""

    event: _Event
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    began: float = field(default_factory=time.monotonic)


class Capture:
    """Writes what it is given, in a thread; `record` only hands over, and drops where too much waits."""

    def __init__(self, objects: Objects, logs: Logs) -> None:
        self._objects, self._logs = objects, logs
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._waiting, self._dropped = 0, dict[str, int]()
        self._lock = threading.Lock()
        self._files: dict[tuple[str, ...], _File] = {}
        self._thread = threading.Thread(target=self._write, name="capture", daemon=True)
        self._thread.start()

    def record(self, settings: CaptureSettings, call: Call, variant: str, answer: Answer) -> None:
        """Writes an answered request down, in a while."""
        event = _Event(settings, call, variant, answer, datetime.now(UTC))
        with self._lock:
            if self._waiting + event.size > WAITING_BYTES:
                self._dropped[call.endpoint] = self._dropped.get(call.endpoint, 0) + 1
                return
            self._waiting += event.size
        self._events.put(event)

    def close(self) -> None:
        """Writes all that there is."""
        self._events.put(None)
        self._thread.join()

    def _write(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=FLUSH_SECONDS / 10)
            except queue.Empty:
                self._flush(all_of_them=False)
                continue
            if event is None:
                self._flush(all_of_them=True)
                return
            self._add(event)
            self._flush(all_of_them=False)

    def _add(self, event: _Event) -> None:
        hour = f"{event.moment:%Y/%m/%d/%H}"
        key = (event.settings.bucket, event.settings.prefix, event.call.endpoint, event.variant, hour)
        file = self._files.setdefault(key, _File(event))
        file.lines.append(_line(event))
        file.size += len(file.lines[-1])
        with self._lock:
            self._waiting -= event.size

    def _flush(self, all_of_them: bool) -> None:
        for key, file in list(self._files.items()):
            if all_of_them or file.size >= FLUSH_BYTES or time.monotonic() - file.began >= FLUSH_SECONDS:
                del self._files[key]
                try:
                    self._put(file)
                except Exception as error:  # One endpoint's destination is no reason to capture nothing of others.
                    lost = f"{len(file.lines)} requests were not captured: {error}"
                    self._tell(file.event.call.endpoint, lost)
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        for endpoint, count in dropped.items():
            self._tell(endpoint, f"{count} requests were not captured: more were answered than could be written")

    def _put(self, file: _File) -> None:
        event = file.event
        endpoint, settings = event.call.endpoint, event.settings
        disk = shutil.disk_usage(self._objects.folder)
        if disk.free < FREE_SHARE * disk.total:
            self._tell(endpoint, f"{len(file.lines)} requests were not captured: the disk is nearly full")
            return
        name = f"{event.moment:%M-%S}-{event.moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        place = f"{endpoint}/{event.variant}/{event.moment:%Y/%m/%d/%H}/{name}"
        self._objects.put_bytes(settings.bucket, f"{settings.prefix}{place}", b"".join(file.lines))

    def _tell(self, endpoint: str, line: str) -> None:
        self._logs.write(f"/aws/sagemaker/Endpoints/{endpoint}", "data-capture", line)


def _line(event: _Event) -> bytes:
    settings, call, answer = event.settings, event.call, event.answer
    data = {}
    if settings.input:
        data["endpointInput"] = _part("INPUT", call.headers, call.body, settings.encodings)
    if settings.output:
        data["endpointOutput"] = _part("OUTPUT", answer.headers, answer.body, settings.encodings)
    metadata: dict[str, Any] = {"eventId": call.event_id}
    if f"{PREFIX}custom-attributes" in call.headers:
        metadata["customAttributes"] = [call.headers[f"{PREFIX}custom-attributes"]]
    if INFERENCE_ID in call.headers:
        metadata["inferenceId"] = call.headers[INFERENCE_ID]
    metadata["inferenceTime"] = f"{event.moment:%Y-%m-%dT%H:%M:%SZ}"
    document = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _part(mode: str, headers: Mapping[str, str], body: bytes, encodings: Mapping[str, str]) -> dict[str, str]:
    observed = headers.get("Content-Type", "")
    encoding = encodings.get(observed.partition(";")[0].strip().lower(), "BASE64")
    try:
        text = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode()
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": observed, "mode": mode, "data": text, "encoding": encoding}
