"""Likelihoods of an observation, given the raw outputs of a network that sees it as x = (see(y) - level) / scale.

Shapes: raw is ... x `size`, its first column the location of x; y, x, u, v, level and scale are ... .
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from polyadic.errors import UserError
from polyadic.forecasting.quantiles import log_gamma_quantile, poisson_quantile

Floats = NDArray[np.float32]

SMALLEST_SCALE = 1e-3
"""Of the window's scale: a constant series would otherwise drive the likelihood to infinity."""
SMALLEST_DISPERSION = 1e-8
LARGEST_LOGIT = 30.0
LARGEST_CONCENTRATION = 1e6
"""Of a Beta as concentrated as its window: what double precision can tell apart."""


class Likelihood(ABC):
    """A distribution of one observation."""

    name: ClassVar[str]
    size: ClassVar[int]
    takes: ClassVar[str] = "numbers"

    @abstractmethod
    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The negative log-likelihood of an observation: of x itself, unless the class says of y."""

    @abstractmethod
    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """A draw of x made of two uniforms on (0, 1); v + 1/2 (mod 1) gives the draw opposite to it."""

    def see(self, target: Floats) -> Floats:
        """Observations as windows hold them before they are scaled; NaN stays NaN."""
        return target

    def restore(self, seen: Tensor) -> Tensor:
        """The inverse of `see`."""
        return seen

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """The mean of observations, given the mean of what is seen and observations over all their quantiles."""
        return seen_BP

    def example(self, count: int) -> list[float]:
        """Observations that it takes: they rise by one a step."""
        return [float(value) for value in range(count)]

    def refuse(self, target: Floats) -> None:
        """UserError for an observation that it gives no probability to; NaN is none."""
        wrong = np.flatnonzero(np.isfinite(target) & ~self._possible(target))
        if len(wrong):
            raise UserError(
                f"target holds {target[wrong[0]]:.9g} at place {wrong[0] + 1}, but likelihood {self.name} takes "
                f"{self.takes}: mend the series, or choose a likelihood such as student-T, which takes any number"
            )

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        return np.ones(target.shape, np.bool_)


class Gaussian(Likelihood):
    """Normal(mu, sigma)."""

    name = "gaussian"
    size = 2

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """log sigma + z²/2 + log(2 pi)/2."""
        mu, sigma = _location_and_scale(raw)
        return sigma.log() + ((x - mu) / sigma).square() / 2 + 0.5 * math.log(2 * math.pi)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Box and Muller's transform, mirrored about the location."""
        mu, sigma = _location_and_scale(raw)
        return mu + sigma * (-2 * u.log()).sqrt() * (2 * math.pi * v).cos()


class StudentT(Likelihood):
    """Student's t with location mu, scale sigma and nu > 2 degrees of freedom, so that its variance exists."""

    name = "student-T"
    size = 3

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The density of t at z = (x - mu)/sigma, over sigma."""
        mu, sigma = _location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        z = (x - mu) / sigma
        norm = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (math.pi * nu).log() + sigma.log()
        return norm + (nu + 1) / 2 * torch.log1p(z.square() / nu)

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """Bailey's polar method in closed form (Mathematics of Computation 62, 1994), mirrored about the location."""
        mu, sigma = _location_and_scale(raw)
        nu = _degrees_of_freedom(raw)
        return mu + sigma * (nu * torch.expm1(-2 / nu * u.log())).sqrt() * (2 * math.pi * v).cos()


class DeterministicL1(Likelihood):
    """A point forecast: the location, trained by its absolute error."""

    name = "deterministic-L1"
    size = 1

    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """|x - mu|."""
        return (x - raw[..., 0]).abs()

    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The location, whatever u and v are."""
        return raw[..., 0] + torch.zeros_like(u)


class NegativeBinomial(Likelihood):
    """Counts y of mean mu and variance mu + alpha mu² (DeepAR, arXiv 1704.04110, section 3.1).

    mu = scale · softplus(location + level/scale): the location in the counts' own units, bent to stay above zero.
    alpha = softplus(raw) · (scale / (level + scale))²: at softplus(raw) = 1 about the window's own variance.
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
        """A Poisson whose mean is Gamma(1/alpha, alpha mu), each a quantile of its own uniform."""
        mu, alpha = self._parameters(raw, level, scale)
        first, second = _opposites(u, v)
        mean = (log_gamma_quantile(1 / alpha, first) + (alpha * mu).log()).exp()
        return ((poisson_quantile(mean, second) - level) / scale).to(raw.dtype)

    def restore(self, seen: Tensor) -> Tensor:
        """To the nearest count."""
        return seen.round().clamp_min(0)

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """No less than zero."""
        return seen_BP.clamp_min(0)

    def _parameters(self, raw: Tensor, level: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        raw, level, scale = raw.double(), level.double(), scale.double()
        mu = scale * (softplus(raw[..., 0] + level / scale) + SMALLEST_SCALE)
        return mu, softplus(raw[..., 1]) * (scale / (level + scale)).square() + SMALLEST_DISPERSION

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        whole: NDArray[np.bool_] = target == np.floor(target)
        return whole & (target >= 0)


class Beta(Likelihood):
    """Beta(a, b) of y in (0, 1), whose logit is what the windows scale.

    Mean a/(a+b) = sigmoid(level + scale · location); a + b = softplus(raw) / (scale² m (1 - m)), m = sigmoid(level):
    at softplus(raw) = 1 about the window's own variance.
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
        """X / (X + Y) of Gamma(a) and Gamma(b), each a quantile of its own uniform."""
        a, b = self._parameters(raw, level, scale)
        first, second = _opposites(u, v)
        logit = log_gamma_quantile(a, first) - log_gamma_quantile(b, 1 - second)
        return ((logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT) - level) / scale).to(raw.dtype)

    def see(self, target: Floats) -> Floats:
        """The logit."""
        y = target.astype(np.float64)
        return (np.log(y) - np.log1p(-y)).astype(np.float32)

    def restore(self, seen: Tensor) -> Tensor:
        """The sigmoid."""
        return seen.sigmoid()

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """The samples': a mean of logits is not the mean's logit."""
        return samples_BSP.mean(1)

    def example(self, count: int) -> list[float]:
        """From 0 to 1, both excluded, in steps alike."""
        return [(step + 1) / (count + 1) for step in range(count)]

    def _parameters(self, raw: Tensor, level: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        raw, level, scale = raw.double(), level.double(), scale.double()
        logit = (level + scale * raw[..., 0]).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        own = 1 / (scale.square() * level.sigmoid() * (-level).sigmoid())
        both = (softplus(raw[..., 1]) + SMALLEST_SCALE) * own.clamp_max(LARGEST_CONCENTRATION)
        return both * logit.sigmoid(), both * (-logit).sigmoid()

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        return (target > 0) & (target < 1)


LIKELIHOODS: dict[str, Likelihood] = {kind.name: kind() for kind in Likelihood.__subclasses__()}
"""Every likelihood of this file, by its name."""


def _location_and_scale(raw: Tensor) -> tuple[Tensor, Tensor]:
    return raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SCALE


def _degrees_of_freedom(raw: Tensor) -> Tensor:
    return 2 + softplus(raw[..., 2])


def _opposites(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two uniforms, independent of each other, which become 1 less themselves where v becomes v + 1/2 (mod 1)."""
    u, v = u.double(), v.double()
    first, second = (torch.where(turn < 0.5, turn, 1.5 - turn) for turn in (v, (u + v) % 1))
    return first.clamp(1e-7, 1 - 1e-7), second.clamp(1e-7, 1 - 1e-7)
