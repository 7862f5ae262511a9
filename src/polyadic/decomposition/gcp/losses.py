"""Losses of the generalized CP decomposition: what an entry x costs where the model has m.

Hong, Kolda and Duersch, "Generalized canonical polyadic tensor decomposition", SIAM Review 2020, section 3: each is
the negative log-likelihood of a distribution up to terms without m, but for Huber's. Functions work entry by entry.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError

EPSILON = 1e-10
"""Keeps logarithms and quotients of a model of 0 finite."""
CHECKED_AT_ONCE = 2**22


@dataclass(frozen=True)
class Loss(ABC):
    """What an entry costs.

    lower: the least that entries of factors may be, 0 or minus infinity. takes: the data that it is for.
    linked: whether the mean of the data is another number than m. zeros: whether f(0, m) is the model's square or the
    model itself, whose sum over all entries needs no pass over them.
    """

    name: ClassVar[str]
    lower: ClassVar[float] = -math.inf
    takes: ClassVar[str] = "any number"
    linked: ClassVar[bool] = False
    zeros: ClassVar[Literal["square", "model"] | None] = None

    @abstractmethod
    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """f(x, m)."""

    @abstractmethod
    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """The derivative of f by m."""

    def mean(self, m: Tensor) -> Tensor:
        """What the data is expected to be where the model has m: m itself, unless a loss says otherwise."""
        return m

    def inverse(self, mean: float) -> float:
        """The m of which this is the mean."""
        return mean

    def allowed(self, x: Tensor) -> Tensor:
        """Which entries the loss is defined for."""
        return torch.ones_like(x, dtype=torch.bool)

    def check(self, values: Tensor, world: World | None = None, seen: Tensor | None = None) -> None:
        """UserError on every rank where an entry on any rank, of those seen, is not of the kind the loss is for."""
        found = None
        seen = torch.ones((), device=values.device).expand(values.shape) if seen is None else seen
        parts = (torch.split(one.reshape(-1), CHECKED_AT_ONCE) for one in (values, seen))
        for part, looked_at in zip(*parts, strict=True):
            wrong = part[~self.allowed(part) & (looked_at != 0)]
            found = wrong[0].item() if found is None and len(wrong) else found
        first = [one for one in (world or World.alone()).collect(found) if one is not None]
        if first:
            raise UserError(
                f"the tensor holds {first[0]:g}: loss {self.name} takes {self.takes}. Change the data, or the loss"
            )


@dataclass(frozen=True)
class Gaussian(Loss):
    """Real numbers with noise of one variance everywhere: (x - m)², what `cp` fits."""

    name = "gaussian"
    zeros = "square"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """(x - m)²."""
        return (x - m).square()

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """2 (m - x)."""
        return 2 * (m - x)


@dataclass(frozen=True)
class Poisson(Loss):
    """Counts whose mean is m: m - x log(m + ε). Fractions are taken too, as the Kullback-Leibler divergence does."""

    name = "poisson"
    lower = 0.0
    takes = "counts, 0 or more"
    zeros = "model"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """m - x log(m + ε)."""
        return m - x * (m + EPSILON).log()

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """1 - x / (m + ε)."""
        return 1 - x / (m + EPSILON)

    def allowed(self, x: Tensor) -> Tensor:
        """Whatever is not negative."""
        return x >= 0


@dataclass(frozen=True)
class BernoulliLogit(Loss):
    """Zeros and ones, with m the logarithm of the odds of a one: log(1 + e^m) - x m."""

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
        """The logarithm of the odds, of a probability held off 0 and 1."""
        mean = min(max(mean, 1e-12), 1 - 1e-12)
        return math.log(mean / (1 - mean))

    def allowed(self, x: Tensor) -> Tensor:
        """0 and 1."""
        return (x == 0) | (x == 1)


@dataclass(frozen=True)
class Gamma(Loss):
    """Positive numbers whose spread grows with their mean m: log(m + ε) + x / (m + ε).

    A zero has no likelihood here. As in the Tensor Toolbox, an entry that is written down must be positive, while the
    absent entries of a sparse tensor, where they count as zeros, cost log(m + ε) and so pull the model to 0.
    """

    name = "gamma"
    lower = 0.0
    takes = "numbers above 0"

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """log(m + ε) + x / (m + ε)."""
        return (m + EPSILON).log() + x / (m + EPSILON)

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """(1 - x / (m + ε)) / (m + ε)."""
        return (1 - x / (m + EPSILON)) / (m + EPSILON)

    def allowed(self, x: Tensor) -> Tensor:
        """Whatever is positive."""
        return x > 0


@dataclass(frozen=True)
class Huber(Loss):
    """Real numbers among which some are outliers: (x - m)² up to a distance of delta, then 2 delta |x - m| - delta².

    Raises UserError for a delta that is not positive.
    """

    delta: float = 1.0
    name = "huber"

    def __post_init__(self) -> None:
        if not 0 < self.delta < math.inf:
            raise UserError(f"delta is {self.delta}: the distance from which an entry is an outlier is above 0")

    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """(x - m)² or 2 delta |x - m| - delta²."""
        far = (x - m).abs()
        near = far.clamp(max=self.delta)
        return near * (2 * far - near)

    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """2 (m - x), held between -2 delta and 2 delta."""
        return 2 * (m - x).clamp(-self.delta, self.delta)


def losses() -> dict[str, Loss]:
    """Every loss by its name, with its usual parameters."""
    return {kind.name: kind() for kind in Loss.__subclasses__()}


def named(loss: Loss | str) -> Loss:
    """The loss of a name; UserError where there is none."""
    if isinstance(loss, Loss):
        return loss
    if loss not in losses():
        raise UserError(f"loss is {loss!r}: it may be {', '.join(losses())}")
    return losses()[loss]
