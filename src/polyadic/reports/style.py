"""What all pictures share: colours, sizes, axes, and how a figure becomes PNG.

matplotlib is imported only when a figure is made: serving does without it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, RULE, BLUE = "#22272e", "#6e7781", "#e6e8eb", "#0969da"
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e", "#1b7c83", "#57606a")
WIDTH_INCHES = 8.0
DOTS_PER_INCH = 150
POINTS_MARKED = 40
"""Up to this many points along an axis, each has a mark of its own: a dot, a bar, a label."""


def new_figure(height_inches: float) -> Figure:
    """A blank figure of the width that all have."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained")


def tidy(axis: Axes, grid: bool = True) -> None:
    """Leaves two thin spines and, as a grid, lines across for the eye to follow."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=8.5, color=GREY)
    axis.set_axisbelow(True)
    if grid:
        axis.grid(axis="y", color=RULE, lw=0.8)


def span(axis: Axes, first: int, last: int) -> None:
    """Limits the axis to the places from first to last, with room for half a bar or a hundredth of the width beside."""
    room = max(0.5, (last - first) / 100)
    axis.set_xlim(first - room, last + room)


def count_along(axis: Axes) -> None:
    """Puts whole numbers along the axis, and no others."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def marker(points: int) -> str:
    """The marker of a line through so many points: dots where there are few, else none."""
    return "o" if points <= POINTS_MARKED else ""


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Silences the warning that the font lacks a character: it is drawn as a box, and the log need not name each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def as_png(figure: Figure, title: str = "") -> bytes:
    """The figure as the bytes of a PNG file; the same figure gives the same bytes."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, color=INK)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    # Not figure.savefig, which draws twice: once to lay the figure out, though drawing does that by itself.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()
