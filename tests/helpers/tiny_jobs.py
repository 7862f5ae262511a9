"""Jobs of a size for tests: hyperparameters as strings, a few kilobytes of data, no container."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from polyadic.algorithms import Algorithm, algorithms, choose
from polyadic.distributed import World
from polyadic.jobs.job import Channel, Checkpoints, Job, Snapshot
from polyadic.training.checkpoint import NoCheckpoints

CP = {"algorithm": "cp", "rank": "2", "max_iterations": "8", "tol": "0", "dtype": "float64"}
FORECASTER = {
    "time_freq": "H",
    "context_length": "6",
    "prediction_length": "3",
    "epochs": "2",
    "num_cells": "4",
    "num_layers": "1",
    "mini_batch_size": "4",
    "learning_rate": "0.01",
    "num_eval_samples": "10",
}
TUCKER = {"algorithm": "tucker", "ranks": "[3, 2, 2]", "method": "hooi", "max_iterations": "8", "stop_tol": "0"}
TUCKER |= {"dtype": "float64"}
TENSOR_TRAIN = {"algorithm": "tensor-train", "max_rank": "2", "missing": "mask", "max_iterations": "8", "stop_tol": "0"}
TENSOR_TRAIN |= {"dtype": "float64"}
LDA = {"algorithm": "lda", "num_topics": "2", "feature_dim": "8", "refine_iterations": "6"}
LDA |= {"refine_starts": "1"}
SETTINGS: dict[str, dict[str, str]] = {
    "cp": CP,
    "forecaster": FORECASTER,
    "lda": LDA,
    "tensor-train": TENSOR_TRAIN,
    "tucker": TUCKER,
}


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


DATA: dict[str, Callable[[], dict[str, dict[str, bytes]]]] = {
    "cp": lambda: {"train": {"tensor.npy": npy_bytes(tensor())}},
    "forecaster": lambda: {
        "train": {"a.json": lines(records()), "b.json.gz": gzip.compress(lines(records(2, 30)))},
        "test": {"a.json": lines(records())},
    },
    "lda": lambda: {
        "train": {"counts.csv": rows_csv(documents())},
        "test": {"counts.csv": rows_csv(documents(6))},
        "vocabulary": {"terms.txt": "".join(f"term{number}\n" for number in range(8)).encode()},
    },
    "tensor-train": lambda: {"train": {"tensor.npy": npy_bytes(with_gaps(tensor()))}},
    "tucker": lambda: {"train": {"tensor.npy": npy_bytes(tensor())}},
}
INSTANCES: dict[str, list[Any]] = {
    "cp": [{"index": [i, j, k]} for i, j, k in ((0, 0, 0), (5, 4, 3), (2, 1, 3))],
    "forecaster": [{"start": "2021-05-01 03:00:00", "target": record["target"]} for record in records(3, 12)],
    "lda": [
        {"features": [3, 0, 2, 0, 4, 0, 1, 0]},
        {"data": {"features": {"keys": [1, 5], "shape": [8], "values": [2, 3]}}},
        {"data": {"features": {"values": [0, 0, 0, 0, 0, 0, 0, 0]}}},
    ],
    "tensor-train": [{"index": [5, 4, 3]}, {"index": [0, None, 1]}, {"index": [2, 1, None], "top_k": 2}],
    "tucker": [{"index": [5, 4, 3]}, {"index": [0, None, 1]}, {"index": [2, 1, None], "top_k": 2}],
}


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
    given = {"world": world or World.alone(), "channels": opened, "checkpoints": checkpoints or NoCheckpoints()}
    return algorithm, Job(algorithm=algorithm.NAME, hyperparameters=settings, **given, **more)


def tiny(
    name: str, folder: Path, changes: Mapping[str, object] | None = None, **more: Any
) -> tuple[Algorithm, Job[Any]]:
    """The tiny job of an algorithm."""
    return job({**SETTINGS[name], **(changes or {})}, folder, DATA[name](), **more)


def train(name: str, folder: Path, changes: Mapping[str, object] | None = None, **more: Any) -> Any:
    """The model of an algorithm's tiny job."""
    algorithm, prepared = tiny(name, folder, changes, **more)
    return algorithm.fit(prepared)


def covers_every_algorithm() -> bool:
    """Whether each algorithm of the package has a tiny job here."""
    return SETTINGS.keys() == DATA.keys() == INSTANCES.keys() == algorithms().keys()
