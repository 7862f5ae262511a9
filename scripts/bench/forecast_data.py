"""Hourly series for the forecasting benchmarks: the seven columns of ETTh1, and made ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.series import Series
from scripts.bench.measure import UnavailableError

CSV = Path(__file__).parents[3] / "shared" / "data" / "ETTh1.csv"
FREQUENCY, START, DAY = "H", "2016-07-01 00:00:00", 24


def etth1() -> list[Series]:
    """The seven columns of ETTh1 (17,420 hours). Raises UnavailableError where the file is not there."""
    if not CSV.exists():
        raise UnavailableError(f"{CSV.name} is not in ../shared/data")
    return _hourly(np.genfromtxt(CSV, delimiter=",", skip_header=1, usecols=range(1, 8), dtype=np.float32).T)


def made(count: int, hours: int) -> list[Series]:
    """Days of sines of many sizes, with noise."""
    random = np.random.default_rng(0)
    sizes = random.lognormal(size=(count, 1))
    day = np.sin(2 * np.pi * np.arange(hours) / DAY + random.uniform(0, 6, (count, 1)))
    return _hourly((sizes * (3 + day + 0.3 * random.normal(size=(count, hours)))).astype(np.float32))


def until(series: list[Series], end: int) -> list[Series]:
    """Their first `end` hours, and the time stamps of all."""
    return [Series(whole.target[:end], whole.minutes) for whole in series]


def write(series: list[Series], folder: Path) -> Path:
    """The forecaster's JSON Lines, one series per line."""
    lines = (
        json.dumps({"start": START, "target": [round(float(value), 5) for value in each.target]}) for each in series
    )
    path = folder / "series.json"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _hourly(targets: NDArray[np.float32]) -> list[Series]:
    """Rows of values with time stamps that go on for a day after them."""
    minutes = Frequency.parse(FREQUENCY).minutes(parse_start(START), targets.shape[1] + DAY)
    return [Series(np.ascontiguousarray(row), minutes) for row in targets]
