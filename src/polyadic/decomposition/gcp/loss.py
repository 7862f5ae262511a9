"""What a loss of the generalized CP decomposition is: the cost of an entry x where the model has m.

Hong, Kolda and Duersch, "Generalized canonical polyadic tensor decomposition", SIAM Review 2020, section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError

EPSILON = 1e-10
"""Keeps logarithms and quotients of a model of 0 finite."""
CHECKED_ENTRIES = 2**22
"""Entries that are checked together."""


@dataclass(frozen=True)
class Loss(ABC):
    """The cost f(x, m) of an entry x of the data where the model has m; all methods work entry by entry.

    name: as jobs and `gcp` call it. lower: the least that entries of factors may be, 0 or minus infinity. takes: the
    data that the loss is for, in words. linked: whether the data's mean is another number than m. zeros: "square" or
    "model" where f(0, m) is m² or m, whose sum over all entries needs no pass over them; None otherwise.
    The parameters of a loss are its fields, which have defaults.
    """

    name: ClassVar[str]
    lower: ClassVar[float] = -float("inf")
    takes: ClassVar[str] = "any number"
    linked: ClassVar[bool] = False
    zeros: ClassVar[Literal["square", "model"] | None] = None

    @abstractmethod
    def value(self, x: Tensor, m: Tensor) -> Tensor:
        """f(x, m), in the shape of both."""

    @abstractmethod
    def derivative(self, x: Tensor, m: Tensor) -> Tensor:
        """The derivative of f by m, in the shape of both."""

    def mean(self, m: Tensor) -> Tensor:
        """The mean of the data where the model has m: m itself, unless a loss says otherwise."""
        return m

    def inverse(self, mean: float) -> float:
        """The m whose mean this is."""
        return mean

    def allowed(self, x: Tensor) -> Tensor:
        """Which entries the loss is defined for: booleans in the shape of x."""
        return torch.ones_like(x, dtype=torch.bool)

    def check(self, values: Tensor, world: World | None = None, seen: Tensor | None = None) -> None:
        """Looks at this rank's entries, or those of them where `seen` is not 0. A collective.

        Raises UserError on every rank where an entry on any rank is not of the kind that the loss is for.
        """
        wrong = [entry for entry in (world or World.alone()).collect(self._wrong(values, seen)) if entry is not None]
        if wrong:
            raise UserError(
                f"the tensor holds {wrong[0]:g}: loss {self.name} takes {self.takes}. Change the data, or the loss"
            )

    def _wrong(self, values: Tensor, seen: Tensor | None) -> float | None:
        """The first entry that is not allowed."""
        seen = torch.ones((), device=values.device).expand(values.shape) if seen is None else seen
        parts = (torch.split(tensor.reshape(-1), CHECKED_ENTRIES) for tensor in (values, seen))
        for entries, counts in zip(*parts, strict=True):
            wrong = entries[~self.allowed(entries) & (counts != 0)]
            if len(wrong):
                return float(wrong[0])
        return None
