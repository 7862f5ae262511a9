"""Which cycles of the calendar a forecaster is told about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from polyadic.distributed import World
from polyadic.forecasting.calendar import CYCLES, Calendar
from polyadic.forecasting.store import SeriesStore


def resolve_calendar(calendar: str, series: SeriesStore, world: World) -> str:
    """The hyperparameter `calendar`, with the cycles that the longest series of any rank covers twice for `auto`.

    What was seen only once in a cycle cannot be told from a trend. A collective.
    """
    if calendar != "auto":
        return calendar
    frequency = series.frequency
    spans_S = frequency.after(series.start_S, np.maximum(series.length_S - 1, 0)) - series.start_S
    longest = max(world.collect(int(spans_S.max(initial=0))))
    step = frequency.minutes_of_a_step
    cycles = [cycle for cycle in frequency.cycles if longest + step >= 2 * CYCLES[cycle].minutes]
    return _written(cycles)


def calendar_of(text: str) -> Calendar:
    """The calendar that the hyperparameter names once it is not `auto`."""
    return Calendar(tuple(text.strip("[]").split(", ")) if text.startswith("[") else ())


def _written(cycles: Sequence[str]) -> str:
    return f"[{', '.join(cycles)}]" if cycles else "none"


def _checked(text: str) -> str:
    """The hyperparameter in one spelling; ValueError otherwise."""
    word = text.strip().lower()
    if word in ("auto", "none"):
        return word
    cycles = [cycle.strip().strip("'\"") for cycle in word.strip("[]").split(",")]
    if word in ("", "[]") or len(set(cycles)) < len(cycles) or not set(cycles) <= CYCLES.keys():
        raise ValueError(f"it must be auto, none, or a list of {', '.join(CYCLES)}, such as [day, week]")
    return _written(cycles)


CalendarText = Annotated[str, AfterValidator(_checked)]
