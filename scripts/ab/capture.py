"""Captured requests and answers, in the layout in which SageMaker's data capture keeps them."""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

from polyadic.variants import Assignment, read_custom_attributes
from scripts.ab.documents import read_json
from scripts.ab.objects import NewObjects
from scripts.aws import CommandError
from scripts.history import now, seconds_of

REPLAY_PREFIX = "polyadic-replay-"
"""Of the ids of requests that `scripts.replay` makes: they are captured as well, and are nobody's requests."""


@dataclass(frozen=True)
class Part:
    """The bytes of a request or of an answer, and their content type."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Captured:
    """One request and one variant's answer, dated to the second."""

    identity: str
    variant: str
    seconds: float
    request: Part | None
    answer: Part | None
    assignment: Assignment | None
    replayed: float | None = None
    """When `scripts.replay` asked for the answer, in seconds of the epoch; None of what users were answered."""

    @property
    def order(self) -> tuple[float, str]:
        """The order of requests: within a second by their ids, which know nothing of who answered."""
        return self.seconds, self.identity


class CaptureReader:
    """Reads an endpoint's capture under an address; a second reading fetches only the files that are new."""

    def __init__(self, s3: Any, uri: str, endpoint: str, replayed: bool = False) -> None:
        self._objects = NewObjects(s3, f"{uri.rstrip('/')}/{endpoint}")
        self._replayed = replayed
        self._captured: list[Captured] = []
        self.broken = 0
        """Lines that are no captured request; they count nowhere else."""

    def read(self) -> list[Captured]:
        """All that was captured, in the order of time."""
        for key, body in self._objects.read():
            variant = key.removeprefix(self._objects.prefix).partition("/")[0]
            for line in body.splitlines():
                if line.strip():
                    self._add(line, variant)
        self._captured.sort(key=lambda each: each.order)
        return self._captured

    def _add(self, line: bytes, variant: str) -> None:
        try:
            captured = read_line(line, variant, self._replayed)
            if not captured.identity.startswith(REPLAY_PREFIX):
                self._captured.append(captured)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.broken += 1


def read_line(line: bytes, variant: str, replayed: bool = False) -> Captured:
    """One line of a captured file; of a replay it says when it was made."""
    document = read_json(line)
    data, told = document["captureData"], document["eventMetadata"]
    attributes = told.get("customAttributes") or []
    assignments = (read_custom_attributes(each) for each in attributes)
    return Captured(
        identity=str(told.get("inferenceId") or told["eventId"]),
        variant=variant,
        # A fraction of a second tells who answers faster, and the order may not depend on that.
        seconds=math.floor(seconds_of(told["inferenceTime"])),
        request=_part(data.get("endpointInput")),
        answer=_part(data.get("endpointOutput")),
        assignment=next((each for each in assignments if each is not None), None),
        replayed=seconds_of(told["replayTime"]) if replayed and "replayTime" in told else 0.0 if replayed else None,
    )


def write_line(captured: Captured, event_id: str, moment: str) -> bytes:
    """The line that `read_line` reads."""
    data = {
        side: _written(mode, part)
        for side, mode, part in (
            ("endpointInput", "INPUT", captured.request),
            ("endpointOutput", "OUTPUT", captured.answer),
        )
        if part is not None
    }
    told = {"eventId": event_id, "inferenceId": captured.identity, "inferenceTime": moment, "replayTime": now()}
    document = {"captureData": data, "eventMetadata": told, "eventVersion": "0"}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def require_captured(captured: list[Captured], uri: str, endpoint: str) -> None:
    """A CommandError where nothing was captured."""
    if not captured:
        raise CommandError(
            f"nothing is captured under {uri}/{endpoint} yet; capture takes seconds here and minutes on AWS, and a "
            "share of 0 % captures nothing"
        )


def _part(told: dict[str, Any] | None) -> Part | None:
    if told is None:
        return None
    data = told["data"]
    body = base64.b64decode(data) if told["encoding"] == "BASE64" else data.encode()
    return Part(str(told.get("observedContentType") or ""), body)


def _written(mode: str, part: Part) -> dict[str, str]:
    try:
        data, encoding = part.body.decode(), "JSON" if "json" in part.content_type else "CSV"
    except UnicodeDecodeError:
        data, encoding = base64.b64encode(part.body).decode(), "BASE64"
    return {"observedContentType": part.content_type, "mode": mode, "data": data, "encoding": encoding}
