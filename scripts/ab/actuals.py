"""What turned out to be true of captured requests, in the layout of SageMaker's ground truth."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from polyadic.variants import Actual
from scripts.ab.documents import finite, read_json
from scripts.ab.objects import NewObjects

FILE_BYTES = 4 * 2**20


class ActualsReader:
    """Reads the actuals under an address; a second reading fetches only the files that are new."""

    def __init__(self, s3: Any, uri: str) -> None:
        self._objects = NewObjects(s3, uri)
        self._actuals: list[Actual] = []
        self.broken = 0
        """Lines that are no ground truth; they count nowhere else."""

    def read(self) -> list[Actual]:
        """All actuals, in the order in which they were said."""
        for key, body in self._objects.read():
            for number, line in enumerate(body.splitlines()):
                if line.strip():
                    self._add(line, (key, number))
        return self._actuals

    def _add(self, line: bytes, place: tuple[str, int]) -> None:
        try:
            self._actuals.append(read_line(line, place))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.broken += 1


def read_line(line: bytes, place: tuple[str, int]) -> Actual:
    """One line of ground truth: JSON as `scripts.feedback` writes it, or SageMaker's CSV."""
    document = read_json(line)
    truth = document["groundTruthData"]
    content = read_json(truth["data"]) if truth["encoding"] == "JSON" else _row(truth["data"])
    return Actual(str(document["eventMetadata"]["eventId"]), place, content)


def write_files(actuals: Iterable[tuple[str, Any]], now: datetime) -> Iterator[tuple[str, bytes]]:
    """The keys below the address, and the lines, of actuals by inference id, in files of a few megabytes."""
    lines: list[bytes] = []
    size = number = 0
    for identity, content in actuals:
        lines.append(_line(identity, content))
        size += len(lines[-1])
        if size >= FILE_BYTES:
            yield _key(now, number), b"".join(lines)
            lines, size, number = [], 0, number + 1
    if lines:
        yield _key(now, number), b"".join(lines)


def _line(identity: str, content: Any) -> bytes:
    document = {
        "groundTruthData": {"data": json.dumps(finite(content)), "encoding": "JSON"},
        "eventMetadata": {"eventId": identity},
        "eventVersion": "0",
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _key(now: datetime, number: int) -> str:
    return f"{now:%Y/%m/%d/%H}/{now:%Y%m%dT%H%M%S%f}-{number:04d}.jsonl"


def _row(text: str) -> Any:
    values = [float(each) if each.strip() else None for each in text.split(",")]
    return values[0] if len(values) == 1 else values
