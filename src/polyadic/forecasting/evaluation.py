"""What a test channel says of forecasts beside their scores: errors by step, calibration, a few examples.

Shapes: B series, H history, P prediction, Q quantiles, F forecasts of the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting.windows import Series

LEVELS = tuple(step / 20 for step in range(1, 20))
"""At which calibration is measured."""
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Those of them that an example keeps."""
INTERVALS = (0.9, 0.8, 0.5)
"""The central ones whose coverage is told."""
FORECASTS = ("forecaster", "seasonal_naive", "linear_autoregression")
MOST_EXAMPLES = 6

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Example:
    """The end of a series, what was forecast and what came; minutes since 1970 of both the history and the horizon.

    quantiles_QP: those of the levels `SHOWN`.
    """

    minutes: NDArray[np.int64]
    history_H: Floats
    actual_P: Floats
    mean_P: Floats
    quantiles_QP: Floats

    @staticmethod
    def of(series: Series, context: int, mean_P: Floats, quantiles_QP: Floats) -> Example:
        """A series, its last P points the actual ones; quantiles of `LEVELS`.

        The history is as long as `history_shown` says, if the series is.
        """
        end, horizon = len(series.target), len(mean_P)
        first = max(0, end - horizon - history_shown(context, horizon))
        return Example(
            series.minutes[first:end],
            series.target[first : end - horizon],
            series.target[end - horizon :],
            mean_P,
            quantiles_QP[[LEVELS.index(level) for level in SHOWN]],
        )


def history_shown(context: int, horizon: int) -> int:
    """Points of history that an example has: the context or three horizons, whichever is longer."""
    return max(context, 3 * horizon)


@dataclass(frozen=True)
class Evaluation:
    """The scores under the names of their metrics, and what pictures need.

    rmse_P: by step of the horizon, for the forecasts of `FORECASTS` that there are, NaN where nothing is observed;
    below_Q: the share of actual values below the quantiles of `LEVELS`; values: how many were observed, over all ranks.
    """

    metrics: Mapping[str, float]
    rmse_P: Mapping[str, NDArray[np.float64]]
    below_Q: NDArray[np.float64]
    values: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Tally:
    """Sums over series: squared errors and observed values of each step, and values below each quantile."""

    squares_FP: NDArray[np.float64]
    count_P: NDArray[np.float64]
    below_Q: NDArray[np.float64]

    @staticmethod
    def of(actual_BP: Floats, points: Sequence[Floats], quantiles_QBP: Floats) -> Tally:
        """The sums of F point forecasts (B x P each) and of one's quantiles at `LEVELS`; a NaN actual counts nowhere.

        A value that equals a quantile is half below it: counts often do.
        """
        seen = np.isfinite(actual_BP)
        squares = [np.square(np.where(seen, actual_BP - one, 0), dtype=np.float64).sum(0) for one in points]
        below = (seen & (actual_BP < quantiles_QBP)).sum((1, 2))
        equal = (seen & (actual_BP == quantiles_QBP)).sum((1, 2))
        return Tally(np.stack(squares), seen.sum(0, dtype=np.float64), below + equal / 2)

    @staticmethod
    def nothing(forecasts: int, steps: int) -> Tally:
        """The sums of no series."""
        return Tally(np.zeros((forecasts, steps)), np.zeros(steps), np.zeros(len(LEVELS)))

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + yours for mine, yours in zip(vars(self).values(), vars(other).values(), strict=True)))

    def over(self, world: World) -> Tally:
        """The sums over the series of all ranks."""
        parts = vars(self)
        flat = torch.from_numpy(np.concatenate([one.ravel() for one in parts.values()])).to(world.device)
        cuts = np.cumsum([one.size for one in parts.values()])[:-1]
        total = np.split(world.sum_(flat).cpu().numpy(), cuts)
        return Tally(*(one.reshape(like.shape) for one, like in zip(total, parts.values(), strict=True)))

    @property
    def rmse(self) -> dict[str, float]:
        """Of each forecast, over all series and steps; NaN where nothing is observed."""
        means = _ratio(self.squares_FP.sum(1), self.count_P.sum())
        return dict(zip(FORECASTS, np.sqrt(means).tolist(), strict=False))

    def evaluation(self, metrics: Mapping[str, float], examples: Sequence[Example]) -> Evaluation:
        """The sums as means."""
        rmse_P = dict(zip(FORECASTS, np.sqrt(_ratio(self.squares_FP, self.count_P)), strict=False))
        count = self.count_P.sum()
        return Evaluation(metrics, rmse_P, _ratio(self.below_Q, count), int(count), tuple(examples))


def coverage(below_Q: Floats) -> dict[float, float]:
    """The share of actual values inside each of `INTERVALS`, given those below the quantiles of `LEVELS`."""
    at = {round(level, 2): float(share) for level, share in zip(LEVELS, below_Q, strict=True)}
    return {one: at[round(0.5 + one / 2, 2)] - at[round(0.5 - one / 2, 2)] for one in INTERVALS}


def spread(series: Sequence[Series], horizon: int) -> list[int]:
    """The numbers of series to show: a few, evenly spread over those that have an actual value to forecast."""
    known = [number for number, one in enumerate(series) if np.isfinite(one.target[-horizon:]).any()]
    places = np.linspace(0, len(known) - 1, min(len(known), MOST_EXAMPLES)).round().astype(int)
    return [known[place] for place in places]


def _ratio(sums: NDArray[np.float64], count: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=np.asarray(count) > 0)
    return found
