"""Rows with time stamps, of some items and in any order -> each row's place in the time series of its item.

Shapes: R rows, G items. Time stamps are microseconds since 1970.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.calendar import MINUTES, Frequency

Whole = NDArray[np.int64]

LONGEST = 20_000_000
"""Steps of an item: 38 years of minutes. More of them are a time stamp gone wrong."""


class Grid(NamedTuple):
    """The first time stamp of each item (G), where its steps end among those of all (G), each row's step there (R)."""

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
        at = off[np.argmin(order[off])]
        start = f"{_text(stamps[at])} is no whole number of steps of {name} after {_text(stamps[begins[codes[at]]])}"
        return Misfit(int(order[at]), f"{start}, the first time stamp: mend it, or set time_freq")
    jump = np.diff(since, prepend=-1)
    jump[begins] = 1
    if not jump.all():
        at = np.argmin(jump != 0)
        return Misfit(
            int(order[at]), f"{_text(stamps[at])} is in a step of {name} that has a row already: keep one row a step"
        )
    if gapless and (jump > 1).any():
        at = np.argmax(jump > 1) - 1
        return Misfit(
            int(order[at]),
            f"the step of {name} after {_text(stamps[at])} has no row, and dynamic features must be known at every "
            "step: add the row, its target empty",
        )
    ends = np.append(begins[1:], len(codes)) - 1
    lengths = since[ends] + 1
    if lengths.max() > LONGEST:
        at = ends[np.argmax(lengths > LONGEST)]
        span = f"from {_text(stamps[begins[codes[at]]])} to {_text(stamps[at])} are {since[at] + 1:,} steps of {name}"
        return Misfit(int(order[at]), f"{span}: a series has {LONGEST:,} at most, so mend the one or the other")
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
