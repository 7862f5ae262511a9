"""Frequencies of time series, their time stamps and the calendar features of these."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Cycle:
    """A cycle of the calendar: its length in minutes, and sine and cosine of a time stamp's place in it (2 x ...)."""

    minutes: int
    turn: Callable[[NDArray[np.int64]], NDArray[np.floating]]


@cache
def _turns(places: int) -> Floats:
    """Sine and cosine of places at even distances all around a cycle: to look them up is quicker."""
    return _turn(np.arange(places) / places).astype(np.float32)


def _turn(place: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = 2 * np.pi * place
    return np.stack([np.sin(angle), np.cos(angle)])


def _of_the_day(minutes: Whole) -> Floats:
    return _at(_turns(1440), minutes % 1440)


def _of_the_week(minutes: Whole) -> NDArray[np.float64]:
    # 1 January 1970 was a Thursday: three days after a Monday. The remainder by hand, for % of fractions is slow.
    days = minutes / 1440 + 3
    return _turn((days - 7 * np.floor(days / 7)) / 7)


@cache
def _days_of_400_years() -> Floats:
    """The turns of the year on each day from 1 January 1970 on; after 400 years the days come back."""
    days = np.arange(400 * 365 + 97).astype("datetime64[D]")
    return _at(_turns(366), (days - days.astype("datetime64[Y]")).astype(np.int64))


def _of_the_year(minutes: Whole) -> Floats:
    turns = _days_of_400_years()
    return _at(turns, minutes // 1440 % turns.shape[1])


def _at(turns: Floats, places: Whole) -> Floats:
    found: Floats = turns.take(places, 1)
    return found


CYCLES = {
    "day": Cycle(1440, _of_the_day),
    "week": Cycle(7 * 1440, _of_the_week),
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
        return self.after(np.datetime64(start, "m").astype(np.int64), np.arange(steps))

    def after(self, first: NDArray[np.int64] | np.int64, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Minutes since 1970 of the time stamps that come some steps after others, which are given in minutes."""
        if self.unit == "M":
            month = first.astype("datetime64[m]").astype("datetime64[M]").astype(np.int64)
            months = (month + self.count * steps).astype("datetime64[M]")
            return months.astype("datetime64[m]").astype(np.int64)
        return np.asarray(first + self.count * MINUTES[self.unit] * steps, np.int64)

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
            found[..., number], found[..., number + len(self.cycles)] = CYCLES[cycle].turn(minutes)
        return found


def parse_start(text: object) -> datetime:
    """A time stamp YYYY-MM-DD HH:MM:SS, without a time zone."""
    if isinstance(text, str) and _START.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise UserError(f"start is {text!r}: it must be a time stamp such as '2014-01-31 06:00:00', without a time zone")
