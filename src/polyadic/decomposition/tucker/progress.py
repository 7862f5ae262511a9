"""The state of the sweeps of a Tucker fit, from which it can be resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Progress:
    """The state of a fit, which changes it in place: it holds all that is needed to resume the fit exactly.

    core: R_1 x ... x R_N. factors: I_n x R_n, this rank's rows of the divided mode, and all rows of the others; in
    float64 where the data are small. relative_error and error_before: after the last sweep and the one before.
    seconds: of the last sweep, or the mean of those made at once.
    """

    iteration: int = 0
    core: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    relative_error: float = math.inf
    error_before: float = math.inf
    seconds: float = 0.0

    def converged(self, stop_tol: float) -> bool:
        """Whether the relative error changed by less than `stop_tol` in the last sweep."""
        return abs(self.error_before - self.relative_error) < stop_tol
