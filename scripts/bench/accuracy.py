"""The forecaster's accuracy, three seeds of each recipe, against baselines and published figures.

A recipe is a file of hyperparameters (recipes/NAME.json), trained as a job through `local_mode`, two jobs at a time.
`python -m scripts.bench.accuracy NAME ...` runs some of the tasks alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from polyadic.algorithms import forecaster
from polyadic.algorithms.forecaster.model import Model
from polyadic.artifact import Artifact
from scripts.bench import accuracy_tasks as tasks
from scripts.bench.accuracy_tasks import Record, Task, Values

RECIPES = Path(__file__).parent / "recipes"
SEEDS, JOBS_AT_ONCE = (0, 1, 2), 2
WINDOWS_AT_ONCE, PATHS = 2048, 100
TASKS: dict[str, Callable[[], Task]] = {
    "los_speed": tasks.los_speed,
    "los_speed_far": tasks.los_speed_far,
    "trentino": tasks.trentino,
    "genz_f1": lambda: tasks.genz("f1"),
    "genz_f2": lambda: tasks.genz("f2"),
    "genz_f4": lambda: tasks.genz("f4"),
    "lorenz": tasks.lorenz,
    "etth1_96": lambda: tasks.etth1(96),
    "etth1_336": lambda: tasks.etth1(336),
    "exchange_rate": tasks.exchange_rate,
}


@dataclass(frozen=True)
class Result:
    """The errors of one seed, the number of weights, and the seconds that the job took."""

    errors: list[float]
    weights: int
    seconds: float


def run(names: Sequence[str] = tuple(TASKS)) -> None:
    """Prints a table for each task."""
    if not tasks.DATA.is_dir():
        print("skipped: there is no ../shared/data")
        return
    for name in names:
        task = TASKS[name]()
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
            folder = Path(scratch)
            channels = [_write(folder, "train", task.train), *_maybe(folder, task)]
            jobs = {
                (row, seed): pool.submit(_once, task, recipe, seed, channels, folder / f"{row}-{seed}")
                for row, recipe in task.recipes.items()
                for seed in SEEDS
            }
            results = {row: [jobs[row, seed].result() for seed in SEEDS] for row in task.recipes}
        _print(task, results)


def _maybe(folder: Path, task: Task) -> list[str]:
    return [_write(folder, "validation", task.validation)] if task.validation else []


def _write(folder: Path, channel: str, records: Sequence[Record]) -> str:
    """A channel of one file of JSON Lines, as `local_mode` takes it."""
    (folder / channel).mkdir()
    (folder / channel / "series.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    return f"{channel}={folder / channel}"


def _once(task: Task, recipe: str, seed: int, channels: Sequence[str], folder: Path) -> Result:
    """One job, run as a container would run it, and its errors on the task's test windows."""
    folder.mkdir()
    settings = json.loads((RECIPES / f"{recipe}.json").read_text()) | {"seed": str(seed)}
    (folder / "hyperparameters.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "local_mode", "train", "--output", str(folder / "out")]
    command += ["--hyperparameters", str(folder / "hyperparameters.json")]
    command += [part for channel in channels for part in ("--data", channel)]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // JOBS_AT_ONCE)), "OMP_WAIT_POLICY": "PASSIVE"}
    began = perf_counter()
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{recipe}, seed {seed}: {done.stderr[-2000:]}")
    seconds = perf_counter() - began
    with tarfile.open(folder / "out" / "model.tar.gz") as archive:
        archive.extractall(folder / "model", filter="data")
    model = forecaster.load(Artifact.read(folder / "model"))
    weights = sum(weight.numel() for weight in model.network.parameters())
    return Result(task.errors(_forecast(task, model)), weights, seconds)


def _forecast(task: Task, model: Model) -> Values:
    """The mean forecast of every test window."""
    found, windows = [], len(task.test.context)
    paths = PATHS if model.settings.decoder == "autoregressive" else 1
    for first in range(0, windows, WINDOWS_AT_ONCE):
        series = task.test.series(model.frequency, first, min(first + WINDOWS_AT_ONCE, windows))
        found.append(model.forecast(series, paths).mean_BP)
    return np.concatenate(found).astype(np.float64)


def _print(task: Task, results: Mapping[str, Sequence[Result]]) -> None:
    steps = " | ".join(f"{step}" for step in task.steps)
    print(f"\n| {task.title} ({task.unit}; {len(task.test.context):,} windows) | weights | {steps} | seconds |")
    print("|---" * (3 + len(task.steps)) + "|")
    for row, seeds in results.items():
        errors = np.array([one.errors for one in seeds])
        cells = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(errors.mean(0), errors.std(0, ddof=1), strict=True)]
        seconds = np.mean([one.seconds for one in seeds])
        print(f"| {row} | {seeds[0].weights:,} | {' | '.join(cells)} | {seconds:.0f} |")
    for name, forecast in task.peers.items():
        print(f"| {name} | | {' | '.join(f'{one:.3f}' for one in task.errors(forecast))} | |")
    for name, published in task.bars.items():
        print(f"| {name} | | {' | '.join(f'{one:.3f}' for one in published)} | |", flush=True)


if __name__ == "__main__":
    run(sys.argv[1:] or tuple(TASKS))
