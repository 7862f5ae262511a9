"""student-T: Student's t distribution, for series with outliers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.likelihoods._parameters import location_and_scale


class StudentT(Likelihood):
    """x has Student's t with location mu, scale sigma and nu > 2 degrees of freedom, so that its variance exists."""

    name = "student-T"
    size = 3

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The negative logarithm of the density of t at z = (x - mu)/sigma, over sigma."""
        mu, sigma = location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        z = (x - mu) / sigma
        norm = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (math.pi * nu).log() + sigma.log()
        return norm + (nu + 1) / 2 * torch.log1p(z.square() / nu)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Bailey's polar method in closed form (Mathematics of Computation 62, 1994).

        The opposite draw is mirrored about the location.
        """
        mu, sigma = location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        return mu + sigma * (nu * torch.expm1(-2 / nu * u.log())).sqrt() * (2 * math.pi * v).cos()


def _degrees_of_freedom(raw: Tensor) -> Tensor:
    return 2 + softplus(raw[..., 2])


LIKELIHOOD = StudentT()
