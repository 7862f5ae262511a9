"""The loss of real numbers: least squares."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from polyadic.decomposition.gcp.loss import Loss


@dataclass(frozen=True)
class Gaussian(Loss):
    """Real numbers with noise of one variance everywhere: (x - m)², as `cp` has it."""

    name = "gaussian"
    zeros = "square"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """(x - m)²."""
        return (x - m).square()

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """2 (m - x)."""
        return 2 * (m - x)


LOSS = Gaussian
