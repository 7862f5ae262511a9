"""What a loss of a regression is: its value, its slope and its curvature in the scores of a sample.

Shapes: B samples, C scores of a sample (1, but for the classes of softmax), P parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Loss(ABC):
    """A loss l(score, label), convex in the score.

    name: the module's. exact: whether a step of iteratively reweighted least squares never raises the loss, so that
    none needs to be shortened. degree: labels and scores that are s times as large have a loss s^degree times as large;
    0 where labels have no unit. takes: what labels may be, in words.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = False
    degree: ClassVar[int] = 0
    takes: ClassVar[str]

    @abstractmethod
    def value(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The loss of each sample: B."""

    @abstractmethod
    def gradient(self, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """The derivative by each score: B x C."""

    @abstractmethod
    def weighted(self, rows_BCP: Tensor, score_BC: Tensor, label_B: Tensor) -> Tensor:
        """Rows whose products with themselves sum to the curvature (or a bound of it) by P parameters: B x C x P.

        rows_BCP: the derivatives of the scores by the parameters.
        """

    @abstractmethod
    def allowed(self, label_B: Tensor) -> Tensor:
        """Which labels this loss takes: B booleans."""

    def start(self, label_B: Tensor, weight_B: Tensor, outputs: int) -> Tensor:
        """The scores (C) of a model that sees no features; a mean over these samples, or near it."""
        return ((label_B * weight_B).sum() / weight_B.sum()).reshape(1)

    def scale(self, label_B: Tensor) -> float:
        """The unit that labels are measured in during a fit, positive."""
        deviation = float(label_B.double().std(correction=0)) if self.degree and len(label_B) else 1.0
        return deviation if deviation > 0 else 1.0

    def log_likelihood(self, losses: float, samples: float) -> float:
        """The log-likelihood of a model of which the losses of all samples sum to this, up to a constant."""
        return -losses
