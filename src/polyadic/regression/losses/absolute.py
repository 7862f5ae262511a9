"""The loss of numbers of which the median is asked."""

from __future__ import annotations

import math

from torch import Tensor

from polyadic.regression.losses._robust import Robust

NEAR = 1e-4
"""Distances below this count as this, for the weight of no distance is infinite; labels are standardised."""


class Absolute(Robust):
    """|score - label|, rounded off at distances below 0.0001."""

    name = "absolute"
    degree = 1

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """|score - label|."""
        distance = (score_BC[:, 0] - label_B).abs()
        return distance.where(distance > NEAR, distance.square() / (2 * NEAR) + NEAR / 2)

    def weight(self, distance: Tensor) -> Tensor:
        """1 / |d|."""
        return 1 / distance.abs().clamp(min=NEAR)

    def log_likelihood(self, losses: float, samples: float) -> float:
        """That of Laplace's distribution of the best width."""
        return -samples * math.log(max(losses / samples, 1e-300))


LOSS = Absolute
