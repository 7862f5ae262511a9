"""Series, the windows cut out of them, and their scaling by what the model may see.

Shapes: B windows, C context, P prediction, T = C + P, K calendar features, J dynamic features, N groupings; a missing
value is NaN in a series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.distributed import World
from polyadic.forecasting.calendar import Calendar

if TYPE_CHECKING:
    from polyadic.forecasting.store import SeriesStore

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Scale = tuple[float | None, float]
"""The level and the scale of all windows; each has its own level, its context's, where that is None."""

SMALLEST_RATIO = 0.02
"""Of the level to the scale: a context that hardly moves says little about how far the horizon will."""


@dataclass(frozen=True)
class Series:
    """A target (T, NaN where missing) and the minutes since 1970 of its first time stamps and those to forecast.

    cat: the category of the series in each of its groupings, from 0; dynamic: J features of every time stamp, those to
    forecast included (J x T or more), None where there are none.
    """

    target: Floats
    minutes: NDArray[np.int64]
    cat: tuple[int, ...] = ()
    dynamic: Floats | None = None

    def end(self, points: int) -> Series:
        """Its last points, or all where it has fewer, and what is known of those to forecast."""
        first = max(0, len(self.target) - points)
        dynamic = None if self.dynamic is None else self.dynamic[:, first:]
        return replace(self, target=self.target[first:], minutes=self.minutes[first:].copy(), dynamic=dynamic)


@dataclass(frozen=True)
class Batch:
    """Windows, each in its scale. `weight` is 1 where a horizon's value is observed, else 0.

    `dynamic` holds the features as they were given, `cat` the category of the series in each grouping.
    """

    past_BC: Tensor
    observed_BC: Tensor
    future_BP: Tensor
    weight_BP: Tensor
    calendar_BTK: Tensor
    dynamic_BTJ: Tensor
    cat_BN: Tensor
    level_B: Tensor
    scale_B: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def scale(context: Floats) -> tuple[Floats, Floats]:
    """The level and the scale of each context (B x C): the mean of the observed values, and their deviation from it.

    scale² = variance + (SMALLEST_RATIO · mean |y|)²; 1 where all is zero or missing. Nothing after the context
    enters, and forecasts are equivariant: a series times two is forecast as twice the forecast.
    """
    seen = np.isfinite(context)
    values = np.where(seen, context, 0).astype(np.float64)
    count = np.maximum(seen.sum(1), 1)
    level = values.sum(1) / count
    variance = (seen * (values - level[:, None]) ** 2).sum(1) / count
    size = np.sqrt(variance + (SMALLEST_RATIO * np.abs(values).sum(1) / count) ** 2)
    size[size == 0] = 1
    return level.astype(np.float32), size.astype(np.float32)


def training_scale(series: SeriesStore, world: World, divided: bool) -> tuple[float, float]:
    """Level and scale of the training data as one whole, those of all ranks where they are `divided`: mean, deviation.

    1 for the deviation of data that do not vary.
    """

    def over_ranks(value: float) -> float:
        sums = torch.tensor(value, dtype=torch.float64, device=world.device)
        return (world.sum_(sums) if divided else sums).item()

    def total(of: Callable[[Floats], np.float64]) -> float:
        blocks = (series.target_X[place] for place in series.blocks())
        return over_ranks(float(sum(of(values[np.isfinite(values)]) for values in blocks)))

    count = max(over_ranks(float(series.observed_S.sum())), 1)
    level = total(lambda values: values.sum(dtype=np.float64)) / count
    squares = total(lambda values: np.square(values - np.float64(level)).sum())
    return level, math.sqrt(squares / count) or 1.0


def fill_forward(values: Floats) -> Floats:
    """Each missing value (B x T) as the one before it; 0 where there is none, which is the level of a window."""
    at = np.where(np.isfinite(values), np.arange(values.shape[1]), 0)
    filled = np.take_along_axis(values, np.maximum.accumulate(at, axis=1), 1)
    return np.where(np.isfinite(filled), filled, 0).astype(np.float32)


def batch(
    context: Floats,
    horizon: Floats,
    calendar: Floats,
    dynamic: Floats | None = None,
    cat: Integers | None = None,
    fixed: Scale | None = None,
) -> Batch:
    """Windows of a context (B x C), a horizon (B x P, NaN where unknown) and calendar features (B x T x K).

    Dynamic features (B x T x J) and categories (B x N) are none where they are not given. Without `fixed` each has the
    level and the scale of its context.
    """
    level, size = scale(context)
    if fixed is not None:
        level = level if fixed[0] is None else np.full_like(level, fixed[0])
        size = np.full_like(size, fixed[1])
    dynamic = np.zeros((*calendar.shape[:2], 0), np.float32) if dynamic is None else dynamic
    cat = np.zeros((len(context), 0), np.int64) if cat is None else cat
    window = (np.concatenate([context, horizon], 1) - level[:, None]) / size[:, None]
    length = context.shape[1]
    values = torch.from_numpy(fill_forward(window))
    return Batch(
        past_BC=values[:, :length],
        observed_BC=torch.from_numpy(np.isfinite(context).astype(np.float32)),
        future_BP=values[:, length:],
        weight_BP=torch.from_numpy(np.isfinite(horizon).astype(np.float32)),
        calendar_BTK=torch.from_numpy(calendar),
        dynamic_BTJ=torch.from_numpy(dynamic),
        cat_BN=torch.from_numpy(cat),
        level_B=torch.from_numpy(level),
        scale_B=torch.from_numpy(size),
    )


class Pool:
    """Every window of context + prediction steps in a rank's series, by number.

    The series have N categories and J dynamic features or more; those beyond are left out. `fixed` as in `batch`.
    """

    def __init__(
        self,
        series: SeriesStore,
        calendar: Calendar,
        context: int,
        prediction: int,
        groupings: int = 0,
        features: int = 0,
        fixed: Scale | None = None,
    ) -> None:
        self.context, self.prediction, self.fixed = context, prediction, fixed
        self._calendar, self._features = calendar, features
        length = context + prediction
        self._series = usable = series.where(series.length_S >= length)
        self.points = int(usable.length_S.sum())
        self._ends = np.cumsum(usable.length_S - length + 1)
        self._cat = usable.cat_SN[:, :groupings].astype(np.int64).reshape(len(usable), groupings)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, numbers: NDArray[np.int64]) -> Batch:
        """The windows of these numbers, counted from 0 through the series in order."""
        series, steps = self._series, np.arange(self.context + self.prediction)
        owners = np.searchsorted(self._ends, numbers, side="right")
        # Counted back from the end of its series.
        first = numbers - self._ends[owners] + series.length_S[owners] - len(steps) + 1
        minutes = series.frequency.after(series.start_S[owners, None], first[:, None] + steps)
        places = (series.begin_S[owners] + first)[:, None] + steps
        window = series.target_X.take(places)
        return batch(
            window[:, : self.context],
            window[:, self.context :],
            self._calendar.features(minutes),
            series.dynamic_XJ.take(places, 0)[..., : self._features] if self._features else None,
            self._cat[owners],
            self.fixed,
        )

    def owner(self, number: int) -> str:
        """Where the series of a window was read."""
        return str(self._series.place_S[int(np.searchsorted(self._ends, number, side="right"))])

    def moments(self, mean_J: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over all points of 1, and of each dynamic feature's distance from a mean and its square: 1 + 2 J."""
        sums = np.zeros(1 + 2 * self._features)
        for place in self._series.blocks():
            away = self._series.dynamic_XJ[place, : self._features] - mean_J
            sums += np.concatenate([[len(away)], away.sum(0), np.square(away).sum(0)])
        return sums

    def blank(self) -> Batch:
        """One window in which nothing is observed: a rank without a window in this step still computes."""
        nothing = np.full((1, self.context + self.prediction), np.nan, np.float32)
        calendar, dynamic = (
            np.zeros((*nothing.shape, count), np.float32) for count in (self._calendar.num_features, self._features)
        )
        cat = np.zeros((1, self._cat.shape[1]), np.int64)
        return batch(nothing[:, : self.context], nothing[:, self.context :], calendar, dynamic, cat, self.fixed)


def draw(seed: int, epoch: int, step: int, count: int, windows: int) -> NDArray[np.int64]:
    """The windows of one training step over all ranks: a function of (seed, epoch, step) alone."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, step])))
    return random.integers(windows, size=count)
