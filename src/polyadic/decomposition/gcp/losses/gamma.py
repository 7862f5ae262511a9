"""The loss of positive numbers with noise that multiplies."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from polyadic.decomposition.gcp.loss import EPSILON, Loss


@dataclass(frozen=True)
class Gamma(Loss):
    """Positive numbers whose spread grows with their mean m: log(m + ε) + x / (m + ε).

    A zero has no likelihood here. As in the Tensor Toolbox, an entry that is written down must be positive, while the
    absent entries of a sparse tensor, where they count as zeros, cost log(m + ε) and so pull the model to 0.
    """

    name = "gamma"
    lower = 0.0
    takes = "numbers above 0"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """log(m + ε) + x / (m + ε)."""
        return (m + EPSILON).log() + x / (m + EPSILON)

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """(1 - x / (m + ε)) / (m + ε)."""
        return (1 - x / (m + EPSILON)) / (m + EPSILON)

    def allowed(self, x: Tensor) -> Tensor:
        """Whatever is positive."""
        return x > 0


LOSS = Gamma
