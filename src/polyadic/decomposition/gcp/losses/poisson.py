"""The loss of counts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from polyadic.decomposition.gcp.loss import EPSILON, Loss


@dataclass(frozen=True)
class Poisson(Loss):
    """Counts whose mean is m: m - x log(m + ε). Fractions are taken too, as the Kullback-Leibler divergence does."""

    name = "poisson"
    lower = 0.0
    takes = "counts, 0 or more"
    zeros = "model"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """m - x log(m + ε)."""
        return m - x * (m + EPSILON).log()

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """1 - x / (m + ε)."""
        return 1 - x / (m + EPSILON)

    def allowed(self, x: Tensor) -> Tensor:
        """Whatever is not negative."""
        return x >= 0


LOSS = Poisson
