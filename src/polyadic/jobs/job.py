"""What an algorithm is given to do its work, and what it declares of itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.hyperparameters import Hyperparameters

H_co = TypeVar("H_co", bound=Hyperparameters, covariant=True)


@dataclass(frozen=True)
class Channel:
    """A channel's files on this host. `divided` is true where each host has files of its own (ShardedByS3Key).

    Of a `piped` channel the one file is a FIFO, which one process can read, and only once.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    divided: bool = False
    content_type: str | None = None
    piped: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A fit's state at one step: tensors, and numbers beside them."""

    step: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, float]


class Checkpoints(Protocol):
    """Where snapshots are kept; a place that keeps nothing is one too."""

    def due(self) -> bool:
        """Whether enough time has gone by since the last one."""

    def save(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot, whole or not at all."""

    def latest(self) -> Snapshot | None:
        """The newest one that is whole."""


class Scalars(Protocol):
    """Where metrics are kept to be drawn as curves; a place that keeps nothing is one too."""

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        """Keeps a metric's value at the step that `where` names; a fault of the place is not the job's."""


class NoScalars:
    """The scalars of a job whose curves nobody draws."""

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        """Keeps nothing."""


class Boundary(NamedTuple):
    """Whether to end here, and whether to keep a snapshot."""

    stop: bool
    save: bool


@dataclass(frozen=True)
class Job(Generic[H_co]):
    """A training job as an algorithm sees it. `output` is where reports go; None writes none."""

    hyperparameters: H_co
    world: World
    channels: Mapping[str, Channel]
    checkpoints: Checkpoints
    algorithm: str = ""
    host: str = "algo-1"
    stop_requested: Callable[[], bool] = lambda: False
    dry_run: bool = False
    output: Path | None = None
    scalars: Scalars = field(default_factory=NoScalars)

    def boundary(self, step: int, stride_on_gpu: int = 1) -> Boundary:
        """What to do at this step boundary: one collective, answered alike on every rank.

        On a GPU it waits for the work under way; short steps look at every `stride_on_gpu`-th boundary only.
        """
        if self.world.device.type == "cuda" and step % stride_on_gpu and not self.dry_run:
            return Boundary(stop=False, save=False)
        stop = self.stop_requested() or self.dry_run
        save = self.world.rank == 0 and self.checkpoints.due()
        flags = self.world.sum_(torch.tensor([stop, save], dtype=torch.int32, device=self.world.device))
        return Boundary(*(flag > 0 for flag in flags.tolist()))

    def metric(self, name: str, value: float, where: Mapping[str, int] | None = None, *, unit: str = "loss") -> None:
        """Prints a metric line in the form of SageMaker's own algorithms, and records the scalar, from rank 0.

        The first number of `where` is the step.
        """
        where = where or {}
        place = "".join(f", {key}={number}" for key, number in where.items())
        self.line(f"#quality_metric: host={self.host}{place}, {name} <{unit}>={value:.10g}")
        if self.world.rank == 0:
            self.scalars.record(name, value, where)

    def line(self, text: str) -> None:
        """Prints a line from rank 0."""
        if self.world.rank == 0:
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Prints a line for people, on stderr, from rank 0."""
        if self.world.rank == 0:
            print(text, file=sys.stderr, flush=True)

    def files(self, channel: str, suffixes: tuple[str, ...]) -> list[Path]:
        """This host's files of a channel that have one of the suffixes; UserError where no host has any."""
        here = self.channels[channel]
        files = [path for path in here.files if path.name.endswith(suffixes)]
        if not self.world.any(bool(files)):
            found = ", ".join(path.name for path in here.files[:5]) or "nothing"
            raise UserError(
                f"channel {channel} holds no data: no file ends in {' or '.join(suffixes)} (found: {found} in "
                f"{here.folder})"
            )
        return files


@dataclass(frozen=True)
class ChannelSpec:
    """A channel that an algorithm reads; `pipes` where it can do so in Pipe mode."""

    name: str
    about: str
    content_types: tuple[str, ...]
    required: bool = True
    pipes: bool = False


@dataclass(frozen=True)
class Metric:
    """A metric that an algorithm prints: its line's name, such as `test RMSE`, and its unit."""

    name: str
    unit: str = "loss"
    minimize: bool = True
    objective: bool = False
    about: str = field(default="", compare=False)

    @property
    def definition(self) -> dict[str, str]:
        """SageMaker's MetricDefinition."""
        regex = rf"#quality_metric: host=\S+, (?:\w+=\d+, )*{self.name} <{self.unit}>=(\S+)"
        return {"Name": self.name.replace(" ", ":", 1), "Regex": regex}


class Model(Protocol):
    """A trained model: it writes itself down, and answers requests."""

    def artifact(self) -> Artifact:
        """Everything that `load` needs."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Any:
        """An instance of a request, checked; UserError otherwise."""

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        """One answer a parsed instance, whatever its neighbours are."""

    def example(self) -> object:
        """An instance that `parse` accepts, to warm up with."""


@runtime_checkable
class Reporting(Protocol):
    """A model that can also show itself."""

    def report(self, folder: Path) -> None:
        """Writes tables and pictures of the model into a folder."""


@runtime_checkable
class Tabular(Protocol):
    """A model whose requests and answers may be tables of numbers: text/csv and application/x-npy."""

    def from_table(self, table: Any) -> list[Any]:
        """The instances of a table, a list of rows or an array."""

    def to_table(self, predictions: list[dict[str, Any]]) -> Any:
        """The rows of the answers: an array, or a list where they differ in length. UserError where they are none."""


@runtime_checkable
class Recorded(Protocol):
    """A model whose requests may be application/x-recordio-protobuf; its answers are then the records' labels."""

    def from_records(self, rows: Any) -> list[Any]:
        """The instances of records of counts."""
