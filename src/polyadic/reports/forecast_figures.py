"""Pictures of forecasts as PNG: against the actual values, errors by step, calibration, losses by epoch.

Shapes: H history, P prediction, Q quantiles, E epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.evaluation import INTERVALS, LEVELS, SHOWN, Example, coverage
from polyadic.reports.style import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    RULE,
    as_png,
    count_along,
    marker,
    new_figure,
    span,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]

MINUTES_PER_DAY = 1440
FARTHEST_YEARS = 1000
"""Time stamps that are farther from 1970 than this are counted along the axis, not shown as dates."""
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.30))
"""Each band reaches from a quantile to another, and has an opacity."""
LINES = ((BLUE, 2.0), (GREY, 1.3), (COLOURS[1], 1.3))
"""Colour and width of the line of our error, then of the others."""
DASHES = (0, (4, 3))


def forecasts(examples: Sequence[Example]) -> bytes:
    """One small picture per series: its end, and over the actual values the median forecast and two intervals."""
    columns = min(2, len(examples))
    rows = math.ceil(len(examples) / columns)
    figure = new_figure(0.9 + (2.6 if columns == 1 else 1.75) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, example in zip(axes, examples, strict=False):
        _example(axis, example)
    for axis in axes[len(examples) :]:
        axis.set_axis_off()
    _legend(figure, axes[0])
    return as_png(figure, "Forecasts and actual values")


def _example(axis: Axes, example: Example) -> None:
    tidy(axis)
    axis.yaxis.get_offset_text().set(fontsize=8, color=GREY)
    places, dated = _places(example.minutes)
    first = len(example.history_H)
    known = np.concatenate([example.history_H, example.actual_P])
    axis.axvline((places[first - 1] + places[first]) / 2 if first else places[0], color=RULE, lw=1.2, zorder=1)
    axis.plot(places, known, color=INK, lw=0.9, zorder=3, label="actual")
    isolated = _isolated(known)
    axis.plot(places[isolated], known[isolated], color=INK, ls="", marker="o", ms=1.8, zorder=3)
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
    """Two places around the last one: 0.4 of a step before it and after it."""
    step = places[-1] - places[-2] if len(places) > 1 else 1.0
    around: Floats = places[-1] + step * np.array([-0.4, 0.4])
    return around


def _isolated(values: Floats) -> NDArray[np.bool_]:
    """Which values are observed although neither neighbour is: a line does not show them."""
    observed = np.pad(np.isfinite(values), 1)
    isolated: NDArray[np.bool_] = observed[1:-1] & ~observed[:-2] & ~observed[2:]
    return isolated


def _places(minutes: NDArray[np.int64]) -> tuple[Floats, bool]:
    """Places along the axis, and whether they are dates: these are days since 1970, else the points are counted."""
    dated = bool(np.abs(minutes).max() < FARTHEST_YEARS * 365 * MINUTES_PER_DAY)
    return minutes / MINUTES_PER_DAY if dated else np.arange(len(minutes), dtype=np.float64), dated


def _dates(axis: Axes, days: float) -> None:
    """Marks years, months, days or hours along an axis of so many days, as finely as there is room for."""
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
    """When the forecast begins, the error of its mean, and how many values are inside the wide interval."""
    began = f"{_stamp(example)}: " if dated else ""
    observed = np.isfinite(example.actual_P)
    if not observed.any():
        return f"{began}nothing observed"
    actual, mean = example.actual_P[observed].astype(np.float64), example.mean_P[observed]
    low, high = example.quantiles_QP[[0, -1]][:, observed]
    within = int(((low <= actual) & (actual <= high)).sum())
    rmse = float(np.sqrt(np.square(actual - mean).mean()))
    return f"{began}RMSE {short_number(rmse)}, {within} of {len(actual)} within 90 %"


def _stamp(example: Example) -> str:
    """The first time stamp of the horizon; at midnight the date alone."""
    date, hour = str(example.minutes[len(example.history_H)].astype("datetime64[m]")).split("T")
    return date if hour == "00:00" else f"{date} {hour}"


def short_number(value: float) -> str:
    """A number of any size as a short text: 0.0123, 4.56, 192,834, 1.2e+09."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def horizon(rmse_P: Mapping[str, Floats], overall: Mapping[str, float]) -> bytes:
    """The error of each forecast at each step.

    rmse_P: the errors by the forecast's name, P each; the first is ours. overall: the error over all steps by the same
    names.
    """
    figure = new_figure(3.5)
    axis = figure.subplots()
    tidy(axis)
    steps = max(len(values) for values in rmse_P.values())
    for number, (name, values) in enumerate(rmse_P.items()):
        colour, width = LINES[number % len(LINES)]
        label = f"{name} ({short_number(overall[name])})"
        (line,) = axis.plot(
            range(1, steps + 1), values, color=colour, lw=width, marker=marker(steps), ms=3.5, label=label
        )
        line.set_zorder(9 - number)
    _from_zero(axis, [*rmse_P.values()])
    axis.set_xlabel("steps ahead", color=INK)
    axis.set_ylabel("RMSE", color=INK)
    count_along(axis)
    span(axis, 1, steps)
    _legend(figure, axis)
    return as_png(figure, "Error by step of the horizon (over all steps)")


def _legend(figure: Figure, axis: Axes) -> None:
    """Puts the legend below the panels, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower left", ncols=len(labels), frameon=False, fontsize=9, labelcolor=INK
    )


def _from_zero(axis: Axes, curves: Sequence[Floats]) -> None:
    """Begins the vertical axis at zero, unless no value is above it."""
    values = np.concatenate(curves)
    if (values[np.isfinite(values)] > 0).any():
        axis.set_ylim(bottom=0)


def calibration(below_Q: Floats) -> bytes:
    """The share of actual values below each quantile of `LEVELS` (Q) against its level, and inside some intervals."""
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
    return as_png(figure, "Calibration: a perfect forecast lies on the dashed lines")


def _coverage(axis: Axes, below_Q: Floats) -> None:
    tidy(axis, grid=False)
    inside = list(coverage(below_Q).values())
    places = range(len(inside))
    axis.barh(places, np.nan_to_num(inside), color=BLUE, height=0.4)
    axis.vlines(INTERVALS, [y - 0.34 for y in places], [y + 0.34 for y in places], color=INK, lw=1, ls=DASHES)
    for place, share in zip(places, inside, strict=True):
        text = f"{100 * share:.1f} %" if math.isfinite(share) else "nothing observed"
        axis.text(0.015, place, text, color="white" if share > 0.2 else INK, va="center", fontsize=9)
    axis.set_yticks(places, labels=[f"{100 * interval:.0f} % interval" for interval in INTERVALS])
    axis.set(xlim=(0, 1), ylim=(-0.55, len(inside) - 0.45))
    axis.set_box_aspect(1 / 1.3)
    axis.set_xlabel("share of actual values inside it", color=INK)


def loss(history: Sequence[tuple[float, float | None]]) -> bytes:
    """The losses after each epoch (E): in training and, where there is any, in validation."""
    figure = new_figure(3.2)
    axis = figure.subplots()
    tidy(axis)
    curves_2E = np.array(history, dtype=np.float64).reshape(-1, 2).T  # None becomes NaN.
    epochs = np.arange(1, len(history) + 1)
    for values, colour, label in zip(curves_2E, (BLUE, COLOURS[1]), ("training", "validation"), strict=True):
        known = np.isfinite(values)
        if known.any():
            dots = marker(len(history))
            axis.plot(epochs[known], values[known], color=colour, lw=1.6, marker=dots, ms=3.5, label=label)
    axis.set_xlabel("epoch", color=INK)
    axis.set_ylabel("mean loss of a value", color=INK)
    count_along(axis)
    span(axis, 1, max(1, len(history)))
    if len(axis.lines) > 1:
        axis.legend(frameon=False, fontsize=9, labelcolor=INK)
    return as_png(figure, f"Loss after {len(history):,} epoch{'s' * (len(history) != 1)}")
