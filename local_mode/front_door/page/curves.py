"""The metrics of training jobs over time, read from the file of CloudWatch's metrics as it grows."""

import json
import threading
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from local_mode.front_door.services.cloudwatch import TRAINING

MOST_POINTS = 500
"""Of a curve: one that has more keeps every second of its points."""
Curve = Sequence[tuple[float, float]]
"""Moments in seconds since 1970, and values."""


@dataclass
class _Points:
    """A curve as it is kept, in 16 bytes for each point."""

    moments: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, moment: float, value: float) -> None:
        self.moments.append(moment)
        self.values.append(value)
        if len(self.moments) > MOST_POINTS:
            del self.moments[1:-1:2]
            del self.values[1:-1:2]

    def since(self, moment: float) -> Curve:
        return [point for point in zip(self.moments, self.values, strict=True) if point[0] >= moment]


class Curves:
    """What was read so far, by job and metric."""

    def __init__(self, file: Path) -> None:
        self._file, self._place = file, 0
        self._lock = threading.Lock()
        self._curves: dict[str, dict[str, _Points]] = {}

    def of(self, job: str, since: float) -> Mapping[str, Curve]:
        """The curves of a job by their metrics; since: when it was created, as another may have had its name."""
        with self._lock:
            self._read()
            curves = {name: points.since(since) for name, points in sorted(self._curves.get(job, {}).items())}
        return {name: curve for name, curve in curves.items() if curve}

    def _read(self) -> None:
        """Takes up the lines that were added; one that is not yet whole is left for the next time."""
        if not self._file.is_file():
            return
        with self._file.open("rb") as stream:
            stream.seek(self._place)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._place += len(line)
                if TRAINING.encode() in line:
                    self._take(line)

    def _take(self, line: bytes) -> None:
        with suppress(ValueError, KeyError, IndexError, TypeError):
            document = json.loads(line)
            values = document["values"]
            curves = self._curves.setdefault(document["dimensions"][0]["Value"], {})
            points = curves.setdefault(document["name"], _Points())
            points.add(float(document["moment"]), values["Sum"] / values["SampleCount"])
