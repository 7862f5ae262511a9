"""What a test channel says about forecasts beside their scores: errors by step, calibration, a few examples.

Shapes: B series, H history, P prediction, Q quantiles, F forecasts of the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting.series import Series

LEVELS = tuple(step / 20 for step in range(1, 20))
"""The levels of the quantiles whose calibration is measured."""
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The levels among them whose quantiles an example keeps."""
INTERVALS = (0.9, 0.8, 0.5)
"""The central intervals whose coverage is told, by the share of values that they should hold."""
FORECASTS = ("forecaster", "seasonal_naive", "linear_autoregression")
MOST_EXAMPLES = 6

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Example:
    """The end of a series, what was forecast and what came.

    minutes: minutes since 1970 of the H + P time stamps of history and horizon. quantiles_QP: those of the levels
    `SHOWN`.
    """

    minutes: NDArray[np.int64]
    history_H: Floats
    actual_P: Floats
    mean_P: Floats
    quantiles_QP: Floats

    @staticmethod
    def of(series: Series, context: int, mean_P: Floats, quantiles_QP: Floats) -> Example:
        """The example of a series, whose last P points are the actual ones; quantiles_QP: those of `LEVELS`.

        The history has as many points as `history_shown` says, or all where the series has fewer.
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
    """H, the points of history of an example: the context or three horizons, whichever is longer."""
    return max(context, 3 * horizon)


@dataclass(frozen=True)
class Evaluation:
    """The scores under the names of their metrics, and what pictures need.

    rmse_P: the error at each step of the horizon, of those of the `FORECASTS` that were made; NaN where nothing is
    observed. below_Q: the share of actual values below the quantiles of each of the `LEVELS`. values: how many values
    of all ranks were observed.
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
        """The sums of F point forecasts (B x P each), and of the quantiles of the first at the `LEVELS`.

        An actual value that is NaN counts nowhere. One that equals a quantile, as counts often do, is half below it.
        """
        seen = np.isfinite(actual_BP)
        squares = [np.square(np.where(seen, actual_BP - point_BP, 0), dtype=np.float64).sum(0) for point_BP in points]
        below = (seen & (actual_BP < quantiles_QBP)).sum((1, 2))
        equal = (seen & (actual_BP == quantiles_QBP)).sum((1, 2))
        return Tally(np.stack(squares), seen.sum(0, dtype=np.float64), below + equal / 2)

    @staticmethod
    def nothing(forecasts: int, steps: int) -> Tally:
        """The sums of no series, for F = forecasts and P = steps."""
        return Tally(np.zeros((forecasts, steps)), np.zeros(steps), np.zeros(len(LEVELS)))

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + yours for mine, yours in zip(vars(self).values(), vars(other).values(), strict=True)))

    def over(self, world: World) -> Tally:
        """The sums over the series of all ranks. A collective."""
        parts = vars(self)
        flat = torch.from_numpy(np.concatenate([part.ravel() for part in parts.values()])).to(world.device)
        cuts = np.cumsum([part.size for part in parts.values()])[:-1]
        total = np.split(world.sum_(flat).cpu().numpy(), cuts)
        return Tally(*(sums.reshape(part.shape) for sums, part in zip(total, parts.values(), strict=True)))

    @property
    def rmse(self) -> dict[str, float]:
        """The error of each forecast over all series and steps; NaN where nothing is observed."""
        means = _ratio(self.squares_FP.sum(1), self.count_P.sum())
        return dict(zip(FORECASTS, np.sqrt(means).tolist(), strict=False))

    def evaluation(self, metrics: Mapping[str, float], examples: Sequence[Example]) -> Evaluation:
        """The means of these sums, with metrics and examples that were found beside them."""
        rmse_P = dict(zip(FORECASTS, np.sqrt(_ratio(self.squares_FP, self.count_P)), strict=False))
        count = self.count_P.sum()
        return Evaluation(metrics, rmse_P, _ratio(self.below_Q, count), int(count), tuple(examples))


def coverage(below_Q: Floats) -> dict[float, float]:
    """The share of actual values inside each of the `INTERVALS`, given those below the quantiles of `LEVELS` (Q)."""
    below = {round(level, 2): float(share) for level, share in zip(LEVELS, below_Q, strict=True)}
    return {width: below[round(0.5 + width / 2, 2)] - below[round(0.5 - width / 2, 2)] for width in INTERVALS}


def spread(series: Sequence[Series], horizon: int) -> list[int]:
    """The numbers of MOST_EXAMPLES series or fewer, at even distances among those with a value in their horizon."""
    known = [number for number, member in enumerate(series) if np.isfinite(member.target[-horizon:]).any()]
    places = np.linspace(0, len(known) - 1, min(len(known), MOST_EXAMPLES)).round().astype(int)
    return [known[place] for place in places]


def _ratio(sums: NDArray[np.float64], count: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=np.asarray(count) > 0)
    return ratio
