"""Jobs of a size for tests: hyperparameters as strings, a few kilobytes of data, no container."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from polyadic.algorithms import ALGORITHMS, choose
from polyadic.distributed import World
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import Channel
from polyadic.jobs.checkpoints import Checkpoints, Snapshot
from polyadic.jobs.job import Job
from polyadic.training.checkpoint import NoCheckpoints

_CONSTANTS = {"CP": "cp", "FORECASTER": "forecaster", "LDA": "lda", "TENSOR_TRAIN": "tensor-train", "TUCKER": "tucker"}


def __getattr__(name: str) -> dict[str, str]:
    """CP, FORECASTER and so on: the hyperparameters of an algorithm's tiny job; its package is read when asked for."""
    if name not in _CONSTANTS:
        raise AttributeError(name)
    return dict(ALGORITHMS[_CONSTANTS[name]].tiny_job.hyperparameters)


def npy_bytes(array: Any, allow_pickle: bool = False) -> bytes:
    """What numpy.save writes."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def lines(records: Sequence[object]) -> bytes:
    """JSON Lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def records(count: int = 4, length: int = 24) -> list[dict[str, Any]]:
    """Noisy series, each of its own level, one value missing."""
    random, made = np.random.default_rng(0), []
    for number in range(count):
        target: list[float | None] = (5 + number + random.normal(size=length)).round(3).tolist()
        target[2] = None
        made.append({"start": f"2021-03-0{number + 1} 00:00:00", "target": target})
    return made


def tensor() -> Any:
    """6 x 5 x 4, of low rank but for some noise."""
    random = np.random.default_rng(0)
    factors = [random.random((rows, 3)) for rows in (6, 5, 4)]
    return np.einsum("ir,jr,kr->ijk", *factors) + 0.05 * random.random((6, 5, 4))


def with_gaps(array: Any) -> Any:
    """The same tensor, three of its entries not known."""
    array = array.copy()
    array[[0, 3, 5], [0, 2, 4], [1, 2, 3]] = np.nan
    return array


def documents(count: int = 40) -> Any:
    """Counts of 8 terms: half of the documents have the even terms more often, the others the odd ones."""
    random = np.random.default_rng(0)
    weights = np.where(np.arange(8) % 2 == np.arange(count)[:, None] % 2, 6.0, 1.0)
    return np.stack([random.multinomial(12, row / row.sum()) for row in weights])


def rows_csv(counts: Any) -> bytes:
    """Comma-separated counts, a document a line."""
    return "".join(",".join(map(str, row)) + "\n" for row in counts.tolist()).encode()


class Kept(NoCheckpoints):
    """Checkpoints in memory, one at every step boundary."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def due(self) -> bool:
        return True

    def save(self, snapshot: Snapshot) -> None:
        tensors = {name: value.detach().clone() for name, value in snapshot.tensors.items()}
        self.snapshots.append(Snapshot(snapshot.step, tensors, dict(snapshot.numbers)))

    def latest(self) -> Snapshot | None:
        return self.snapshots[-1] if self.snapshots else None


def lay_out(folder: Path, channels: Mapping[str, Mapping[str, bytes]]) -> dict[str, Channel]:
    """Writes channels of files and opens them."""
    opened = {}
    for name, files in channels.items():
        paths = []
        for file, data in files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            paths.append(path)
        (folder / name).mkdir(parents=True, exist_ok=True)
        opened[name] = Channel(name, folder / name, tuple(paths))
    return opened


def job(
    raw: Mapping[str, object],
    folder: Path,
    channels: Mapping[str, Mapping[str, bytes]],
    checkpoints: Checkpoints | None = None,
    world: World | None = None,
    **more: Any,
) -> tuple[Algorithm, Job[Any]]:
    """A job of these hyperparameters and files."""
    algorithm, settings = choose(raw)
    opened = lay_out(folder, channels)
    return algorithm, Job(
        algorithm=algorithm.name,
        hyperparameters=settings,
        world=world or World.alone(),
        channels=opened,
        checkpoints=checkpoints or NoCheckpoints(),
        **more,
    )


def tiny(
    name: str, folder: Path, changes: Mapping[str, object] | None = None, **more: Any
) -> tuple[Algorithm, Job[Any]]:
    """The tiny job of an algorithm."""
    given = ALGORITHMS[name].tiny_job
    return job({**given.hyperparameters, **(changes or {})}, folder, given.channels(), **more)


def train(name: str, folder: Path, changes: Mapping[str, object] | None = None, **more: Any) -> Any:
    """The model of an algorithm's tiny job."""
    algorithm, prepared = tiny(name, folder, changes, **more)
    return algorithm.fit(prepared)
