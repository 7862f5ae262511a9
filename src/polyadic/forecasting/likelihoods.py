"""Likelihoods of a scaled observation, given the raw outputs of a network.

Shapes: raw is ... x `size`, its first column the location; y, u and v are ... .
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

SMALLEST_SCALE = 1e-3
"""Of the window's scale: a constant series would otherwise drive the likelihood to infinity."""


class Likelihood(ABC):
    """A distribution of one observation."""

    name: ClassVar[str]
    size: ClassVar[int]

    @abstractmethod
    def nll(self, raw: Tensor, y: Tensor) -> Tensor:
        """The negative log-likelihood of y."""

    @abstractmethod
    def sample(self, raw: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """A draw made of two uniforms on (0, 1); v + 1/2 (mod 1) mirrors it about the location."""


class Gaussian(Likelihood):
    """Normal(mu, sigma)."""

    name = "gaussian"
    size = 2

    def nll(self, raw: Tensor, y: Tensor) -> Tensor:
        """log sigma + z²/2 + log(2 pi)/2."""
        loc, scale = _location_and_scale(raw)
        return scale.log() + ((y - loc) / scale).square() / 2 + 0.5 * math.log(2 * math.pi)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Box and Muller's transform."""
        loc, scale = _location_and_scale(raw)
        return loc + scale * (-2 * u.log()).sqrt() * (2 * math.pi * v).cos()


class StudentT(Likelihood):
    """Student's t with location mu, scale sigma and nu > 2 degrees of freedom, so that its variance exists."""

    name = "student-T"
    size = 3

    def nll(self, raw: Tensor, y: Tensor) -> Tensor:
        """The density of t at z = (y - mu)/sigma, over sigma."""
        loc, scale = _location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        z = (y - loc) / scale
        norm = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (math.pi * nu).log() + scale.log()
        return norm + (nu + 1) / 2 * torch.log1p(z.square() / nu)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Bailey's polar method in closed form (Mathematics of Computation 62, 1994)."""
        loc, scale = _location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        return loc + scale * (nu * torch.expm1(-2 / nu * u.log())).sqrt() * (2 * math.pi * v).cos()


LIKELIHOODS: dict[str, Likelihood] = {kind.name: kind() for kind in Likelihood.__subclasses__()}
"""Every likelihood of this file, by its name."""


def _location_and_scale(raw: Tensor) -> tuple[Tensor, Tensor]:
    return raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SCALE


def _degrees_of_freedom(raw: Tensor) -> Tensor:
    return 2 + softplus(raw[..., 2])
