"""The loss of numbers with normal errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyadic.regression.losses._loss import Loss


class Squared(Loss):
    """(score - label)² / 2."""

    name = "squared"
    exact = True
    degree = 2
    takes = "finite numbers"

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """(score - label)² / 2."""
        return 0.5 * (score_BC[:, 0] - label_B).square()

    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The distance, score - label."""
        return score_BC - label_B[:, None]

    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The rows as they are."""
        return rows_BCP

    def allowed(self, label_B: Tensor) -> Tensor:
        """Whatever is finite."""
        return torch.isfinite(label_B)

    def log_likelihood(self, losses: float, samples: float) -> float:
        """That of the best variance of the errors."""
        return -0.5 * samples * math.log(max(2 * losses / samples, 1e-300))


LOSS = Squared
