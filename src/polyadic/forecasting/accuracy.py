"""Point and quantile errors of forecasts, and the naive forecast that they are measured against.

Shapes: B series, P prediction, Q quantiles, T history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.tensor.arguments import checked, dense, real

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
        Raises UserError where the shapes differ, and for levels that are not between 0 and 1.
        """
        named = (actual_BP, "actual_BP"), (mean_BP, "mean_BP"), (quantiles_QBP, "quantiles_QBP")
        actual_BP, mean_BP, quantiles_QBP = (_array(values, name) for values, name in named)
        wrong = [level for level in levels if not 0 < real(level, "a level") < 1]
        if wrong:
            raise UserError(f"levels hold {wrong[0]}: they must be between 0 and 1")
        expected = (len(levels), *actual_BP.shape)
        if actual_BP.ndim != 2 or mean_BP.shape != actual_BP.shape or quantiles_QBP.shape != expected:
            raise UserError(
                f"actual_BP, mean_BP and quantiles_QBP have the shapes {actual_BP.shape}, {mean_BP.shape} and "
                f"{quantiles_QBP.shape}: give series x steps, the same, and levels x series x steps"
            )
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


@checked()
def seasonal_naive(history: Floats, season: int, steps: int) -> Floats:
    """The last season of a history (T values, NaN where missing), repeated for `steps` steps.

    Where T is less than `season` the last value is repeated; a missing value becomes the last known one.
    """
    history = _array(history, "history")
    if history.ndim != 1:
        raise UserError(f"history has the shape {history.shape}: give the values of one series")
    known = history[np.isfinite(history)]
    last = known[-1] if len(known) else np.float32(0)
    period = season if len(history) >= season else 1
    repeated = np.resize(history[len(history) - period :], steps)
    return np.where(np.isfinite(repeated), repeated, last)


def _array(values: Any, name: str) -> Floats:
    """An array of floating-point numbers, from arrays, tensors and lists; UserError for all else."""
    if isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64):
        return values
    array: Floats = dense(values, name).detach().cpu().numpy()
    return array
