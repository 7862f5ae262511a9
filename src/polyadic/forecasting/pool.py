"""The windows of a rank's series, by number, and the order in which training sees them.

Shapes: B windows, C context, P prediction, T = C + P, J dynamic features, N groupings.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting.calendar import Calendar
from polyadic.forecasting.series import Floats
from polyadic.forecasting.store import SeriesStore
from polyadic.forecasting.windows import Batch, Scale, batch


class Pool:
    """Every window of C + P steps in a rank's series, numbered from 0 through the series in order.

    context: C. prediction: P. groupings: N; the series have as many categories or more, and those beyond are left out.
    features: J; likewise. fixed: the level and the scale of all windows, as in `batch`.
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
        """The windows with B given numbers."""
        series, steps = self._series, np.arange(self.context + self.prediction)
        owners = np.searchsorted(self._ends, numbers, side="right")
        # The first point of a window within its series, counted back from the last window of the series.
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
        """The place where the series of a window was read, for messages."""
        return str(self._series.place_S[int(np.searchsorted(self._ends, number, side="right"))])

    def moments(self, mean_J: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over all points, 1 + 2 J: of 1, of each dynamic feature less its mean (J), and of the square of that."""
        sums = np.zeros(1 + 2 * self._features)
        for block in self._series.blocks():
            distance = self._series.dynamic_XJ[block, : self._features] - mean_J
            sums += np.concatenate([[len(distance)], distance.sum(0), np.square(distance).sum(0)])
        return sums

    def blank(self) -> Batch:
        """One window in which nothing is observed, for a rank that has no window in a step but must compute one."""
        unobserved = np.full((1, self.context + self.prediction), np.nan, np.float32)
        calendar, dynamic = (
            np.zeros((*unobserved.shape, count), np.float32) for count in (self._calendar.num_features, self._features)
        )
        cat = np.zeros((1, self._cat.shape[1]), np.int64)
        return batch(unobserved[:, : self.context], unobserved[:, self.context :], calendar, dynamic, cat, self.fixed)


def draw(seed: int, epoch: int, step: int, count: int, windows: int) -> NDArray[np.int64]:
    """The numbers of the `count` windows of a training step over all ranks, out of `windows`.

    They are a function of (seed, epoch, step) and of these two counts alone.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, step])))
    return random.integers(windows, size=count)


def training_scale(series: SeriesStore, world: World, divided: bool) -> tuple[float, float]:
    """The mean and the standard deviation of all observed values, 1 for the deviation of values that do not vary.

    divided: whether the ranks have different series; the values of all ranks are then taken together, which is a
    collective.
    """

    def over_ranks(value: float) -> float:
        sums = torch.tensor(value, dtype=torch.float64, device=world.device)
        return (world.sum_(sums) if divided else sums).item()

    def total(sum_of: Callable[[Floats], np.float64]) -> float:
        blocks = (series.target_X[block] for block in series.blocks())
        return over_ranks(float(sum(sum_of(values[np.isfinite(values)]) for values in blocks)))

    count = max(over_ranks(float(series.observed_S.sum())), 1)
    level = total(lambda values: values.sum(dtype=np.float64)) / count
    squares = total(lambda values: np.square(values - np.float64(level)).sum())
    return level, math.sqrt(squares / count) or 1.0
