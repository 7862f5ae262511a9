"""Frequencies of time series, their time stamps and the calendar features of these."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError


@dataclass(frozen=True)
class Cycle:
    """A cycle of the calendar: its length in minutes, and where in it a time stamp is, from 0 to 1."""

    minutes: int
    place: Callable[[NDArray[np.int64]], NDArray[np.float64]]


def _of_the_year(minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    days = minutes.astype("datetime64[m]").astype("datetime64[D]")
    place: NDArray[np.float64] = (days - days.astype("datetime64[Y]")).astype(np.int64) / 366
    return place


CYCLES = {
    "day": Cycle(1440, lambda minutes: minutes % 1440 / 1440),
    # 1 January 1970 was a Thursday: three days after a Monday.
    "week": Cycle(7 * 1440, lambda minutes: (minutes / 1440 + 3) % 7 / 7),
    "year": Cycle(365 * 1440, _of_the_year),
}
MINUTES = {"min": 1, "H": 60, "D": 1440, "W": 7 * 1440}
LARGEST_COUNT = 100_000
_PATTERN = re.compile(r"(\d*)\s*(min|M|W|D|H|h)")
_START = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")


@dataclass(frozen=True)
class Frequency:
    """A step of time: `count` times a month (M), week (W), day (D), hour (H) or minute (min)."""

    count: int
    unit: str

    @staticmethod
    def parse(text: str) -> Frequency:
        """The frequency that DeepAR's `time_freq` names, such as M, 2H or 15min."""
        match = _PATTERN.fullmatch(text.strip())
        if not match or (match[1] and not 1 <= int(match[1]) <= LARGEST_COUNT):
            raise UserError(
                f"time_freq is {text!r}: it must be M, W, D, H or min, with a count before it if not 1, such as 15min"
            )
        return Frequency(int(match[1] or 1), "H" if match[2] == "h" else match[2])

    @property
    def season(self) -> int:
        """Steps in the season that a naive forecast repeats: a day, a week of days, a year of weeks or months.

        Where the step does not divide the season, as many seasons as it takes: 7 steps of 2 days.
        """
        season = {"min": 1440, "H": 24, "D": 7, "W": 52, "M": 12}[self.unit]
        return math.lcm(season, self.count) // self.count

    def minutes(self, start: datetime, steps: int) -> NDArray[np.int64]:
        """Minutes since 1970 of `steps` time stamps from `start` on; months are stamped by their first day."""
        if self.unit == "M":
            first = np.datetime64(start, "M").astype(np.int64)
            months = (first + self.count * np.arange(steps)).astype("datetime64[M]")
            return months.astype("datetime64[m]").astype(np.int64)
        first = np.datetime64(start, "m").astype(np.int64)
        return np.asarray(first + self.count * MINUTES[self.unit] * np.arange(steps), np.int64)

    @property
    def cycles(self) -> tuple[str, ...]:
        """The cycles of the calendar that this frequency resolves."""
        if self.unit in ("min", "H"):
            return ("day", "week")
        return ("week", "year") if self.unit == "D" else ("year",)

    @property
    def minutes_of_a_step(self) -> int:
        """About, where it is months."""
        return self.count * (30 * 1440 if self.unit == "M" else MINUTES[self.unit])


@dataclass(frozen=True)
class Calendar:
    """What a model is told of a time stamp: its place in each of some cycles."""

    cycles: tuple[str, ...]

    @property
    def num_features(self) -> int:
        """Columns of `features`."""
        return 2 * len(self.cycles)

    def features(self, minutes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Sine, then cosine of the place in each cycle: ... x num_features."""
        found = np.empty((*minutes.shape, self.num_features), np.float32)
        for number, cycle in enumerate(self.cycles):
            angle = 2 * np.pi * CYCLES[cycle].place(minutes)
            found[..., number], found[..., number + len(self.cycles)] = np.sin(angle), np.cos(angle)
        return found


def parse_start(text: object) -> datetime:
    """A time stamp YYYY-MM-DD HH:MM:SS, without a time zone."""
    if isinstance(text, str) and _START.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise UserError(f"start is {text!r}: it must be a time stamp such as '2014-01-31 06:00:00', without a time zone")
