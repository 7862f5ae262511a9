"""Pictures of a decomposition as PNG: its factors, its errors by sweep, its spectra.

Shapes: a mode has I rows, of which S are drawn (all, or a sample); its factor has R columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyadic.reports.spectrum import Spectrum
from polyadic.reports.style import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    POINTS_MARKED,
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

ROWS_DRAWN = 2_000
COLUMNS_DRAWN = 100
COLUMNS_DRAWN_AS_LINES = 6
LABEL_CHARACTERS = 24
LABEL_CHARACTERS_ABREAST = 90
"""Labels with more characters than this, taken together, are turned by 90 degrees."""
NAMES_DOWN_A_HEAT_MAP = 25
BAND_HEIGHT = 1.35
"""The height of a column's band, as a part of what its values span: the rest is for its name."""
MARKS_A_BAND = 3


def factor(
    rows: NDArray[np.float64],
    *,
    title: str,
    row_numbers: NDArray[np.int64],
    row_count: int,
    row_labels: Sequence[str] | None,
    column_names: Sequence[str],
    column_kind: str,
) -> bytes:
    """The columns of a factor: lines one above the other where they are few, else a heat map.

    rows: S x R. row_numbers: which of the mode's `row_count` rows these are (S). row_labels: names of all rows of the
    mode. column_names: R, and column_kind what a column is.
    """
    labels = row_labels if row_labels is not None and len(row_labels) <= POINTS_MARKED else None
    draw = _lines if rows.shape[1] <= COLUMNS_DRAWN_AS_LINES else _heat_map
    figure, axis = draw(rows, column_names, row_numbers, 0.9 if labels else 0.0)
    if draw is _heat_map:
        axis.set_ylabel(column_kind, color=INK)
    if labels:
        shown = [_printable(label) for label in labels]
        rotation = 90 if sum(map(len, shown)) > LABEL_CHARACTERS_ABREAST else 0
        axis.set_xticks(row_numbers, labels=shown, rotation=rotation, parse_math=False)
    else:
        sampled = f" ({len(row_numbers):,} of {row_count:,} drawn)" if len(row_numbers) < row_count else ""
        axis.set_xlabel(f"row{sampled}", color=INK)
        count_along(axis)
    return as_png(figure, title)


def _lines(
    rows: NDArray[np.float64], names: Sequence[str], row_numbers: NDArray[np.int64], label_inches: float
) -> tuple[Figure, Axes]:
    """One line per column, or bars where the rows are few; `label_inches` of height are left for the rows' labels."""
    from matplotlib.ticker import MaxNLocator

    columns = rows.shape[1]
    figure = new_figure(1.0 + 1.15 * columns + label_inches)
    # One pair of axes with a band for each column: a pair for each would take three times as long.
    axis = figure.subplots()
    tidy(axis, grid=False)
    low, high = min(0.0, float(rows.min())), max(0.0, float(rows.max()))
    height = (high - low or 1.0) * BAND_HEIGHT
    marks = [mark for mark in MaxNLocator(MARKS_A_BAND).tick_values(low, high) if low <= mark <= high]
    for number, (column, name) in enumerate(zip(rows.T, names, strict=True)):
        zero = -height * number
        axis.axhline(zero, color=GREY, lw=0.6, zorder=1)
        if len(row_numbers) <= POINTS_MARKED:
            _bars_from(axis, zero, row_numbers, column)
        else:
            axis.plot(row_numbers, column + zero, color=BLUE, lw=1.1, zorder=2)
        axis.annotate(
            name,
            xy=(0, zero + high),
            xycoords=("axes fraction", "data"),
            xytext=(2, 3),
            textcoords="offset points",
            fontsize=9,
            color=GREY,
            parse_math=False,
        )
    axis.set_yticks(
        [mark - height * number for number in range(columns) for mark in marks],
        labels=[f"{mark:g}" for _ in range(columns) for mark in marks],
    )
    span(axis, row_numbers[0], row_numbers[-1])
    axis.set_ylim(low - height * (columns - 1) - 0.05 * height, low + height)
    axis.set_ylabel("loading", fontsize=10, color=INK)
    return figure, axis


def _bars_from(axis: Axes, zero: float, places: NDArray[np.int64], heights: NDArray[np.float64]) -> None:
    """Bars from a zero line, as one artist: to place and draw a patch for each takes three times as long."""
    from matplotlib.collections import PolyCollection

    half = _bar_width(len(places)) / 2
    low, high = np.full(len(places), zero), zero + heights
    corners = [(places - half, low), (places - half, high), (places + half, high), (places + half, low)]
    rectangles = np.stack([np.stack(corner, -1) for corner in corners], 1)
    axis.add_collection(PolyCollection(list(rectangles), facecolors=BLUE, edgecolors="none", zorder=2))


def _heat_map(
    rows: NDArray[np.float64], names: Sequence[str], row_numbers: NDArray[np.int64], label_inches: float
) -> tuple[Figure, Axes]:
    """One line of colours per column; `label_inches` of height are left for the rows' labels."""
    columns = rows.shape[1]
    figure = new_figure(1.2 + min(6.0, max(1.6, 0.17 * columns)) + label_inches)
    axis = figure.subplots()
    # A few outliers would leave all else without colour; the arrows of the colour bar say that there are any.
    limit = float(np.percentile(np.abs(rows), 99.5)) or float(np.abs(rows).max()) or 1.0
    outliers, signed = bool((np.abs(rows) > limit).any()), bool((rows < 0).any())
    half_step = (row_numbers[-1] - row_numbers[0]) / max(1, len(row_numbers) - 1) / 2 or 0.5
    image = axis.imshow(
        rows.T,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu_r" if signed else "Blues",
        vmin=-limit if signed else 0.0,
        vmax=limit,
        extent=(row_numbers[0] - half_step, row_numbers[-1] + half_step, columns - 0.5, -0.5),
    )
    arrows = ("both" if signed else "max") if outliers else "neither"
    colour_bar = figure.colorbar(image, ax=axis, pad=0.02, extend=arrows)
    colour_bar.set_label("loading", color=INK)
    colour_bar.outline.set_visible(False)
    tidy(axis, grid=False)
    stride = math.ceil(columns / NAMES_DOWN_A_HEAT_MAP)
    axis.set_yticks(range(0, columns, stride), labels=names[::stride], fontsize=8)
    return figure, axis


def fit(history: Sequence[float]) -> bytes:
    """The relative error after each sweep."""
    figure = new_figure(3.2)
    axis = figure.subplots()
    tidy(axis)
    errors = np.asarray(history, dtype=np.float64)
    sweeps = np.arange(1, len(errors) + 1)
    axis.plot(sweeps, errors, color=BLUE, lw=1.6, marker=marker(len(errors)), ms=3.5)
    axis.plot(sweeps[-1:], errors[-1:], color=BLUE, marker="o", ms=6)
    if 0 < errors.min() < errors.max() / 20:
        axis.set_yscale("log")
    axis.set_xlabel("sweep", color=INK)
    axis.set_ylabel("relative error, |X − Y| / |X|", color=INK)
    count_along(axis)
    plural = "s" if len(errors) > 1 else ""
    return as_png(figure, f"Relative error {errors[-1]:.4g} after {len(errors)} sweep{plural}")


def spectrum(spectra: Sequence[Spectrum]) -> bytes:
    """One panel per spectrum: bars where it is a single short curve, else lines."""
    figure = new_figure(3.3 * len(spectra))
    axes = figure.subplots(len(spectra), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, spectra, strict=True):
        tidy(axis)
        if len(panel.curves) == 1 and 0 < len(panel.ticks) <= POINTS_MARKED:
            _bars(axis, panel)
        else:
            _curves(axis, panel)
        axis.set_xlabel(panel.x_label, color=INK)
        axis.set_ylabel(panel.y_label, color=INK)
        if len(spectra) > 1:
            axis.set_title(panel.title, loc="left", fontsize=10, color=INK)
    return as_png(figure, spectra[0].title if len(spectra) == 1 else "")


def _bars(axis: Axes, panel: Spectrum) -> None:
    values = next(iter(panel.curves.values()))
    axis.bar(range(len(values)), values, color=BLUE, width=_bar_width(len(values)), zorder=2)
    span(axis, 0, len(values) - 1)
    axis.set_xticks(range(len(values)), labels=panel.ticks, parse_math=False)


def _curves(axis: Axes, panel: Spectrum) -> None:
    for number, (name, values) in enumerate(panel.curves.items()):
        # A logarithmic axis has no place for what is zero but for round-off.
        shown = values[values > 1e-14 * max(values.max(), np.finfo(np.float64).tiny)] if panel.logarithmic else values
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(
            np.arange(1, len(shown) + 1), shown, color=colour, lw=1.4, marker=marker(len(shown)), ms=3.5, label=name
        )
    if panel.logarithmic and any((values > 0).any() for values in panel.curves.values()):
        axis.set_yscale("log")
    count_along(axis)
    if len(panel.curves) > 1:
        axis.legend(frameon=False, fontsize=8.5, ncols=math.ceil(len(panel.curves) / 8))


def sample(row_count: int) -> NDArray[np.int64]:
    """The numbers of the rows of a mode that are drawn (S): all rows, or `ROWS_DRAWN` at even distances."""
    return np.linspace(0, row_count - 1, min(row_count, ROWS_DRAWN)).round().astype(np.int64)


def _bar_width(bars: int) -> float:
    """A few bars need not fill the page."""
    return min(0.7, 0.1 * bars)


def _printable(label: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in label)
    return text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
