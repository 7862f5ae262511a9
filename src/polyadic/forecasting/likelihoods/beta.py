"""beta: values between 0 and 1."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.likelihoods._parameters import SMALLEST_SCALE, opposites
from polyadic.forecasting.quantiles import log_gamma_quantile
from polyadic.forecasting.series import Floats

LARGEST_LOGIT = 30.0
LARGEST_CONCENTRATION = 1e6
"""The largest a + b that softplus(raw) = 1 may stand for: double precision can tell no larger ones apart."""


class Beta(Likelihood):
    """y in (0, 1) has the distribution Beta(a, b); windows hold the logit of y.

    The mean is a/(a+b) = sigmoid(level + scale · location). a + b = softplus(raw) / (scale² m (1 - m)) with
    m = sigmoid(level), so that softplus(raw) = 1 gives about the variance of the window.
    """

    name = "beta"
    size = 2
    takes = "values between 0 and 1, both excluded"

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Of y: lgamma(a) + lgamma(b) - lgamma(a+b) - (a-1) log y - (b-1) log(1-y)."""
        a, b = self._parameters(raw, level, scale)
        logit = x.double() * scale + level
        norm = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        return (norm - (a - 1) * logsigmoid(logit) - (b - 1) * logsigmoid(-logit)).to(x.dtype)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """X / (X + Y) of draws X of Gamma(a) and Y of Gamma(b), each a quantile of a uniform of its own."""
        a, b = self._parameters(raw, level, scale)
        first, second = opposites(u, v)
        logit = log_gamma_quantile(a, first) - log_gamma_quantile(b, 1 - second)
        return ((logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT) - level) / scale).to(raw.dtype)

    def see(self, target: Floats) -> Floats:
        """The logit, log y - log(1 - y)."""
        y = target.astype(np.float64)
        return (np.log(y) - np.log1p(-y)).astype(np.float32)

    def restore(self, seen: Tensor) -> Tensor:
        """The sigmoid, 1 / (1 + exp(-seen))."""
        return seen.sigmoid()

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """The mean of the samples (B x P), because the mean of logits is not the logit of the mean."""
        return samples_BSP.mean(1)

    def example(self, count: int) -> list[float]:
        """`count` numbers from 0 to 1, both excluded, at even distances."""
        return [(step + 1) / (count + 1) for step in range(count)]

    def _parameters(self, raw: Tensor, level: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        raw, level, scale = raw.double(), level.double(), scale.double()
        logit = (level + scale * raw[..., 0]).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        own = 1 / (scale.square() * level.sigmoid() * (-level).sigmoid())
        both = (softplus(raw[..., 1]) + SMALLEST_SCALE) * own.clamp_max(LARGEST_CONCENTRATION)
        return both * logit.sigmoid(), both * (-logit).sigmoid()

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        return (target > 0) & (target < 1)


LIKELIHOOD = Beta()
