"""The forecaster's accuracy over seeds of each recipe, against baselines and published figures.

A recipe is a file of hyperparameters (recipes/NAME.json), trained as a job through `local_mode`, two jobs in parallel.
`python -m scripts.bench accuracy_TASK ...` runs some of the tasks, `python -m scripts.bench accuracy` all of them. What
a job came to is kept in out/accuracy, so that a run that was stopped goes on where it stood; jobs of other code, of
another recipe, or of another machine are run anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.stats import t as student_t

from polyadic.algorithms import forecaster
from polyadic.algorithms.forecaster.model import Model
from polyadic.artifact import Artifact
from scripts.bench import accuracy_chaos, record
from scripts.bench import accuracy_tasks as tasks
from scripts.bench.accuracy_tasks import Record, Task, Values
from scripts.bench.measure import Case, UnavailableError

ROOT = Path(__file__).parents[2]
RECIPES, KEPT = Path(__file__).parent / "recipes", ROOT / "out" / "accuracy"
SEEDS, LEADING_SEEDS, PARALLEL_JOBS = 3, 10, 2
BATCH_WINDOWS, PATHS = 2048, 100
OURS = "tt-lstm"
TASKS: dict[str, Callable[[], Task]] = {
    "los_speed": tasks.los_speed,
    "los_speed_far": tasks.los_speed_far,
    "trentino": tasks.trentino,
    "genz_f1": lambda: accuracy_chaos.genz("f1"),
    "genz_f2": lambda: accuracy_chaos.genz("f2"),
    "genz_f4": lambda: accuracy_chaos.genz("f4"),
    "lorenz": accuracy_chaos.lorenz,
    "mackey_glass": accuracy_chaos.mackey_glass,
    "kuramoto_sivashinsky": accuracy_chaos.kuramoto_sivashinsky,
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
    task, code = TASKS[name](), fingerprint()
    seeds = range(LEADING_SEEDS if task.leading else SEEDS)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        folder = Path(scratch)
        channels = [_write(folder, "train", task.train)]
        channels += [_write(folder, "validation", task.validation)] if task.validation else []
        jobs = {
            (row, seed): pool.submit(_kept, code, task, row, seed, channels, folder)
            for row in task.recipes
            for seed in seeds
        }
        results = {row: [jobs[row, seed].result() for seed in seeds] for row in task.recipes}
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
            facts={**(_sizes(results) if not place else {}), **differences(errors, place)},
            ours=OURS,
        )


def differences(errors: Mapping[str, Values], place: int) -> dict[str, str]:
    """Ours less each other row's error, seed by seed, in per cent of the other's mean, and the interval of its mean.

    errors: seeds x horizons of each row; place: the horizon. A tie where the interval of 95 % (Student's) holds zero.
    """
    told = {}
    for row, values in errors.items():
        if row == OURS:
            continue
        each = 100 * (errors[OURS][:, place] - values[:, place]) / values[:, place].mean()
        reach = float(student_t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
        mean = float(each.mean())
        verdict = "tie" if abs(mean) <= reach else "better" if mean < 0 else "worse"
        told[f"{OURS} beside {row}, {len(each)} seeds"] = (
            f"{verdict}, {mean:+.1f} % ({mean - reach:+.1f} to {mean + reach:+.1f})"
        )
    return told


def fingerprint() -> str:
    """Of the library's code and the machine: results of one are not taken for those of another."""
    digest = hashlib.sha256(record.machine().encode())
    for path in sorted((ROOT / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kept(code: str, task: Task, row: str, seed: int, channels: Sequence[str], scratch: Path) -> Result:
    """What a job came to, by a file of an earlier run or by running it."""
    recipe = RECIPES / f"{task.recipes[row]}.json"
    digest = hashlib.sha256(f"{code}{task.title}{task.steps}".encode() + recipe.read_bytes()).hexdigest()[:16]
    path = KEPT / f"{digest}-{seed}.json"
    if not path.exists():
        result = _result(task, task.recipes[row], seed, channels, scratch / f"{row}-{seed}")
        KEPT.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(asdict(result)))
        whole.replace(path)
    return Result(**json.loads(path.read_bytes()))


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
