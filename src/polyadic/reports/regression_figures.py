"""Pictures of a regression as PNG: components, confusion, calibration, labels, losses.

Shapes: I the rows of a mode, H x W a picture, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyadic.reports.style import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    RULE,
    as_png,
    count_along,
    marker,
    missing_glyphs_ignored,
    new_figure,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 40
MOST_COMPONENTS = 12
WORDS_DRAWN = 6
MOST_NUMBERED = 12
"""Classes whose counts are written into a confusion."""


MOST_STRETCHED = 6
"""Times as wide as high, or as high as wide: a picture beyond it fills its frame."""


@dataclass(frozen=True)
class View:
    """What a component looks at: a picture (H x W), a curve (I), or words with a number each."""

    name: str
    values: NDArray[np.floating]
    words: Sequence[str] | None = None

    def top_words(self, count: int) -> list[tuple[float, str]]:
        """The words with the largest numbers, and then those with the least."""
        assert self.words is not None
        order = np.argsort(-self.values, kind="stable")
        chosen = [place for place in order if self.values[place] > 0][:count]
        chosen += [place for place in order if self.values[place] < 0][-count:]
        return [(float(self.values[place]), self.words[place]) for place in chosen]


def weighed(weights: Sequence[float], classes: Sequence[str]) -> str:
    """The weight of a component in words; of several classes the two that it speaks most for."""
    if len(weights) == 1:
        return f"weight {weights[0]:.3g}"
    first, second = np.argsort(-np.abs(weights), kind="stable")[:2]
    return ", ".join(f"{classes[place]} {weights[place]:+.2g}" for place in (first, second))


def components(shown: Sequence[tuple[str, Sequence[View]]]) -> bytes:
    """A row for each component, with a small picture for each thing that it looks at."""
    shown = shown[:MOST_COMPONENTS]
    columns = max(len(views) for _, views in shown)
    picture = new_figure(0.5 + 1.7 * len(shown))
    axes = picture.subplots(len(shown), columns, squeeze=False)
    for row, (title, views) in zip(axes, shown, strict=True):
        for axis, view in zip(row, views, strict=False):
            _view(axis, view)
        for axis in row[len(views) :]:
            axis.set_axis_off()
        row[0].set_ylabel(title.replace("$", r"\$"), fontsize=8, color=INK)
    with missing_glyphs_ignored():
        return as_png(picture, "Components, the largest first")


def _view(axis: Axes, view: View) -> None:
    axis.set_title(view.name.replace("$", r"\$"), loc="left", fontsize=8, color=GREY, pad=3)
    if view.words is not None:
        told = view.top_words(WORDS_DRAWN // 2)
        values = [value for value, _ in told]
        axis.barh(range(len(told)), values, color=[COLOURS[5] if value > 0 else BLUE for value in values])
        axis.set_yticks(range(len(told)), [word.replace("$", r"\$")[:18] for _, word in told])
        axis.invert_yaxis()
        tidy(axis, grid=False)
    elif view.values.ndim == 2:
        most = float(np.abs(view.values).max()) or 1.0
        axis.imshow(view.values, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest", aspect="auto")
        if max(view.values.shape) <= MOST_STRETCHED * min(view.values.shape):
            axis.set_aspect("equal")
        axis.set(xticks=[], yticks=[])
    else:
        tidy(axis)
        axis.axhline(0, color=RULE, lw=0.8)
        axis.plot(view.values, color=BLUE, lw=1.2, marker=marker(len(view.values)), ms=2.5)
        count_along(axis)


def confusion(counts_KK: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Shares of each row in grey, with the counts where there is room for them."""
    shares = counts_KK / np.maximum(counts_KK.sum(1, keepdims=True), 1)
    picture = new_figure(2.2 + 0.3 * len(classes))
    axis = picture.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    names = [name.replace("$", r"\$")[:20] for name in classes]
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xlabel("told")
    axis.set_ylabel("label")
    if len(classes) <= MOST_NUMBERED:
        for row, column in np.ndindex(*counts_KK.shape):
            colour = "white" if shares[row, column] > 0.6 else INK
            axis.text(column, row, f"{counts_KK[row, column]:,}", ha="center", va="center", fontsize=7, color=colour)
    with missing_glyphs_ignored():
        return as_png(picture, "Confusion")


def calibration(bins: NDArray[np.float64]) -> bytes:
    """How often what was told came true, by its probability; the size of a dot tells how many there were."""
    held = bins[bins[:, 0] > 0]
    picture = new_figure(3.6)
    axis = picture.subplots()
    tidy(axis)
    axis.plot([0, 1], [0, 1], color=GREY, lw=1, ls=(0, (4, 3)))
    sizes = 20 + 180 * held[:, 0] / held[:, 0].max()
    axis.scatter(held[:, 1], held[:, 2], s=sizes, color=BLUE, alpha=0.8, lw=0, zorder=3)
    axis.set(xlabel="probability told", ylabel="came true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return as_png(picture, "Calibration")


def pairs(told: NDArray[np.float64]) -> bytes:
    """Labels along, what was told up."""
    picture = new_figure(4.0)
    axis = picture.subplots()
    tidy(axis)
    low, high = float(told[:, 0].min()), float(told[:, 0].max())
    axis.plot([low, high], [low, high], color=GREY, lw=1, ls=(0, (4, 3)))
    axis.scatter(told[:, 0], told[:, 1], s=8, color=BLUE, alpha=0.5, lw=0, zorder=3)
    axis.set(xlabel="label", ylabel="told")
    return as_png(picture, "Labels, and what was told")


def history(values: Sequence[tuple[float, float | None]], step: str) -> bytes:
    """Losses by sweep or epoch."""
    picture = new_figure(3.0)
    axis = picture.subplots()
    tidy(axis)
    along = range(1, len(values) + 1)
    axis.plot(along, [train for train, _ in values], color=BLUE, lw=1.5, marker=marker(len(values)), label="train")
    if any(held is not None for _, held in values):
        held = [math.nan if value is None else value for _, value in values]
        axis.plot(along, held, color=COLOURS[1], lw=1.5, marker=marker(len(values)), label="validation")
        axis.legend(frameon=False, fontsize=8.5)
    if all(train > 0 for train, _ in values):
        axis.set_yscale("log")
    axis.set_xlabel(step)
    count_along(axis)
    return as_png(picture, "Mean loss")
