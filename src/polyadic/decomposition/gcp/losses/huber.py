"""The loss of real numbers among which some are outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from polyadic.decomposition.gcp.loss import Loss
from polyadic.errors import UserError


@dataclass(frozen=True)
class Huber(Loss):
    """Real numbers with outliers: (x - m)² up to a distance of delta, then 2 delta |x - m| - delta².

    Raises UserError for a delta that is not positive.
    """

    delta: float = 1.0
    name = "huber"

    def __post_init__(self) -> None:
        if not 0 < self.delta < math.inf:
            raise UserError(f"delta is {self.delta}: the distance from which an entry is an outlier is above 0")

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """(x - m)² or 2 delta |x - m| - delta²."""
        distance = (x - m).abs()
        near = distance.clamp(max=self.delta)
        return near * (2 * distance - near)

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """2 (m - x), held between -2 delta and 2 delta."""
        return 2 * (m - x).clamp(-self.delta, self.delta)


LOSS = Huber
