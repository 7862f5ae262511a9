"""The forecaster's accuracy, three seeds of each recipe, against baselines and published figures.

A recipe is a file of hyperparameters (recipes/NAME.json), trained as a job through `local_mode`, two jobs in parallel.
`python -m scripts.bench accuracy_TASK ...` runs some of the tasks, `python -m scripts.bench accuracy` all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from scripts.bench.measure import Case, UnavailableError

RECIPES = Path(__file__).parent / "recipes"
SEEDS, PARALLEL_JOBS = (0, 1, 2), 2
BATCH_WINDOWS, PATHS = 2048, 100
OURS = "tt-lstm"
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


def run(name: str) -> Iterator[Case]:
    """Prints the table of a task; one case for each of its horizons."""
    if not tasks.DATA.is_dir():
        raise UnavailableError("there is no ../shared/data")
    task = TASKS[name]()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        folder = Path(scratch)
        channels = [_write(folder, "train", task.train)]
        channels += [_write(folder, "validation", task.validation)] if task.validation else []
        jobs = {
            (row, seed): pool.submit(_result, task, recipe, seed, channels, folder / f"{row}-{seed}")
            for row, recipe in task.recipes.items()
            for seed in SEEDS
        }
        results = {row: [jobs[row, seed].result() for seed in SEEDS] for row in task.recipes}
    _print(task, results)
    yield from cases(task, results)


def cases(task: Task, results: Mapping[str, Sequence[Result]]) -> Iterator[Case]:
    """The errors at each horizon. The target is to be no worse than what is published."""
    errors = {row: np.array([result.errors for result in seeds]) for row, seeds in results.items()}
    others = {**{name: task.errors(forecast) for name, forecast in task.peers.items()}, **task.published}
    for place, step in enumerate(task.steps):
        means = {row: float(values[:, place].mean()) for row, values in errors.items()}
        yield Case(
            key=f"step_{step}",
            title=f"{task.title}, {f'steps 1 to {step}' if task.upto else f'step {step}'}",
            figures={**means, **{name: values[place] for name, values in others.items()}},
            targets=dict.fromkeys(task.published, 1.0),
            unit=task.unit,
            spreads={row: float(values[:, place].std(ddof=1)) for row, values in errors.items()},
            facts=_sizes(results) if not place else {},
            ours=OURS,
        )


def _sizes(results: Mapping[str, Sequence[Result]]) -> dict[str, str]:
    """The weights and the seconds of each recipe."""
    texts = [
        f"{row} {seeds[0].weights:,} weights, {np.mean([result.seconds for result in seeds]):.0f} s"
        for row, seeds in results.items()
    ]
    return {"weights, and seconds per job": "; ".join(texts)}


def _write(folder: Path, channel: str, records: Sequence[Record]) -> str:
    """A channel of one file of JSON Lines, as `local_mode` takes it."""
    (folder / channel).mkdir()
    (folder / channel / "series.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    return f"{channel}={folder / channel}"


def _result(task: Task, recipe: str, seed: int, channels: Sequence[str], folder: Path) -> Result:
    """One job, run as a container would run it, and its errors on the task's test windows."""
    folder.mkdir()
    settings = json.loads((RECIPES / f"{recipe}.json").read_text()) | {"seed": str(seed)}
    (folder / "hyperparameters.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "local_mode", "train", "--output", str(folder / "out")]
    command += ["--hyperparameters", str(folder / "hyperparameters.json")]
    command += [part for channel in channels for part in ("--data", channel)]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // PARALLEL_JOBS)), "OMP_WAIT_POLICY": "PASSIVE"}
    began = perf_counter()
    process = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{recipe}, seed {seed}: {process.stderr[-2000:]}")
    seconds = perf_counter() - began
    with tarfile.open(folder / "out" / "model.tar.gz") as archive:
        archive.extractall(folder / "model", filter="data")
    model = forecaster.load(Artifact.read(folder / "model"))
    weights = sum(weight.numel() for weight in model.network.parameters())
    return Result(task.errors(_forecast(task, model)), weights, seconds)


def _forecast(task: Task, model: Model) -> Values:
    """The mean forecast of every test window."""
    forecasts, windows = [], len(task.test.context)
    paths = PATHS if model.settings.decoder == "autoregressive" else 1
    for first in range(0, windows, BATCH_WINDOWS):
        series = task.test.series(model.frequency, first, min(first + BATCH_WINDOWS, windows))
        forecasts.append(model.forecast(series, paths).mean_BP)
    return np.concatenate(forecasts).astype(np.float64)


def _print(task: Task, results: Mapping[str, Sequence[Result]]) -> None:
    steps = " | ".join(f"{step}" for step in task.steps)
    print(f"\n| {task.title} ({task.unit}; {len(task.test.context):,} windows) | weights | {steps} | seconds |")
    print("|---" * (3 + len(task.steps)) + "|")
    for row, seeds in results.items():
        errors = np.array([result.errors for result in seeds])
        cells = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(errors.mean(0), errors.std(0, ddof=1), strict=True)]
        seconds = np.mean([result.seconds for result in seeds])
        print(f"| {row} | {seeds[0].weights:,} | {' | '.join(cells)} | {seconds:.0f} |")
    others = {**{name: task.errors(forecast) for name, forecast in task.peers.items()}, **task.published}
    for name, values in others.items():
        print(f"| {name} | | {' | '.join(f'{value:.3f}' for value in values)} | |", flush=True)
