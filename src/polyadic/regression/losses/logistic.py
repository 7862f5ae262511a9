"""The loss of two classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.regression.losses._loss import Loss


class Logistic(Loss):
    """log(1 + exp(score)) - label score, for labels 0 and 1."""

    name = "logistic"
    takes = "0 or 1"

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The negative log-likelihood."""
        return softplus(score_BC[:, 0]) - label_B * score_BC[:, 0]

    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The probability of class 1, less the label."""
        return score_BC.sigmoid() - label_B[:, None]

    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The rows times the root of p (1 - p)."""
        half = (score_BC / 2).clamp(-20, 20)  # p (1 - p) = 1 / (2 cosh(s / 2))², which never is 0 here.
        return rows_BCP * (0.5 / half.cosh())[:, :, None]

    def allowed(self, label_B: Tensor) -> Tensor:
        """0 and 1."""
        return (label_B == 0) | (label_B == 1)

    def start(self, label_B: Tensor, weight_B: Tensor, outputs: int) -> Tensor:
        """The logit of the share of class 1."""
        share = (label_B * weight_B).sum() / weight_B.sum()
        return torch.logit(share.clamp(1e-6, 1 - 1e-6)).reshape(1)


LOSS = Logistic
