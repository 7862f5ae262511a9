"""Frequencies of time series, their time stamps, and the calendar features of time stamps.

Time stamps are whole minutes since 1 January 1970.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.forecasting.series import Floats, Integers

FORM_OF_STAMPS = (
    "it must be a time stamp such as '2014-01-31 06:00:00', without a time zone. pandas writes such of "
    "to_datetime(column, dayfirst=True), or of a column with a zone after .dt.tz_localize(None)"
)


@dataclass(frozen=True)
class Cycle:
    """A cycle of the calendar.

    minutes: its length. turn: time stamps (...) -> sine and cosine of their places in the cycle (2 x ...).
    """

    minutes: int
    turn: Callable[[NDArray[np.int64]], NDArray[np.floating]]


@cache
def _turns(places: int) -> Floats:
    """Sine and cosine of places at even distances around a cycle (2 x places): it is quicker to look them up."""
    return _turn(np.arange(places) / places).astype(np.float32)


def _turn(place: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = 2 * np.pi * place
    return np.stack([np.sin(angle), np.cos(angle)])


def _of_the_day(minutes: Integers) -> Floats:
    return _columns(_turns(1440), minutes % 1440)


def _of_the_week(minutes: Integers) -> NDArray[np.float64]:
    # 1 January 1970 was a Thursday, three days after a Monday. The remainder is taken by hand: % is slow for fractions.
    days = minutes / 1440 + 3
    return _turn((days - 7 * np.floor(days / 7)) / 7)


@cache
def _days_of_400_years() -> Floats:
    """Sine and cosine of the place in the year of each day from 1 January 1970 on, until they repeat (2 x days)."""
    days = np.arange(400 * 365 + 97).astype("datetime64[D]")
    return _columns(_turns(366), (days - days.astype("datetime64[Y]")).astype(np.int64))


def _of_the_year(minutes: Integers) -> Floats:
    turns = _days_of_400_years()
    return _columns(turns, minutes // 1440 % turns.shape[1])


def _columns(turns: Floats, places: Integers) -> Floats:
    columns: Floats = turns.take(places, 1)
    return columns


CYCLES = {
    "day": Cycle(1440, _of_the_day),
    "week": Cycle(7 * 1440, _of_the_week),
    "year": Cycle(365 * 1440, _of_the_year),
}
MINUTES = {"min": 1, "H": 60, "D": 1440, "W": 7 * 1440}
"""Minutes in a unit of time."""
LARGEST_COUNT = 100_000
FREQUENCY_RULE = (
    "it must be M, W, D, H or min, with a count before it if not 1, such as 15min. Business days are days (D), some "
    "of them missing"
)
_PATTERN = re.compile(r"(\d*)\s*(min|M|W|D|H|h|T|MS|ME|W-[A-Z]{3}|(?:Q|QS|QE|Y|YS|YE|A|AS)(?:-[A-Z]{3})?)")
_OF_PANDAS = {"T": (1, "min"), "Q": (3, "M"), "Y": (12, "M"), "A": (12, "M")}
"""Units of pandas' aliases, by their first letters, where these are not the unit itself."""
_START = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")


@dataclass(frozen=True)
class Frequency:
    """A step of time: `count` times a month (M), week (W), day (D), hour (H) or minute (min).

    pandas' aliases for such steps are taken too (MS, ME, W-SUN, T, QS for 3M, YS for 12M): a month is stamped by its
    first day, and a week begins where a series does. text: the frequency as it was written.
    """

    count: int
    unit: str
    text: str = field(default="", compare=False)

    @staticmethod
    def parse(text: str) -> Frequency:
        """The frequency that a text such as M, 2H or 15min names, as in DeepAR's `time_freq`.

        Raises UserError for another text.
        """
        match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
        if not match or (match[1] and not 1 <= int(match[1]) <= LARGEST_COUNT):
            raise UserError(f"time_freq is {text!r}: {FREQUENCY_RULE}")
        count, unit = int(match[1] or 1), match[2]
        if unit in MINUTES:
            return Frequency(count, unit, text)
        times, unit = _OF_PANDAS.get(unit[0], (1, unit[0].upper()))
        return Frequency(count * times, unit, text)

    def __str__(self) -> str:
        return self.text or f"{self.count}{self.unit}"

    @property
    def season(self) -> int:
        """The steps of the season that a naive forecast repeats: a day, a week of days, a year of weeks or months.

        Where the step does not divide the season, the number in several seasons: 7 steps of 2 days are 2 weeks.
        """
        season = {"min": 1440, "H": 24, "D": 7, "W": 52, "M": 12}[self.unit]
        return math.lcm(season, self.count) // self.count

    def minutes(self, start: datetime, steps: int) -> Integers:
        """Minutes since 1970 of `steps` time stamps from `start` on; a month is stamped by its first day."""
        return self.after(np.datetime64(start, "m").astype(np.int64), np.arange(steps))

    def after(self, first: Integers | np.int64, steps: Integers) -> Integers:
        """Minutes since 1970 of the time stamps that lie `steps` steps after the time stamps `first`, in minutes too.

        The shapes of the two are broadcast.
        """
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
        """The length of a step, which is about right where it is months."""
        return self.count * (30 * 1440 if self.unit == "M" else MINUTES[self.unit])


@dataclass(frozen=True)
class Calendar:
    """What a model is told of a time stamp: its place in each of several cycles, which are names of `CYCLES`."""

    cycles: tuple[str, ...]

    @property
    def num_features(self) -> int:
        """K, the number of columns of `features`."""
        return 2 * len(self.cycles)

    def features(self, minutes: Integers) -> Floats:
        """The sines, then the cosines of the places of time stamps (...) in each cycle: ... x K."""
        features = np.empty((*minutes.shape, self.num_features), np.float32)
        for number, cycle in enumerate(self.cycles):
            features[..., number], features[..., number + len(self.cycles)] = CYCLES[cycle].turn(minutes)
        return features


def parse_start(text: object) -> datetime:
    """The time stamp of a text YYYY-MM-DD HH:MM:SS, which has no time zone.

    Raises UserError for anything else.
    """
    if isinstance(text, str) and _START.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise UserError(f"start is {text!r}: {FORM_OF_STAMPS}")
