"""Hourly series for the forecasting benchmarks: the seven columns of ETTh1, and made ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.windows import Series

CSV = Path(__file__).parents[3] / "shared" / "data" / "ETTh1.csv"
FREQUENCY, START, DAY = "H", "2016-07-01 00:00:00", 24


def etth1() -> list[Series] | None:
    """The seven columns of ETTh1 (17,420 hours), or None after saying that the file is not there."""
    if not CSV.exists():
        print(f"skipped: {CSV.name} is not in ../shared/data")
        return None
    return _hourly(np.genfromtxt(CSV, delimiter=",", skip_header=1, usecols=range(1, 8), dtype=np.float32).T)


def made(count: int, hours: int) -> list[Series]:
    """Days of sines of many sizes, with noise."""
    random = np.random.default_rng(0)
    sizes = random.lognormal(size=(count, 1))
    day = np.sin(2 * np.pi * np.arange(hours) / DAY + random.uniform(0, 6, (count, 1)))
    return _hourly((sizes * (3 + day + 0.3 * random.normal(size=(count, hours)))).astype(np.float32))


def until(series: list[Series], end: int) -> list[Series]:
    """Their first `end` hours, and the time stamps of all."""
    return [Series(one.target[:end], one.minutes) for one in series]


def write(series: list[Series], folder: Path) -> Path:
    """The forecaster's JSON Lines, a series a line."""
    lines = (json.dumps({"start": START, "target": [round(float(v), 5) for v in one.target]}) for one in series)
    path = folder / "series.json"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _hourly(targets: NDArray[np.float32]) -> list[Series]:
    """Rows of values with time stamps that go on for a day after them."""
    minutes = Frequency.parse(FREQUENCY).minutes(parse_start(START), targets.shape[1] + DAY)
    return [Series(np.ascontiguousarray(row), minutes) for row in targets]
