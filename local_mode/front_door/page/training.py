"""Training jobs as the page shows them."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_mode.front_door.jobs.life import ENDED, KIND
from local_mode.front_door.jobs.training_run import GROUP
from local_mode.front_door.page import charts, logs
from local_mode.front_door.page.charts import LineChart
from local_mode.front_door.page.curves import Curves
from local_mode.front_door.page.reading import Listing, Reader
from local_mode.front_door.page.units import duration, moment, number
from local_mode.front_door.resources import Document

COUNTERS = {"epochs": "epoch", "max_iterations": "iteration"}
"""Hyperparameters that say how long a job trains, and the counters of its metric lines."""


@dataclass(frozen=True)
class Progress:
    """How far a job is, in a unit such as epochs."""

    done: int
    of: int
    unit: str


@dataclass(frozen=True)
class TrainingRow:
    """A job in a list; spark: the path of its first metric; seconds: how long it has run."""

    name: str
    status: str
    step: str
    failure: str
    created: str
    seconds: str
    progress: Progress | None
    metric: str
    spark: str


@dataclass(frozen=True)
class Step:
    """A step of a job's life."""

    status: str
    began: str
    seconds: str


@dataclass(frozen=True)
class TrainingView:
    """All that the page of a job shows."""

    row: TrainingRow
    steps: Sequence[Step]
    charts: Sequence[LineChart]
    log: str
    hyperparameters: Sequence[tuple[str, str]]
    resources: str
    artifacts: str
    tuning: str


class Trainings:
    """Reads training jobs; state: the front door's folder."""

    def __init__(self, reader: Reader, curves: Curves, state: Path) -> None:
        self._reader, self._curves, self._logs = reader, curves, state / "logs"

    def listing(self, number: int) -> tuple[Listing, Sequence[TrainingRow]]:
        """A page of jobs, the newest first."""
        listing = self._reader.newest(KIND, number)
        return listing, [self.row(each) for each in listing.documents]

    def view(self, name: str) -> TrainingView | None:
        """A job; None where there is none of its name."""
        document = self._reader.get(KIND, name)
        if document is None:
            return None
        curves = self._curves.of(name, document["CreationTime"])
        resources = document["ResourceConfig"]
        return TrainingView(
            self.row(document),
            [_step(each) for each in document["SecondaryStatusTransitions"]],
            [charts.line_chart(metric, curve) for metric, curve in curves.items()],
            "\n".join(logs.tail(self._logs, GROUP, f"{name}/")),
            sorted((key, str(value)) for key, value in (document.get("HyperParameters") or {}).items()),
            f"{resources.get('InstanceCount') or 1} × {resources.get('InstanceType') or 'local'}",
            (document.get("ModelArtifacts") or {}).get("S3ModelArtifacts") or "",
            str(document.get("TuningJobArn") or "").rpartition("/")[2],
        )

    def row(self, document: Document) -> TrainingRow:
        """A job of a list."""
        name, began = document["TrainingJobName"], document.get("TrainingStartTime") or document["CreationTime"]
        ended = document["TrainingJobStatus"] in ENDED
        metric, curve = next(iter(self._curves.of(name, document["CreationTime"]).items()), ("", []))
        return TrainingRow(
            name,
            document["TrainingJobStatus"],
            document["SecondaryStatus"],
            document.get("FailureReason") or "",
            moment(document["CreationTime"]),
            duration(((document.get("TrainingEndTime") if ended else None) or time.time()) - began),
            None if ended else self._progress(document),
            f"{metric} {number(curve[-1][1])}" if curve else "",
            charts.spark(curve) if curve else "",
        )

    def _progress(self, document: Document) -> Progress | None:
        """What the last line with a counter says; None where the job has no counter."""
        hyperparameters = document.get("HyperParameters") or {}
        for name, counter in COUNTERS.items():
            of = str(hyperparameters.get(name, "")).strip('"')
            if of.isdecimal():
                lines = logs.tail(self._logs, GROUP, f"{document['TrainingJobName']}/")
                told = re.findall(rf"\b{counter}=(\d{{1,9}})\b", "\n".join(lines))
                return Progress(min(int(told[-1]), int(of)) if told else 0, int(of), f"{counter}s")
        return None


def _step(transition: Document) -> Step:
    ended = transition.get("EndTime") or time.time()
    return Step(transition["Status"], moment(transition["StartTime"]), duration(ended - transition["StartTime"]))
