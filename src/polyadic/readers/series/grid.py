"""Rows with time stamps, of several items and in any order -> the place of each row in the series of its item.

Shapes: R rows, G items. Time stamps are microseconds since 1970.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.calendar import MINUTES, Frequency

Whole = NDArray[np.int64]

MOST_STEPS = 20_000_000
"""Of an item: 38 years of minutes. More of them come of a wrong time stamp."""


class Grid(NamedTuple):
    """Where the steps of the items lie, those of one item after those of another.

    first: the first time stamp of each item (G). ends: where its steps end (G). place: the step of each row (R).
    """

    first: Whole
    ends: Whole
    place: Whole


class Misfit(NamedTuple):
    """A row that has no place, and why."""

    row: int
    why: str


def lay(codes: Whole, stamps: Whole, frequency: Frequency, gapless: bool) -> Grid | Misfit:
    """The places of rows of the items `codes`, all of 0 to G-1; `gapless` where every step must have a row."""
    order = np.lexsort((stamps, codes))
    codes, stamps = codes[order], stamps[order]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    ticks, step = _ticks(stamps, frequency)
    since, rest = np.divmod(ticks - ticks[begins][codes], step)
    name = f"time_freq {frequency.count if frequency.count > 1 else ''}{frequency.unit}"
    if rest.any():
        off = np.flatnonzero(rest)
        row = off[np.argmin(order[off])]
        start = f"{_text(stamps[row])} is no whole number of steps of {name} after {_text(stamps[begins[codes[row]]])}"
        return Misfit(int(order[row]), f"{start}, the first time stamp: mend it, or set time_freq")
    jump = np.diff(since, prepend=-1)
    jump[begins] = 1
    if not jump.all():
        row = np.argmin(jump != 0)
        return Misfit(
            int(order[row]), f"{_text(stamps[row])} is in a step of {name} that has a row already: keep one row a step"
        )
    if gapless and (jump > 1).any():
        row = np.argmax(jump > 1) - 1
        return Misfit(
            int(order[row]),
            f"the step of {name} after {_text(stamps[row])} has no row, and dynamic features must be known at every "
            "step: add the row, its target empty",
        )
    ends = np.append(begins[1:], len(codes)) - 1
    lengths = since[ends] + 1
    if lengths.max() > MOST_STEPS:
        row = ends[np.argmax(lengths > MOST_STEPS)]
        span = (
            f"from {_text(stamps[begins[codes[row]]])} to {_text(stamps[row])} are {since[row] + 1:,} steps of {name}"
        )
        return Misfit(int(order[row]), f"{span}: a series has {MOST_STEPS:,} at most, so mend the one or the other")
    place = np.empty(len(codes), np.int64)
    place[order] = (np.cumsum(lengths) - lengths)[codes] + since
    return Grid(stamps[begins], np.cumsum(lengths), place)


def _ticks(stamps: Whole, frequency: Frequency) -> tuple[Whole, int]:
    """Time stamps in ticks, and the ticks of a step: a month for M, whatever the day, else a microsecond."""
    if frequency.unit == "M":
        return stamps.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64), frequency.count
    return stamps, frequency.count * MINUTES[frequency.unit] * 60_000_000


def _text(stamp: np.int64) -> str:
    return str(stamp.astype("datetime64[us]").item())
