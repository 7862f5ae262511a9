"""A forecaster's job without its container: trained through `fit`, its lines unprinted, its speed kept."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polyadic.algorithms import forecaster
from polyadic.algorithms.forecaster.model import Model
from polyadic.distributed import World
from polyadic.forecasting.series import Series
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Boundary, Job
from polyadic.training.checkpoint import NoCheckpoints
from scripts.bench.forecast_data import write


@dataclass(frozen=True)
class Trained:
    """A model, the median speed of its epochs but the first (windows per second), and the steps of an epoch."""

    model: Model
    speed: float
    steps: int


def train(
    settings: forecaster.Hyperparameters, series: list[Series], world: World | None = None, dry_run: bool = False
) -> Trained:
    """Trains on all of the series; a dry run takes a single step, for a network that is as good as new."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        job = _Timed(
            algorithm="forecaster",
            hyperparameters=settings,
            world=world or World.alone(),
            channels={"train": Channel("train", folder, (write(series, folder),))},
            checkpoints=NoCheckpoints(),
            dry_run=dry_run,
        )
        model = forecaster.fit(job)
    speeds = job.speeds[1:] or job.speeds or [float("nan")]
    return Trained(model, statistics.median(speeds), max(job.steps))


@dataclass(frozen=True, kw_only=True)
class _Timed(Job[forecaster.Hyperparameters]):
    speeds: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def boundary(self, step: int, stride_on_gpu: int = 1) -> Boundary:
        """As in any job, and the step is kept."""
        self.steps.append(step)
        return super().boundary(step, stride_on_gpu)

    def metric(self, name: str, value: float, where: Mapping[str, int] | None = None, *, unit: str = "loss") -> None:
        """Keeps the speed of an epoch."""
        if name == "train windows_per_second":
            self.speeds.append(value)

    def line(self, text: str) -> None:
        """Prints nothing."""

    def note(self, text: str) -> None:
        """Prints nothing."""
