"""Tuning jobs as the page shows them."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from local_mode.front_door.jobs.life import ENDED
from local_mode.front_door.jobs.life import KIND as TRAINING_KIND
from local_mode.front_door.jobs.tuning import KIND, TUNED
from local_mode.front_door.page.reading import Listing, Reader
from local_mode.front_door.page.training import Progress
from local_mode.front_door.page.units import duration, moment, number
from local_mode.front_door.resources import Document


@dataclass(frozen=True)
class TuningRow:
    """A tuning job in a list; counts: its training jobs by their statuses; best: the best value so far."""

    name: str
    status: str
    failure: str
    strategy: str
    objective: str
    created: str
    seconds: str
    progress: Progress
    counts: str
    best: str


@dataclass(frozen=True)
class Attempt:
    """A training job of a tuning job; chosen: what was tried."""

    name: str
    status: str
    value: str
    chosen: str
    best: bool


@dataclass(frozen=True)
class TuningView:
    """All that the page of a tuning job shows."""

    row: TuningRow
    attempts: Sequence[Attempt]


class Tunings:
    """Reads tuning jobs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def listing(self, number: int) -> tuple[Listing, Sequence[TuningRow]]:
        """A page of tuning jobs, the newest first."""
        listing = self._reader.newest(KIND, number)
        return listing, [_row(each, self._jobs(each)) for each in listing.documents]

    def view(self, name: str) -> TuningView | None:
        """A tuning job; None where there is none of its name."""
        document = self._reader.get(KIND, name)
        if document is None:
            return None
        jobs = self._jobs(document)
        best = _best(document, jobs)
        return TuningView(_row(document, jobs), [_attempt(document, job, best) for job in jobs])

    def _jobs(self, document: Document) -> list[Document]:
        return self._reader.named(TRAINING_KIND, list(document["Jobs"]))


def _row(document: Document, jobs: Sequence[Document]) -> TuningRow:
    config = document["HyperParameterTuningJobConfig"]
    objective = config["HyperParameterTuningJobObjective"]
    statuses = Counter(str(job["TrainingJobStatus"]) for job in jobs)
    ended = document.get("HyperParameterTuningEndTime") or time.time()
    done = sum(statuses[status] for status in ENDED)
    best = _best(document, jobs)
    return TuningRow(
        document["HyperParameterTuningJobName"],
        document["HyperParameterTuningJobStatus"],
        document.get("FailureReason") or "",
        config["Strategy"],
        f"{objective['Type'].lower()} {objective['MetricName']}",
        moment(document["CreationTime"]),
        duration(ended - document["CreationTime"]),
        Progress(
            done, (config.get("ResourceLimits") or {}).get("MaxNumberOfTrainingJobs") or max(1, len(jobs)), "jobs"
        ),
        ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())),
        "" if best is None else number(best),
    )


def _attempt(document: Document, job: Document, best: float | None) -> Attempt:
    value = _value(document, job)
    chosen = ", ".join(f"{name} = {each}" for name, each in sorted((job.get(TUNED) or {}).items()))
    shown = "" if value is None else number(value)
    return Attempt(job["TrainingJobName"], job["TrainingJobStatus"], shown, chosen, value is not None and value == best)


def _best(document: Document, jobs: Sequence[Document]) -> float | None:
    values = [value for job in jobs if (value := _value(document, job)) is not None]
    objective = document["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return (min if objective["Type"] == "Minimize" else max)(values, default=None)


def _value(document: Document, job: Document) -> float | None:
    """The final objective of a job that did not fail."""
    metric = document["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    if job["TrainingJobStatus"] == "Failed":
        return None
    return next((each["Value"] for each in job.get("FinalMetricDataList") or [] if each["MetricName"] == metric), None)
