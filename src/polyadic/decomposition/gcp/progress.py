"""The states of the generalized CP fits, from which they can be resumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.tensor.cp_tensor import CPTensor


@dataclass
class GCPProgress:
    """The state of a fit by either optimiser, which changes it in place.

    factors: I_n x R, whole on every rank, without weights. loss: the mean loss per entry, with the l2 term.
    seconds: of the last iteration, or epoch. best: the model of least loss of the finished restarts, and best_loss.
    """

    restart: int = 0
    factors: list[Tensor] = field(default_factory=list)
    loss: float = math.inf
    relative_error: float = math.inf
    seconds: float = 0.0
    best: CPTensor | None = None
    best_loss: float = math.inf

    def keep(self, model: Callable[[], CPTensor]) -> None:
        """Makes and keeps the model of the present restart where its loss is the least so far."""
        if self.best is None or self.loss < self.best_loss:
            self.best, self.best_loss = model(), self.loss


@dataclass
class Progress(GCPProgress):
    """The state of a fit by L-BFGS: it holds all that is needed to go on, but for what L-BFGS knows of curvature.

    factors: float64. loss_before and loss_first: of the iteration before and of the start.
    """

    iteration: int = 0
    loss_before: float = math.inf
    loss_first: float = math.inf

    def next_restart(self) -> None:
        """Clears the state for another restart."""
        self.restart, self.iteration, self.factors = self.restart + 1, 0, []
        self.loss = self.loss_before = self.loss_first = self.relative_error = math.inf

    def converged(self, stop_tol: float) -> bool:
        """Whether the last iteration gained less than `stop_tol` of the loss, or of all that was gained."""
        return self.loss_before - self.loss < stop_tol * max(abs(self.loss), self.loss_first - self.loss)


@dataclass
class StochasticProgress(GCPProgress):
    """The state of a fit by Adam at the end of an epoch: it holds all that is needed to resume the fit exactly.

    factors: the best so far of this restart. first and second: Adam's moments there, stacks of all factors, after
    `steps` steps. loss and relative_error: estimated by one sample. learning_rate: 0 before the start.
    """

    epoch: int = 0
    steps: int = 0
    failures: int = 0
    learning_rate: float = 0.0
    first: Tensor = field(default_factory=lambda: torch.empty(0))
    second: Tensor = field(default_factory=lambda: torch.empty(0))

    def next_restart(self) -> None:
        """Clears the state for another restart."""
        self.restart, self.epoch, self.failures, self.factors, self.loss = self.restart + 1, 0, 0, [], math.inf
