"""The monthly series, what was withheld of them, and the seasonal naive forecast."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent.parent / "data" / "series"
SEASON = 12
TITLES = {
    "sea_surface_temperature": ("Sea-surface temperature, Niño 1+2", "°C"),
    "carbon_dioxide": ("CO₂ at Mauna Loa", "ppm"),
}

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Monthly values, NaN where one is missing; the models saw those before `withheld_from`."""

    title: str
    unit: str
    start: str
    values: Values
    withheld_from: int

    @property
    def months(self) -> NDArray[np.datetime64]:
        first = np.datetime64(self.start[:7], "M")
        return first + np.arange(len(self.values))

    @property
    def naive_error(self) -> float:
        """Mean absolute seasonal difference of what the models saw: the denominator of MASE."""
        seen = self.values[: self.withheld_from]
        return float(np.nanmean(np.abs(seen[SEASON:] - seen[:-SEASON])))

    def instance(self, origin: int) -> dict[str, object]:
        """The instance of a request for the months from `origin` on: it holds only the months before."""
        return {"start": self.start, "target": with_gaps(self.values[:origin])}

    def actuals(self, origin: int, length: int) -> Values:
        return self.values[origin : origin + length]

    def seasonal_naive(self, origin: int, length: int) -> Values:
        """For each month the value of the same month in the last year before `origin` that has one."""
        forecast = np.full(length, np.nan)
        for step in range(length):
            earlier = self.values[(origin + step) % SEASON : origin : SEASON]
            forecast[step] = earlier[~np.isnan(earlier)][-1]
        return forecast


def with_gaps(values: Values) -> list[float | None]:
    """The values for JSON, which has null for what is missing."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def load_series() -> list[Series]:
    return [_load(name, *TITLES[name]) for name in TITLES]


def _load(name: str, title: str, unit: str) -> Series:
    seen, full = (json.loads((FOLDER / split / f"{name}.json").read_text()) for split in ("train", "test"))
    values = np.array([np.nan if value is None else value for value in full["target"]], dtype=np.float64)
    return Series(title, unit, full["start"], values, len(seen["target"]))
