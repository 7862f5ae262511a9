"""The loss of zeros and ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.gcp.loss import Loss

LEAST_PROBABILITY = 1e-12
"""The log-odds are those of a probability that is this far from 0 and from 1 at least."""


@dataclass(frozen=True)
class BernoulliLogit(Loss):
    """Zeros and ones, where m is the logarithm of the odds of a one: log(1 + e^m) - x m."""

    name = "bernoulli-logit"
    takes = "0 and 1"
    linked = True

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """log(1 + e^m) - x m."""
        return torch.logaddexp(m, torch.zeros_like(m)) - x * m

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """1 / (1 + e^-m) - x."""
        return torch.sigmoid(m) - x

    def mean(self, m: Tensor) -> Tensor:
        """The probability of a one."""
        return torch.sigmoid(m)

    def inverse(self, mean: float) -> float:
        """The logarithm of the odds of a probability."""
        mean = min(max(mean, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        return math.log(mean / (1 - mean))

    def allowed(self, x: Tensor) -> Tensor:
        """0 and 1."""
        return (x == 0) | (x == 1)


LOSS = BernoulliLogit
