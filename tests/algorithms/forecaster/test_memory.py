"""A forecaster's training data stay on the disk: memory does not grow with them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from polyadic.algorithms import choose
from polyadic.distributed import World
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.ranks import on_ranks

STATUS = Path("/proc/self/status")
SETTINGS = {
    "time_freq": "H",
    "context_length": "12",
    "prediction_length": "4",
    "epochs": "1",
    "num_cells": "4",
    "decoder": "direct",
    "scaling": "train",
}
LENGTH, MANY, FEW, STEPS = 20_000, 512, 16, 20
VALUES = 2
"""Of a point: its target and a dynamic feature."""


def write(path: Path, series: int) -> Path:
    """Noise about 10: 16 series again and again, which a file says in full each time."""
    random = np.random.default_rng(0)

    def lists(values: pa.Array, length: int) -> pa.Array:
        return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, length, dtype=np.int32), values)

    target, feature = (pa.array((10 + random.normal(size=16 * LENGTH)).astype(np.float32)) for _ in range(2))
    columns = {
        "start": pa.array(["2001-01-01 00:00:00"] * 16),
        "target": lists(target, LENGTH),
        "dynamic_feat": lists(lists(feature, LENGTH), 1),
    }
    table = pa.concat_tables([pa.table(columns)] * (series // 16))
    parquet.write_table(table, path, use_dictionary=False, compression="none")
    return path


def anonymous() -> int:
    """Bytes of this process that no file holds."""
    found = re.search(r"RssAnon:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return 1024 * int(found[1])


@contextmanager
def watched(seen: list[int]) -> Iterator[None]:
    """Looks at the memory every few milliseconds."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(anonymous())
            time.sleep(0.004)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def peak(path: Path, world: World) -> int:
    """The most memory of a job that trains on a file for some steps, with the same file to validate on."""
    algorithm, settings = choose(SETTINGS)
    channels = {name: Channel(name, path.parent, (path,)) for name in ("train", "validation")}
    steps = iter(range(STEPS))
    stop = Job(
        algorithm=algorithm.name,
        hyperparameters=settings,
        world=world,
        channels=channels,
        checkpoints=NoCheckpoints(),
        stop_requested=lambda: next(steps, None) is None,
    )
    seen: list[int] = []
    with watched(seen):
        algorithm.fit(stop)
    return max(seen)


def peaks(world: World, paths: list[Path]) -> list[int]:
    """One after the other, in a process that is as good as new."""
    return [peak(path, world) for path in paths]


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells what is anonymous")
@pytest.mark.alone
def test_memory_does_not_grow_with_the_training_data(tmp_path: Path) -> None:
    few, many = (write(tmp_path / f"{series}.parquet", series) for series in (FEW, MANY))
    ((small, large),) = on_ranks(1, peaks, [few, many], fresh=True)
    data = 2 * 4 * VALUES * MANY * LENGTH
    assert 5 * (large - small) < data, f"{(large - small) / 1e6:.0f} MB more, of {data / 1e6:.0f} MB of data"
