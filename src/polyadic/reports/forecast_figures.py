"""Pictures of forecasts as PNG: against what came, errors by step, calibration, losses by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.evaluation import INTERVALS, LEVELS, SHOWN, Example, coverage
from polyadic.reports.decomposition_figures import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    ROWS_NAMED,
    RULE,
    count_along,
    new_figure,
    png,
    span,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]

LARGEST_YEARS = 1000
"""From 1970: a date farther away is no date of an axis."""
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.30))
"""From one level to another, and how opaque."""
LINES = ((BLUE, 2.0), (GREY, 1.3), (COLOURS[1], 1.3))
"""Colour and width of our error and the others'."""
DASHES = (0, (4, 3))


def forecasts(examples: Sequence[Example]) -> bytes:
    """Small multiples: the end of each series, and over what came the median and two bands."""
    columns = min(2, len(examples))
    rows = math.ceil(len(examples) / columns)
    figure = new_figure(0.9 + (2.6 if columns == 1 else 1.75) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, example in zip(axes, examples, strict=False):
        _example(axis, example)
    for axis in axes[len(examples) :]:
        axis.set_axis_off()
    _legend(figure, axes[0])
    return png(figure, "Forecasts and what came")


def _example(axis: Axes, example: Example) -> None:
    tidy(axis)
    axis.yaxis.get_offset_text().set(fontsize=8, color=GREY)
    places, dated = _places(example.minutes)
    first = len(example.history_H)
    known = np.concatenate([example.history_H, example.actual_P])
    axis.axvline((places[first - 1] + places[first]) / 2 if first else places[0], color=RULE, lw=1.2, zorder=1)
    axis.plot(places, known, color=INK, lw=0.9, zorder=3, label="actual")
    alone = _alone(known)
    axis.plot(places[alone], known[alone], color=INK, ls="", marker="o", ms=1.8, zorder=3)
    _bands(axis, places, first, example.quantiles_QP)
    axis.set_title(_caption(example, dated), loc="left", fontsize=8, color=GREY, pad=3)
    axis.margins(x=0.01)
    if dated:
        _dates(axis, places[-1] - places[0])


def _bands(axis: Axes, places: Floats, first: int, quantiles_QP: Floats) -> None:
    ahead = places[first:]
    if len(ahead) == 1:  # A single step has no width of its own.
        ahead, quantiles_QP = _around(places), quantiles_QP.repeat(2, axis=1)
    quantiles = dict(zip(SHOWN, quantiles_QP, strict=True))
    axis.plot(ahead, quantiles[0.5], color=BLUE, lw=1.6, zorder=4, label="median forecast")
    for low, high, alpha in BANDS:
        label = f"{100 * (high - low):.0f} % interval"
        axis.fill_between(ahead, quantiles[low], quantiles[high], color=BLUE, alpha=alpha, lw=0, zorder=2, label=label)


def _around(places: Floats) -> Floats:
    """From most of half a step before the last place to as much after it."""
    step = places[-1] - places[-2] if len(places) > 1 else 1.0
    around: Floats = places[-1] + step * np.array([-0.4, 0.4])
    return around


def _alone(values: Floats) -> NDArray[np.bool_]:
    """Which are observed but neither neighbour is: a line does not show them."""
    seen = np.pad(np.isfinite(values), 1)
    found: NDArray[np.bool_] = seen[1:-1] & ~seen[:-2] & ~seen[2:]
    return found


def _places(minutes: NDArray[np.int64]) -> tuple[Floats, bool]:
    """Places along the axis, and whether they are dates, in days since 1970: else they are counted."""
    dated = bool(np.abs(minutes).max() < LARGEST_YEARS * 365 * 1440)
    return minutes / 1440 if dated else np.arange(len(minutes), dtype=np.float64), dated


def _dates(axis: Axes, days: float) -> None:
    """Years, months, days or hours, as finely as there is room for over so many days."""
    from matplotlib import dates

    # Every other day of a month puts the 31st and the 1st side by side.
    locator: dates.DateLocator
    if 6 < days < 25:
        locator = dates.DayLocator(interval=math.ceil(days / 5))  # type: ignore[no-untyped-call]
    else:
        locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    formats, zeros = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%M:%S"], ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
    shown = dates.ConciseDateFormatter(locator, formats=formats, zero_formats=zeros, show_offset=False)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(shown)


def _caption(example: Example, dated: bool) -> str:
    """When the forecast begins, the error of the mean, and how many values are in the wide band."""
    began = f"{_stamp(example)}: " if dated else ""
    seen = np.isfinite(example.actual_P)
    if not seen.any():
        return f"{began}nothing observed"
    actual, mean = example.actual_P[seen].astype(np.float64), example.mean_P[seen]
    low, high = example.quantiles_QP[[0, -1]][:, seen]
    within = int(((low <= actual) & (actual <= high)).sum())
    rmse = float(np.sqrt(np.square(actual - mean).mean()))
    return f"{began}RMSE {in_words(rmse)}, {within} of {len(actual)} within 90 %"


def _stamp(example: Example) -> str:
    """The first time stamp of the horizon, without its hour at midnight."""
    date, hour = str(example.minutes[len(example.history_H)].astype("datetime64[m]")).split("T")
    return date if hour == "00:00" else f"{date} {hour}"


def in_words(value: float) -> str:
    """A number of any size, short: 0.0123, 4.56, 192,834, 1.2e+09."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def horizon(rmse_P: Mapping[str, Floats], overall: Mapping[str, float]) -> bytes:
    """The error of each forecast, by its name, at each step; the first is ours. `overall`: over all steps."""
    figure = new_figure(3.5)
    axis = figure.subplots()
    tidy(axis)
    steps = max(len(values) for values in rmse_P.values())
    marker = "o" if steps <= ROWS_NAMED else ""
    for place, (name, values) in enumerate(rmse_P.items()):
        colour, width = LINES[place % len(LINES)]
        label = f"{name} ({in_words(overall[name])})"
        (line,) = axis.plot(range(1, steps + 1), values, color=colour, lw=width, marker=marker, ms=3.5, label=label)
        line.set_zorder(9 - place)
    _from_zero(axis, [*rmse_P.values()])
    axis.set_xlabel("steps ahead", color=INK)
    axis.set_ylabel("RMSE", color=INK)
    count_along(axis)
    span(axis, 1, steps)
    _legend(figure, axis)
    return png(figure, "Error by step of the horizon (over all steps)")


def _legend(figure: Figure, axis: Axes) -> None:
    """Below everything, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower left", ncols=len(labels), frameon=False, fontsize=9, labelcolor=INK
    )


def _from_zero(axis: Axes, curves: Sequence[Floats]) -> None:
    """The axis up begins at zero, where any curve gives it a height."""
    known = np.concatenate(curves)
    if (known[np.isfinite(known)] > 0).any():
        axis.set_ylim(bottom=0)


def calibration(below_Q: Floats) -> bytes:
    """The share of actual values below each of `LEVELS` against the level, and the share inside some intervals."""
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    tidy(left, grid=False)
    left.plot([0, 1], [0, 1], color=GREY, lw=1, ls=DASHES, zorder=1)
    left.plot(LEVELS, below_Q, color=BLUE, lw=1.6, marker="o", ms=3.5, zorder=2, clip_on=False)
    left.set(xlim=(0, 1), ylim=(0, 1))
    left.set_box_aspect(1)
    left.set_xlabel("quantile forecast", color=INK)
    left.set_ylabel("share of actual values below it", color=INK)
    _coverage(right, below_Q)
    return png(figure, "Calibration: a perfect forecast lies on the dashed lines")


def _coverage(axis: Axes, below_Q: Floats) -> None:
    tidy(axis, grid=False)
    inside = list(coverage(below_Q).values())
    places = range(len(inside))
    axis.barh(places, np.nan_to_num(inside), color=BLUE, height=0.4)
    axis.vlines(INTERVALS, [one - 0.34 for one in places], [one + 0.34 for one in places], color=INK, lw=1, ls=DASHES)
    for place, share in zip(places, inside, strict=True):
        text = f"{100 * share:.1f} %" if math.isfinite(share) else "nothing observed"
        axis.text(0.015, place, text, color="white" if share > 0.2 else INK, va="center", fontsize=9)
    axis.set_yticks(places, labels=[f"{100 * one:.0f} % interval" for one in INTERVALS])
    axis.set(xlim=(0, 1), ylim=(-0.55, len(inside) - 0.45))
    axis.set_box_aspect(1 / 1.3)
    axis.set_xlabel("share of actual values inside it", color=INK)


def loss(history: Sequence[tuple[float, float | None]]) -> bytes:
    """The losses in training and, where there is one, in validation after each epoch."""
    figure = new_figure(3.2)
    axis = figure.subplots()
    tidy(axis)
    curves_2E = np.array(history, dtype=np.float64).reshape(-1, 2).T  # None becomes NaN.
    epochs = np.arange(1, len(history) + 1)
    marker = "o" if len(history) <= ROWS_NAMED else ""
    for values, colour, label in zip(curves_2E, (BLUE, COLOURS[1]), ("training", "validation"), strict=True):
        seen = np.isfinite(values)
        if seen.any():
            axis.plot(epochs[seen], values[seen], color=colour, lw=1.6, marker=marker, ms=3.5, label=label)
    axis.set_xlabel("epoch", color=INK)
    axis.set_ylabel("mean loss of a value", color=INK)
    count_along(axis)
    span(axis, 1, max(1, len(history)))
    if len(axis.lines) > 1:
        axis.legend(frameon=False, fontsize=9, labelcolor=INK)
    return png(figure, f"Loss after {len(history):,} epoch{'s' * (len(history) != 1)}")
