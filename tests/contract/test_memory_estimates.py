"""What a job says that it needs, beside the most that its process held: within a factor of 1.5 of each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.opt_ml import ROOT, OptMl

UNITS = {"MB": 1e6, "GB": 1e9}
SHORT = {"max_iterations": "3", "stop_tol": "0"}
# A process of its own between this one and the job: the peak of a child begins with that of its parent.
MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
print(done.stdout)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""


@dataclass(frozen=True)
class Case:
    """A job, and what writes its only file."""

    settings: Mapping[str, str]
    file: str
    write: Callable[[Path], None]


def dense(*shape: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        random = np.random.default_rng(0)
        rows = [random.random((n, 5), np.float32) for n in shape]
        np.save(path, np.einsum("iz,jz,kz->ijk", *rows, optimize=True))

    return write


def sparse(shape: tuple[int, ...], records: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        random = np.random.default_rng(0)
        columns = {f"mode{n}": random.integers(0, rows, records).astype("int32") for n, rows in enumerate(shape)}
        pq.write_table(pa.table({**columns, "value": random.random(records, np.float32)}), path)

    return write


def with_gaps(*shape: int) -> Callable[[Path], None]:
    """A dense tensor, a third of whose entries are unknown."""

    def write(path: Path) -> None:
        random = np.random.default_rng(0)
        tensor = random.random(shape, np.float32)
        tensor[random.random(shape, np.float32) < 1 / 3] = np.nan
        np.save(path, tensor)

    return write


def documents(count: int, terms: int) -> Callable[[Path], None]:
    """Documents of 12 words, by two of 40 topics each."""

    def write(path: Path) -> None:
        random = np.random.default_rng(0)
        topics = np.stack([random.permutation(terms) for _ in range(40)])
        places = np.minimum((random.pareto(1.0, (count, 12)) * 10).astype(int), terms - 1)
        words = topics[random.integers(0, 40, (count, 2))[np.arange(count)[:, None], np.arange(12) % 2], places]
        path.write_text(
            "".join(f"{len(set(row))} " + " ".join(f"{w}:1" for w in set(row)) + "\n" for row in words.tolist())
        )

    return write


def series(path: Path) -> None:
    random, hours = np.random.default_rng(0), np.arange(1000)
    lines = [
        {
            "start": "2020-01-01 00:00:00",
            "target": (10 + np.sin(hours / 3.8 + n) + random.normal(0, 0.1, 1000)).tolist(),
        }
        for n in range(10)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def samples(count: int, *shape: int) -> Callable[[Path], None]:
    """Tensors, and the sum of a few of their numbers."""

    def write(path: Path) -> None:
        x = np.random.default_rng(0).standard_normal((count, *shape), np.float32)
        np.savez(path, x=x, label=x.reshape(count, -1)[:, :3].sum(1))

    return write


REGRESSOR = {"algorithm": "tensor-regression", "predictor_type": "regressor", "rank": "3"}
FORECASTER = {
    "time_freq": "H", "context_length": "200", "prediction_length": "48", "epochs": "1", "mini_batch_size": "192",
    "num_eval_samples": "50", "cell": "lstm", "num_cells": "100",
}  # fmt: skip
CASES = {
    "cp": Case({"rank": "20", **SHORT}, "a.npy", dense(420, 420, 420)),
    "cp-sparse": Case({"rank": "16", **SHORT}, "a.parquet", sparse((100_000, 20_000, 1_000), 4_000_000)),
    "cp-rows": Case({"rank": "32", **SHORT}, "a.parquet", sparse((2_000_000, 20_000, 1_000), 200_000)),
    "cp-poisson": Case(
        {"rank": "8", "loss": "poisson", **SHORT}, "a.parquet", sparse((200_000, 20_000, 1_000), 200_000)
    ),
    "cp-observed": Case(
        {"rank": "24", "entries": "missing", **SHORT}, "a.parquet", sparse((50_000, 20_000, 1_000), 500_000)
    ),
    "cp-ratings": Case({"rank": "5", "entries": "missing", **SHORT}, "a.parquet", sparse((3000, 2000, 500), 4_000_000)),
    "cp-gaps": Case({"rank": "8", "missing": "mask", **SHORT}, "a.npy", with_gaps(320, 320, 320)),
    "tucker": Case(
        {"algorithm": "tucker", "ranks": "[30,30,30]", "method": "hooi", **SHORT}, "a.npy", dense(350, 350, 350)
    ),
    "tensor-train": Case({"algorithm": "tensor-train", "max_rank": "10"}, "a.npy", dense(420, 420, 420)),
    "lda": Case(
        {"num_topics": "40", "feature_dim": "60000", "refine_iterations": "12"}, "a.ldac", documents(100_000, 60_000)
    ),
    "forecaster": Case(FORECASTER, "a.json", series),
    "regression": Case({**REGRESSOR, "max_sweeps": "3"}, "a.npz", samples(8_000, 64, 64, 3)),
    "regression-tucker": Case(
        {**REGRESSOR, "max_sweeps": "2", "weight": "tucker"}, "a.npz", samples(4_000, 32, 32, 30)
    ),
    "regression-adam": Case(
        {**REGRESSOR, "solver": "adam", "epochs": "1", "mini_batch_size": "256"}, "a.npz", samples(6_000, 64, 64, 3)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_estimate_is_within_a_half_of_the_peak(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    job = OptMl(tmp_path / "ml", case.settings).channel("train", {case.file: b""})
    case.write(job.base / "input" / "data" / "train" / case.file)
    environment = {**job.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(Path.home())}
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(ROOT / "container" / "train")],
        env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:]
    said = re.search(r"needs about ([\d.,]+) (MB|GB) a process", run.stdout)
    assert said is not None, run.stdout[-4000:]
    estimate = float(said[1].replace(",", "")) * UNITS[said[2]]
    peak = float(run.stdout.split()[-1])
    assert 1 / 1.5 < estimate / peak < 1.5, f"{estimate / 1e9:.2f} GB estimated, {peak / 1e9:.2f} GB taken"
    assert peak > 0.6e9, "the job is too small to tell its needs from those of the program"
    print(f"{name}: {estimate / 1e9:.2f} GB estimated, {peak / 1e9:.2f} GB taken")
