"""The loss of numbers of which a few are far off."""

from __future__ import annotations

import math

from torch import Tensor

from polyadic.regression.losses._robust import Robust

DELTA = 1.345
"""The distance from which a label is far off: at normal errors 95 % as efficient as least squares."""


class Huber(Robust):
    """d² / 2 up to a distance d of delta, then delta (d - delta / 2)."""

    name = "huber"
    degree = 2

    def __init__(self, delta: float = DELTA) -> None:
        self.delta = delta

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """d² / 2, or delta (d - delta / 2)."""
        distance = (score_BC[:, 0] - label_B).abs()
        near = distance.clamp(max=self.delta)
        return near * (distance - near / 2)

    def weight(self, distance: Tensor) -> Tensor:
        """1, or delta / |d|."""
        return self.delta / distance.abs().clamp(min=self.delta)

    def log_likelihood(self, losses: float, samples: float) -> float:
        """That of the best width, as if the errors were normal."""
        return -0.5 * samples * math.log(max(2 * losses / samples, 1e-300))


LOSS = Huber
