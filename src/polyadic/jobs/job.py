"""A training job as an algorithm sees it: settings and data in, lines, metrics and snapshots out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch

from polyadic.distributed import World
from polyadic.jobs.channels import Channel
from polyadic.jobs.checkpoints import Checkpoints, Snapshot
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.metrics import NoScalars, Scalars

H_co = TypeVar("H_co", bound=Hyperparameters, covariant=True)


class Boundary(NamedTuple):
    """What to do at a step boundary: end the fit, keep a snapshot."""

    stop: bool
    save: bool


@dataclass(frozen=True, kw_only=True)
class Job(Generic[H_co]):
    """A training job as an algorithm sees it.

    algorithm: its name, for messages. output: the folder for reports; None where none are written.
    stop_requested: whether the job was told to end. dry_run: whether it ends after its first step.
    """

    algorithm: str
    hyperparameters: H_co
    world: World
    channels: Mapping[str, Channel]
    checkpoints: Checkpoints
    host: str = "algo-1"
    stop_requested: Callable[[], bool] = lambda: False
    dry_run: bool = False
    output: Path | None = None
    scalars: Scalars = field(default_factory=NoScalars)

    def boundary(self, step: int, stride_on_gpu: int = 1) -> Boundary:
        """What to do at this step boundary: one collective, answered alike on every rank.

        On a GPU it waits for the work under way, so a fit with short steps passes `stride_on_gpu`: only every
        `stride_on_gpu`-th boundary is looked at.
        """
        if self.world.device.type == "cuda" and step % stride_on_gpu and not self.dry_run:
            return Boundary(stop=False, save=False)
        stop = self.stop_requested() or self.dry_run
        save = self.world.rank == 0 and self.checkpoints.due()
        flags = self.world.sum_(torch.tensor([stop, save], dtype=torch.int32, device=self.world.device))
        return Boundary(*(flag > 0 for flag in flags.tolist()))

    def resume(self) -> Snapshot | None:
        """The newest snapshot, the same on every rank; None where nothing was kept. A collective."""
        return self.world.from_first(self.checkpoints.latest() if self.world.rank == 0 else None)

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot; that of rank 0 stands for all ranks."""
        if self.world.rank == 0:
            self.checkpoints.save(snapshot)

    def metric(self, name: str, value: float, where: Mapping[str, int] | None = None, *, unit: str = "loss") -> None:
        """Prints a metric line in the form of SageMaker's own algorithms and records the scalar, both from rank 0.

        where: the counters that say when the value was measured, such as {"epoch": 3}; the first is the step.
        """
        where = where or {}
        counters = "".join(f", {counter}={number}" for counter, number in where.items())
        self.line(f"#quality_metric: host={self.host}{counters}, {name} <{unit}>={value:.10g}")
        if self.world.rank == 0:
            self.scalars.record(name, value, where)

    def line(self, text: str) -> None:
        """Prints a line to stdout, from rank 0."""
        if self.world.rank == 0:
            print(f"{text}\n", end="", flush=True)  # One write: lines of the two streams must not run together.

    def note(self, text: str) -> None:
        """Prints a line for people to stderr, from rank 0."""
        if self.world.rank == 0:
            print(f"{text}\n", end="", file=sys.stderr, flush=True)
