"""The loss of counts."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.regression.losses._loss import Loss

MOST = 60.0
"""The largest logarithm of a mean that is told from larger ones."""


class Poisson(Loss):
    """exp(score) - label score, for counts of mean exp(score)."""

    name = "poisson"
    takes = "counts, 0 or more"

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The negative log-likelihood, up to the label's factorial."""
        return score_BC[:, 0].clamp(max=MOST).exp() - label_B * score_BC[:, 0]

    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The mean less the count."""
        return score_BC.clamp(max=MOST).exp() - label_B[:, None]

    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The rows times the root of the mean."""
        return rows_BCP * (score_BC / 2).clamp(-15, MOST / 2).exp()[:, :, None]

    def allowed(self, label_B: Tensor) -> Tensor:
        """Whatever is finite and not negative."""
        return torch.isfinite(label_B) & (label_B >= 0)

    def start(self, label_B: Tensor, weight_B: Tensor, outputs: int) -> Tensor:
        """The logarithm of the mean."""
        mean = (label_B * weight_B).sum() / weight_B.sum()
        return mean.clamp(min=1e-6).log().reshape(1)


LOSS = Poisson
