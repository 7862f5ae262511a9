"""gaussian: the normal distribution."""

from __future__ import annotations

import math

from torch import Tensor

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.likelihoods._parameters import location_and_scale


class Gaussian(Likelihood):
    """x has a normal distribution of mean mu and deviation sigma."""

    name = "gaussian"
    size = 2

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """log sigma + z²/2 + log(2 pi)/2, z = (x - mu)/sigma."""
        mu, sigma = location_and_scale(raw)
        return sigma.log() + ((x - mu) / sigma).square() / 2 + 0.5 * math.log(2 * math.pi)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The transform of Box and Muller (1958); the opposite draw is mirrored about the location."""
        mu, sigma = location_and_scale(raw)
        return mu + sigma * (-2 * u.log()).sqrt() * (2 * math.pi * v).cos()


LIKELIHOOD = Gaussian()
