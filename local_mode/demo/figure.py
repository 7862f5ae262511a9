"""How the intervals narrowed, and forecasts against what came, as a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from local_mode.demo.climate import QUARTER, Quarter
from local_mode.demo.experiment import Look
from local_mode.demo.traffic import Answer

INK, GREY = "#22272e", "#8b949e"
COLOURS = ("#0969da", "#bc4c00")
SHOWN_QUARTERS = 32
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def draw(differ: Sequence[Look], tie: Sequence[Look], forecasts: Sequence[tuple[Quarter, Answer]], file: Path) -> None:
    """Two panels of confidence sequences, and below them the last years of the first series."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(11, 7), layout="constrained")
        places = figure.subplot_mosaic([["differ", "tie"], ["forecast", "forecast"]], height_ratios=(3, 2))
        _intervals(places["differ"], differ, "squared error, (°C)²")
        _intervals(places["tie"], tie, "scaled quantile loss")
        _forecasts(places["forecast"], forecasts)
        figure.savefig(file, dpi=150)
        plt.close(figure)


def _intervals(axis: Axes, looks: Sequence[Look], unit: str) -> None:
    """The interval of the difference after each request; where it has left 0 there is a winner."""
    axis.axhline(0, color=INK, lw=1)
    margin = max(look.number("margin") for look in looks)
    if margin > 0:
        axis.axhspan(-margin, margin, color="#dde3ea", zorder=0, label="the margin that was asked for last")
    # A question asked anew has the same interval.
    for look, colour in zip({look.contest["design"]: look for look in looks}.values(), COLOURS, strict=False):
        _interval(axis, look, colour)
    verdicts = ", then ".join(dict.fromkeys(look.verdict for look in looks))
    axis.set_title(f"{looks[0].title}: {verdicts}", loc="left", fontsize=11, color=INK)
    axis.set_xlabel("requests")
    axis.set_ylabel(f"difference of the {unit}")
    axis.margins(y=0.22)
    axis.legend(loc="upper right", fontsize=9)


def _interval(axis: Axes, look: Look, colour: str) -> None:
    if not look.sequence:
        return
    counts, estimates, lowers, uppers = np.array(look.sequence).T
    axis.fill_between(counts, lowers, uppers, color=colour, alpha=0.2, lw=0)
    axis.plot(counts, estimates, color=colour, label=f"by {look.contest['design']}, with its interval")


def _forecasts(axis: Axes, forecasts: Sequence[tuple[Quarter, Answer]]) -> None:
    """The median and the 80 % interval of each quarter, from the months before it."""
    series = forecasts[0][0].series
    shown = [(quarter, answer) for quarter, answer in forecasts if quarter.series is series][-SHOWN_QUARTERS:]
    months = slice(shown[0][0].origin, shown[-1][0].origin + QUARTER)
    axis.plot(series.months[months], series.values[months], color=INK, lw=1, marker=".", ms=4, label="actual")
    for number, (quarter, answer) in enumerate(shown):
        span = series.months[quarter.origin : quarter.origin + QUARTER]
        low, median, high = (answer.prediction["quantiles"][name][:QUARTER] for name in ("0.1", "0.5", "0.9"))
        names = ("80 % interval", f"{answer.variant}, median") if number == 0 else (None, None)
        axis.fill_between(span, low, high, color=COLOURS[0], alpha=0.22, lw=0, label=names[0])
        axis.plot(span, median, color=COLOURS[0], lw=1.8, label=names[1])
    axis.set_title(f"{series.title}: each quarter forecast from the months before", loc="left", fontsize=11, color=INK)
    axis.set_ylabel(series.unit)
    axis.margins(x=0.01)
    axis.legend(loc="upper right", ncols=3, fontsize=9)
