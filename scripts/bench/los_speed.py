"""METR-LA's week of traffic speeds by T-GCN's protocol: RMSE in mph over steps 1..k, against persistence.

`python -m scripts.bench.los_speed CSV FOLDER` turns the table into the forecaster's JSON Lines and stops there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyadic.algorithms import forecaster
from polyadic.artifact import Artifact
from polyadic.forecasting.calendar import parse_start
from polyadic.forecasting.windows import Series

CSV = Path(__file__).parents[3] / "shared" / "data" / "los_speed.csv"
RECIPE = Path(__file__).parent / "recipes" / "los_speed.json"
START, TRAIN_SHARE, STEPS, HORIZONS = "2012-03-01 00:00:00", 0.8, 12, (3, 6, 9, 12)
AT_ONCE, PATHS = 4096, 50
PUBLISHED = {"T-GCN (published)": (5.13, 6.06, 6.71, 7.27), "plain LSTM, direct (reference)": (4.94, 5.70, 6.20, 6.58)}


def run() -> None:
    """Trains by the recipe through the contract, forecasts every window of the last fifth, prints the errors."""
    if not CSV.exists():
        print(f"skipped: {CSV.name} is not in ../shared/data")
        return
    speeds = np.genfromtxt(CSV, delimiter=",", skip_header=1, dtype=np.float32)
    cut = int(len(speeds) * TRAIN_SHARE)
    with tempfile.TemporaryDirectory() as scratch:
        write_series(speeds[:cut], Path(scratch) / "train")
        _train(Path(scratch) / "train", Path(scratch) / "out")
        with tarfile.open(Path(scratch) / "out" / "model.tar.gz") as archive:
            archive.extractall(Path(scratch) / "model", filter="data")
        model = forecaster.load(Artifact.read(Path(scratch) / "model"))
    actual, ours, last = _windows(model, speeds, cut)
    print(
        f"| RMSE, mph, over steps 1..k ({len(actual):,} windows) | " + " | ".join(f"k = {k}" for k in HORIZONS) + " |"
    )
    print("|---" * (1 + len(HORIZONS)) + "|")
    parameters = sum(weight.numel() for weight in model.network.parameters())
    _row(f"{model.settings.cell}, {parameters:,} parameters", _errors(actual, ours))
    _row("persistence", _errors(actual, np.repeat(last[:, None], STEPS, 1)))
    for name, errors in PUBLISHED.items():
        _row(name, errors)


def _train(data: Path, output: Path) -> None:
    """The job of the recipe, run as a container would run it."""
    command = [sys.executable, "-m", "local_mode", "train", "--data", f"train={data}"]
    command += ["--hyperparameters", str(RECIPE), "--output", str(output)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def write_series(speeds: NDArray[np.float32], folder: Path) -> None:
    """A sensor a line: T x sensors -> one .json file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"start": START, "target": [round(float(v), 4) for v in column]}) for column in speeds.T)
    (folder / "los_speed.json").write_text("".join(f"{line}\n" for line in lines))


def _windows(
    model: forecaster.Model, speeds: NDArray[np.float32], cut: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Actuals and mean forecasts (W x STEPS) and last values (W) of the windows that lie wholly after the cut."""
    stamps = model.frequency.minutes(parse_start(START), len(speeds))
    actual, series = [], []
    for first in range(cut, len(speeds) - 2 * STEPS + 1):
        middle = first + STEPS
        actual.append(speeds[middle : middle + STEPS].T)
        minutes = stamps[first : middle + STEPS]
        series += [Series(column, minutes) for column in speeds[first:middle].T]
    parts = [model.forecast(series[first : first + AT_ONCE], PATHS).mean(1) for first in range(0, len(series), AT_ONCE)]
    return np.concatenate(actual), np.concatenate(parts), np.array([one.target[-1] for one in series])


def _errors(actual: NDArray[np.float32], forecast: NDArray[np.float32]) -> tuple[float, ...]:
    squares = np.square(actual - forecast, dtype=np.float64)
    return tuple(float(np.sqrt(squares[:, :k].mean())) for k in HORIZONS)


def _row(name: str, errors: tuple[float, ...]) -> None:
    print(f"| {name} | " + " | ".join(f"{error:.2f}" for error in errors) + " |", flush=True)


if __name__ == "__main__":
    table = np.genfromtxt(sys.argv[1], delimiter=",", skip_header=1, dtype=np.float32)
    write_series(table[: int(len(table) * TRAIN_SHARE)], Path(sys.argv[2]))
