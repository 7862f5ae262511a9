"""The first minute against `import torch`: a job's first metric line, its end, the import of the library.

POLYADIC_IMAGE=NAME measures containers of an image beside the processes of this machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scripts.bench.measure import OURS, Bound, Case, in_turn, seconds

SHAPE, RANK, NOISE, ROUNDS = (30, 40, 50), 5, 0.01, 5
MOST_TO_METRIC, MOST_TO_END = 1.3, 2.0
"""In units of what `import torch` takes."""
MOST_OVER_TORCH = 0.3
"""Seconds that the library's import may take beyond that of torch."""
FLOOR, JOB, LIBRARY = "import torch", "a cp job", "import polyadic.decomposition"


def run() -> Iterator[Case]:
    """Each contender in a process of its own, one after the other; then, where there is an image, in containers."""
    image = os.environ.get("POLYADIC_IMAGE")
    yield from _measured("", "on this machine", None)
    if image:
        yield from _measured("image_", "in a container", image)


def _measured(key: str, where: str, image: str | None) -> Iterator[Case]:
    to_metric: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(Path(folder))
        train = ["train"] if image else ["-m", "polyadic.training.launcher"]

        def job() -> None:
            to_metric.append(_seconds_to_metric(_command(image, Path(folder), train), Path(folder)))

        took = in_turn(
            {
                FLOOR: lambda: seconds(lambda: _import(image, FLOOR)),
                LIBRARY: lambda: seconds(lambda: _import(image, LIBRARY)),
                JOB: lambda: seconds(job),
            },
            ROUNDS,
        )
    floor, metric = took[FLOOR], statistics.median(to_metric[1:])
    over = took[LIBRARY] - floor
    for name, title, value, bound in (
        ("metric", f"{JOB} to its first metric", metric, Bound(f"relative to {FLOOR}", metric / floor, MOST_TO_METRIC)),
        ("end", f"{JOB} to its end", took[JOB], Bound(f"relative to {FLOOR}", took[JOB] / floor, MOST_TO_END)),
        ("library", LIBRARY, took[LIBRARY], Bound(f"beyond {FLOOR}", over, MOST_OVER_TORCH, unit="seconds")),
    ):
        figures = {OURS: value, FLOOR: floor}
        yield Case(
            key=key + name,
            title=f"{title}, {where}",
            figures=figures,
            unit="seconds",
            roles={FLOOR: "floor"},
            bounds=[bound],
        ).reported()


def _lay_out(base: Path) -> None:
    """The folder of a job on a noisy tensor of low rank."""
    random = np.random.default_rng(0)
    factors = [random.random((rows, RANK)) for rows in SHAPE]
    tensor = np.einsum("ir,jr,kr->ijk", *factors) + NOISE * random.standard_normal(SHAPE)
    (base / "input" / "data" / "train").mkdir(parents=True)
    np.save(base / "input" / "data" / "train" / "tensor.npy", tensor)
    (base / "input" / "config").mkdir()
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps({"algorithm": "cp", "rank": str(RANK)}))


def _command(image: str | None, base: Path, arguments: Sequence[str]) -> list[str]:
    """A command of this machine's Python, or of an image's entry point."""
    if image is None:
        return [sys.executable, *arguments]
    return ["docker", "run", "--rm", "--volume", f"{base}:/opt/ml", image, *arguments]


def _import(image: str | None, statement: str) -> None:
    with tempfile.TemporaryDirectory() as nothing:
        arguments = ["-c", statement] if image is None else ["python3", "-c", statement]
        subprocess.run(_command(image, Path(nothing), arguments), check=True)


def _seconds_to_metric(command: Sequence[str], base: Path) -> float:
    """Runs a job to its end; when its first metric came."""
    began, first = time.perf_counter(), None
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if first is None and line.startswith("#quality_metric"):
                first = time.perf_counter() - began
    if process.returncode or first is None:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return first
