"""The forecasts of both variants against the actuals, as a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from local_mode.demo.series import Series
from local_mode.demo.traffic import Forecast

INK, GREY = "#22272e", "#8b949e"
COLOURS = ("#0969da", "#bc4c00")
MONTHS_BEFORE = 24
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e8eb",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def draw(forecasts: Sequence[Forecast], variants: Sequence[str], every_series: Sequence[Series], file: Path) -> None:
    """Draws one row per series and one column per variant; each forecast starts where the previous one ends."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(every_series),
            len(variants),
            figsize=(6.2 * len(variants), 3.1 * len(every_series) + 0.8),
            sharex="row",
            sharey="row",
            squeeze=False,
            layout="constrained",
        )
        for row, series in zip(axes, every_series, strict=True):
            for axis, variant, colour in zip(row, variants, COLOURS, strict=False):
                own = [f for f in forecasts if f.series is series and f.variant == variant]
                _panel(axis, series, own, variant, colour)
            row[0].set_ylabel(series.unit)
        figure.suptitle("12-month forecasts of months the models never saw", x=0.01, ha="left", fontsize=14, color=INK)
        figure.savefig(file, dpi=150)
        plt.close(figure)


def _panel(axis: Axes, series: Series, forecasts: Sequence[Forecast], variant: str, colour: str) -> None:
    months = series.months
    shown = slice(series.withheld_from - MONTHS_BEFORE, None)
    axis.plot(months[shown], series.values[shown], color=INK, lw=1.2, marker=".", ms=3.5, label="actual", zorder=3)
    for number, forecast in enumerate(forecasts):
        span = months[forecast.origin : forecast.origin + len(forecast.mean)]
        first = number == 0
        axis.fill_between(
            span,
            forecast.low,
            forecast.high,
            color=colour,
            alpha=0.22,
            lw=0,
            label="80 % interval" if first else None,
        )
        axis.plot(
            span,
            forecast.median,
            color=colour,
            lw=1.8,
            label=f"{variant}, median" if first else None,
            zorder=4,
        )
        axis.axvline(span[0], color=GREY, lw=0.6, ls=(0, (2, 3)), zorder=1)
    axis.axvspan(months[shown][0], months[series.withheld_from], color="#f3f4f6", zorder=0, lw=0)
    axis.annotate(
        "seen in training",
        (0.01, 0.02),
        xycoords="axes fraction",
        fontsize=8,
        color=GREY,
        ha="left",
        va="bottom",
    )
    axis.set_xlim(months[shown][0], months[-1])
    axis.set_title(f"{series.title}: {variant}", loc="left", fontsize=11, color=INK)
    axis.legend(loc="upper left", ncols=3, fontsize=8.5, borderaxespad=0.2, handlelength=1.6)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.02 * (high - low))
