"""deterministic-L1: a point forecast."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.forecasting.likelihoods import Likelihood


class DeterministicL1(Likelihood):
    """A point forecast: the location, trained by its absolute error."""

    name = "deterministic-L1"
    size = 1

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """|x - mu|, mu the location."""
        return (x - raw[..., 0]).abs()

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The location, whatever u and v are."""
        return raw[..., 0] + torch.zeros_like(u)


LIKELIHOOD = DeterministicL1()
