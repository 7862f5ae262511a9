"""What losses share that grow as the distance does: least squares with a weight for each sample."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from polyadic.regression.losses._loss import Loss


class Robust(Loss):
    """A loss of the distance d = score - label with the weight w(d) = l'(d) / d, which falls as |d| grows.

    A parabola of that curvature lies above the loss and touches it at d, so that no step of reweighted least squares
    raises it: Huber and Ronchetti, Robust Statistics, 2009, section 7.8.
    """

    exact = True
    takes = "finite numbers"

    @abstractmethod
    def weight(self, distance: Tensor) -> Tensor:
        """The weight l'(d) / d of each distance."""

    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The distance times its weight."""
        distance = score_BC - label_B[:, None]
        return distance * self.weight(distance)

    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The rows times the root of the weight."""
        return rows_BCP * self.weight(score_BC - label_B[:, None]).sqrt()[:, :, None]

    def allowed(self, label_B: Tensor) -> Tensor:
        """Whatever is finite."""
        return torch.isfinite(label_B)

    def scale(self, label_B: Tensor) -> float:
        """The distance between the quartiles, in units of that of normal numbers; the deviation where it is 0."""
        count = len(label_B)
        low, high = (float(label_B.kthvalue(max(1, round(share * count))).values) for share in (0.25, 0.75))
        width = (high - low) / 1.349
        return width if width > 0 else super().scale(label_B)

    def start(self, label_B: Tensor, weight_B: Tensor, outputs: int) -> Tensor:
        """The median."""
        return label_B.median().reshape(1)
