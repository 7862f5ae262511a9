"""What the likelihood of an observation is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from polyadic.errors import UserError
from polyadic.forecasting.series import Floats


class Likelihood(ABC):
    """A distribution of one observation y, which a network sees as x = (see(y) - level) / scale.

    Shapes: the raw outputs of the network are ... x size, their first column is the location of x; y, x, u, v, level
    and scale are ... .
    name: as a job calls it; its file has the same name in small letters, with underscores for dashes. size: how many
    numbers the network puts out per observation. takes: the observations that it is for, in words.
    """

    name: ClassVar[str]
    size: ClassVar[int]
    takes: ClassVar[str] = "numbers"

    @abstractmethod
    def nll(self, raw: Tensor, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """The negative log-likelihood (...) of an observation: of x itself, unless the class says that it is of y."""

    @abstractmethod
    def sample(self, raw: Tensor, u: Tensor, v: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        """A draw of x (...) made of two uniforms on (0, 1); with v + 1/2 (mod 1) for v, the draw opposite to it."""

    def see(self, target: Floats) -> Floats:
        """Observations (any shape) as windows hold them before they are scaled; NaN stays NaN."""
        return target

    def restore(self, seen: Tensor) -> Tensor:
        """The inverse of `see`, in the same shape; the nearest observation where several are seen alike."""
        return seen

    def restore_mean(self, seen_BP: Tensor, samples_BSP: Tensor) -> Tensor:
        """The mean of observations (B x P), given the mean of what is seen, and S observations of each distribution."""
        return seen_BP

    def example(self, count: int) -> list[float]:
        """`count` observations that it takes, each larger than the one before."""
        return [float(value) for value in range(count)]

    def refuse(self, target: Floats) -> None:
        """Looks at T observations, of which NaN is none.

        Raises UserError for the first one to which the likelihood gives no probability.
        """
        wrong = np.flatnonzero(np.isfinite(target) & ~self._possible(target))
        if len(wrong):
            raise UserError(
                f"target holds {target[wrong[0]]:.9g} at place {wrong[0] + 1}, but likelihood {self.name} takes "
                f"{self.takes}: mend the series, or choose a likelihood such as student-T, which takes any number"
            )

    def _possible(self, target: Floats) -> NDArray[np.bool_]:
        return np.ones(target.shape, np.bool_)
