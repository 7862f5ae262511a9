"""negative-binomial: counts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.likelihoods._parameters import SMALLEST_SCALE, opposites
from polyadic.forecasting.quantiles import log_gamma_quantile, poisson_quantile
from polyadic.forecasting.series import Floats

SMALLEST_DISPERSION = 1e-8


class NegativeBinomial(Likelihood):
    """Counts y of mean mu and variance mu + alpha mu² (DeepAR, arXiv 1704.04110, section 3.1).

    mu = scale · softplus(location + level/scale), which is the location in the units of the counts where that is well
    above 0, and stays above 0 elsewhere.
    alpha = softplus(raw) · (scale / (level + scale))², so that softplus(raw) = 1 gives about the window's variance.
    """

    name = "negative-binomial"
    size = 2
    takes = "counts: whole numbers, 0 or more"

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Of y: lgamma(y+1) + lgamma(r) - lgamma(y+r) + r log(1 + alpha mu) + y log(1 + 1/(alpha mu)), r = 1/alpha."""
        mu, alpha = self._parameters(raw, level, scale)
        y, r = self.restore(x.double() * scale + level), 1 / alpha
        odds = alpha * mu
        chance = r * torch.log1p(odds) + y * torch.log1p(1 / odds)
        return (torch.lgamma(y + 1) + torch.lgamma(r) - torch.lgamma(y + r) + chance).to(x.dtype)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """A Poisson draw whose mean is a draw of Gamma(1/alpha, alpha mu), each a quantile of a uniform of its own."""
        mu, alpha = self._parameters(raw, level, scale)
        first, second = opposites(u, v)
        mean = (log_gamma_quantile(1 / alpha, first) + (alpha * mu).log()).exp()
        return ((poisson_quantile(mean, second) - level) / scale).to(raw.dtype)

    def restore(self, seen: Tensor) -> Tensor:
        """The nearest count."""
        return seen.round().clamp_min(0)

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """The mean of what is seen, but no less than 0: B x P."""
        return seen_BP.clamp_min(0)

    def _parameters(self, raw: Tensor, level: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        raw, level, scale = raw.double(), level.double(), scale.double()
        mu = scale * (softplus(raw[..., 0] + level / scale) + SMALLEST_SCALE)
        return mu, softplus(raw[..., 1]) * (scale / (level + scale)).square() + SMALLEST_DISPERSION

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        whole: NDArray[np.bool_] = target == np.floor(target)
        return whole & (target >= 0)


LIKELIHOOD = NegativeBinomial()
