"""The loss of several classes."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.regression.losses._loss import Loss


class Softmax(Loss):
    """log(sum of exp(scores)) less the score of the label, which is the number of a class."""

    name = "softmax"
    takes = "whole numbers from 0, below num_classes"

    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The negative log-likelihood."""
        return score_BC.logsumexp(1) - score_BC.gather(1, label_B.long()[:, None])[:, 0]

    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The probabilities, less 1 at the label."""
        slope = score_BC.softmax(1)
        return slope.scatter_add_(1, label_B.long()[:, None], -torch.ones_like(slope[:, :1]))

    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The rows less their mean under p, times the root of p: their products sum to diag(p) - p p'."""
        p_BC1 = score_BC.softmax(1)[:, :, None]
        return (rows_BCP - (p_BC1 * rows_BCP).sum(1, keepdim=True)) * p_BC1.sqrt()

    def allowed(self, label_B: Tensor) -> Tensor:
        """Whole numbers from 0."""
        return (label_B >= 0) & (label_B == label_B.round())

    def start(self, label_B: Tensor, weight_B: Tensor, outputs: int) -> Tensor:
        """The logarithms of the classes' shares, each class with half a sample more than it has."""
        counts = torch.bincount(label_B.long(), weight_B, outputs) + 0.5
        return (counts / counts.sum()).log()


LOSS = Softmax
