"""Point and quantile errors of forecasts, and the naive forecast that they are measured against.

Shapes: B series, P prediction, Q quantiles, T history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass
class Accuracy:
    """Sums over series and steps, so that the sums of several ranks can be added.

    squares: squared errors of the mean forecast. count: observed values. size: absolute values. losses: pinball losses
    of the quantiles of each level (Q).
    """

    squares: float
    count: float
    size: float
    losses: NDArray[np.float64]

    @staticmethod
    def of(actual_BP: Floats, mean_BP: Floats, quantiles_QBP: Floats, levels: Sequence[float]) -> Accuracy:
        """The sums of B forecasts of P steps (quantiles Q x B x P); where the actual value is NaN, nothing is counted.

        The pinball loss of a quantile q at level tau is tau (y - q) above it and (1 - tau) (q - y) below.
        """
        seen = np.isfinite(actual_BP)
        above = np.where(seen, actual_BP - quantiles_QBP, 0)
        tau = np.asarray(levels)[:, None, None]
        return Accuracy(
            squares=float(np.square(np.where(seen, actual_BP - mean_BP, 0), dtype=np.float64).sum()),
            count=float(seen.sum()),
            size=float(np.abs(np.where(seen, actual_BP, 0), dtype=np.float64).sum()),
            losses=np.maximum(tau * above, (tau - 1) * above).sum((1, 2), dtype=np.float64),
        )

    @staticmethod
    def nothing(levels: int) -> Accuracy:
        """The sums of no forecast at all, for Q = levels."""
        return Accuracy(0.0, 0.0, 0.0, np.zeros(levels))

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy.from_vector(self.vector() + other.vector())

    def vector(self) -> NDArray[np.float64]:
        """The sums as one vector (3 + Q), which `from_vector` reads."""
        return np.array([self.squares, self.count, self.size, *self.losses])

    @staticmethod
    def from_vector(sums: NDArray[np.float64]) -> Accuracy:
        """The accuracy whose sums are a vector (3 + Q)."""
        return Accuracy(float(sums[0]), float(sums[1]), float(sums[2]), sums[3:])

    @property
    def rmse(self) -> float:
        """The root of the mean squared error of the mean forecast, over every series and step."""
        return float(np.sqrt(self.squares / self.count)) if self.count else float("nan")

    @property
    def weighted_quantile_losses(self) -> NDArray[np.float64]:
        """2 · pinball loss / sum |y| for each level (Q), as SageMaker's DeepAR defines it."""
        return 2 * self.losses / self.size if self.size else np.full(len(self.losses), np.nan)


def seasonal_naive(history: Floats, season: int, steps: int) -> Floats:
    """The last season of a history (T values, NaN where missing), repeated for `steps` steps.

    Where T is less than `season` the last value is repeated; a missing value becomes the last known one.
    """
    known = history[np.isfinite(history)]
    last = known[-1] if len(known) else np.float32(0)
    period = season if len(history) >= season else 1
    repeated = np.resize(history[len(history) - period :], steps)
    return np.where(np.isfinite(repeated), repeated, last)
