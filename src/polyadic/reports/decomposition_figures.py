"""Pictures of a decomposition as PNG: factors, errors by sweep, spectra. matplotlib is read on the first of them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyadic.reports.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, RULE, BLUE = "#22272e", "#6e7781", "#e6e8eb", "#0969da"
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e", "#1b7c83", "#57606a")
WIDTH, DPI = 8.0, 150
ROWS_DRAWN = 2_000
ROWS_NAMED = 40
AS_LINES = 6
COMPONENTS_DRAWN = 100
LABEL_LENGTH = 24


def factor(
    rows: NDArray[np.float64],
    title: str,
    names: Sequence[str],
    columns: str,
    of: int,
    places: NDArray[np.int64],
    labels: Sequence[str] | None = None,
) -> bytes:
    """The columns of a factor: lines one above the other where they are few, else a heat map.

    rows: I x R as drawn; names: its R columns, which are `columns`; places: which of the mode's `of` rows they are.
    """
    labels = labels if labels is not None and len(labels) <= ROWS_NAMED else None
    drawn = f" ({len(places):,} of {of:,} drawn)" if len(places) < of else ""
    draw = _lines if rows.shape[1] <= AS_LINES else _heat_map
    figure, axis = draw(rows, names, places, 0.9 if labels else 0.0)
    if draw is _heat_map:
        axis.set_ylabel(columns, color=INK)
    if labels:
        shown = [_printable(label) for label in labels]
        axis.set_xticks(places, labels=shown, rotation=90 if sum(map(len, shown)) > 90 else 0, parse_math=False)
    else:
        axis.set_xlabel(f"row{drawn}", color=INK)
        count_along(axis)
    return png(figure, title)


def _lines(
    rows: NDArray[np.float64], names: Sequence[str], places: NDArray[np.int64], room: float
) -> tuple[Figure, Axes]:
    """Bars where the rows are few, each a thing of its own; `room` inches are left for their labels."""
    figure = new_figure(1.0 + 1.15 * rows.shape[1] + room)
    axes = figure.subplots(rows.shape[1], 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axis, column, name in zip(axes, rows.T, names, strict=True):
        tidy(axis)
        axis.axhline(0, color=GREY, lw=0.6, zorder=1)
        if len(places) <= ROWS_NAMED:
            axis.bar(places, column, color=BLUE, width=_bar_width(len(places)), zorder=2)
        else:
            axis.plot(places, column, color=BLUE, lw=1.1, zorder=2)
        axis.set_title(name, loc="left", fontsize=9, color=GREY, pad=3)
    span(axes[-1], places[0], places[-1])
    figure.supylabel("loading", fontsize=10, color=INK)
    return figure, axes[-1]


def _heat_map(
    rows: NDArray[np.float64], names: Sequence[str], places: NDArray[np.int64], room: float
) -> tuple[Figure, Axes]:
    count = rows.shape[1]
    figure = new_figure(1.2 + min(6.0, max(1.6, 0.17 * count)) + room)
    axis = figure.subplots()
    # A few outliers would leave all else without colour; the bar's arrows say that there are any.
    limit = float(np.percentile(np.abs(rows), 99.5)) or float(np.abs(rows).max()) or 1.0
    signed = bool((rows < 0).any())
    step = (places[-1] - places[0]) / max(1, len(places) - 1) / 2 or 0.5
    image = axis.imshow(
        rows.T,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu_r" if signed else "Blues",
        vmin=-limit if signed else 0.0,
        vmax=limit,
        extent=(places[0] - step, places[-1] + step, count - 0.5, -0.5),
    )
    beyond = bool((np.abs(rows) > limit).any())
    bar = figure.colorbar(image, ax=axis, pad=0.02, extend=("both" if signed else "max") if beyond else "neither")
    bar.set_label("loading", color=INK)
    bar.outline.set_visible(False)
    tidy(axis, grid=False)
    every = math.ceil(count / 25)
    axis.set_yticks(range(0, count, every), labels=names[::every], fontsize=8)
    return figure, axis


def fit(history: Sequence[float]) -> bytes:
    """The relative error after each sweep."""
    figure = new_figure(3.2)
    axis = figure.subplots()
    tidy(axis)
    errors = np.asarray(history, dtype=np.float64)
    sweeps = np.arange(1, len(errors) + 1)
    axis.plot(sweeps, errors, color=BLUE, lw=1.6, marker="o" if len(errors) <= ROWS_NAMED else "", ms=3.5)
    axis.plot(sweeps[-1:], errors[-1:], color=BLUE, marker="o", ms=6)
    if 0 < errors.min() < errors.max() / 20:
        axis.set_yscale("log")
    axis.set_xlabel("sweep", color=INK)
    axis.set_ylabel("relative error, |X − Y| / |X|", color=INK)
    count_along(axis)
    plural = "s" if len(errors) > 1 else ""
    return png(figure, f"Relative error {errors[-1]:.4g} after {len(errors)} sweep{plural}")


def spectrum(panels: Sequence[Spectrum]) -> bytes:
    """One panel a spectrum: bars where it is a single short curve, else lines."""
    figure = new_figure(3.3 * len(panels))
    for axis, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        tidy(axis)
        if len(panel.curves) == 1 and len(panel.ticks) <= ROWS_NAMED and panel.ticks:
            values = next(iter(panel.curves.values()))
            axis.bar(range(len(values)), values, color=BLUE, width=_bar_width(len(values)), zorder=2)
            span(axis, 0, len(values) - 1)
            axis.set_xticks(range(len(values)), labels=panel.ticks, parse_math=False)
        else:
            _curves(axis, panel)
        axis.set_xlabel(panel.across, color=INK)
        axis.set_ylabel(panel.up, color=INK)
        if len(panels) > 1:
            axis.set_title(panel.title, loc="left", fontsize=10, color=INK)
    return png(figure, panels[0].title if len(panels) == 1 else "")


def _curves(axis: Axes, panel: Spectrum) -> None:
    for number, (name, values) in enumerate(panel.curves.items()):
        # A logarithmic axis has no place for what is zero but for round-off.
        shown = values[values > 1e-14 * max(values.max(), np.finfo(np.float64).tiny)] if panel.logarithmic else values
        places = np.arange(1, len(shown) + 1)
        marker = "o" if len(shown) <= ROWS_NAMED else ""
        axis.plot(places, shown, color=COLOURS[number % len(COLOURS)], lw=1.4, marker=marker, ms=3.5, label=name)
    if panel.logarithmic and any((values > 0).any() for values in panel.curves.values()):
        axis.set_yscale("log")
    count_along(axis)
    if len(panel.curves) > 1:
        axis.legend(frameon=False, fontsize=8.5, ncols=math.ceil(len(panel.curves) / 8))


def sample(rows: int) -> NDArray[np.int64]:
    """The rows of a mode that are drawn: all, or so many at even distances."""
    return np.linspace(0, rows - 1, min(rows, ROWS_DRAWN)).round().astype(np.int64)


def new_figure(height: float) -> Figure:
    """A blank one, so many inches high."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def tidy(axis: Axes, grid: bool = True) -> None:
    """Two thin spines, and lines across for the eye to follow."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=8.5, color=GREY)
    axis.set_axisbelow(True)
    if grid:
        axis.grid(axis="y", color=RULE, lw=0.8)


def span(axis: Axes, first: int, last: int) -> None:
    """Room for half a bar at both ends, and for a hundredth of the width."""
    room = max(0.5, (last - first) / 100)
    axis.set_xlim(first - room, last + room)


def _bar_width(bars: int) -> float:
    """A few bars need not fill the page."""
    return min(0.7, 0.1 * bars)


def count_along(axis: Axes) -> None:
    """Whole numbers along the axis, and no others."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _printable(label: str) -> str:
    text = "".join(one if one.isprintable() else " " for one in label)
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"


def png(figure: Figure, title: str) -> bytes:
    """The bytes of a file; the same figure gives the same ones."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, color=INK)
    out = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None}
    figure.savefig(out, format="png", metadata=metadata)
    return out.getvalue()
