"""Generalized CP with gradients over all entries, by L-BFGS-B: any loss in place of squares.

Hong, Kolda and Duersch, "Generalized canonical polyadic tensor decomposition", SIAM Review 2020.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from torch import Tensor

from polyadic.decomposition.cp.als import Data, Init
from polyadic.decomposition.cp.updates import overflow
from polyadic.decomposition.gcp.losses import Loss, named
from polyadic.decomposition.gcp.model import begin, finish, split
from polyadic.decomposition.gcp.objective import Evaluation, Objective, check, relative_error
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor

FIRST_STEP = 0.1
"""The length of the first step, as a part of the length of all factors together."""
STOPPED, DONE, EVALUATE, STEP = -1, 0, 1, 2
"""What rank 0 tells the others."""


@dataclass
class Progress:
    """Where a fit stands, changed in place by it: enough to go on from, but for what L-BFGS knows of curvature.

    factors: whole on every rank, float64, without weights. loss: the mean loss an entry, with the l2 term; loss_before
    and loss_first are those of the iteration before and of the start.
    """

    restart: int = 0
    iteration: int = 0
    factors: list[Tensor] = field(default_factory=list)
    loss: float = math.inf
    loss_before: float = math.inf
    loss_first: float = math.inf
    relative_error: float = math.inf
    seconds: float = 0.0
    best: CPTensor | None = None
    best_loss: float = math.inf


def gcp(
    tensor: Tensor | Slab | SparseTensor | Data,
    rank: int,
    loss: Loss | str,
    *,
    world: World | None = None,
    observed: bool = False,
    l2: float = 0.0,
    init: Init = "random",
    max_iterations: int = 500,
    tol: float = 1e-8,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_iteration: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """The CP model of least loss, min sum f(x, m) + l2 sum_n |A^(n)|², over all entries or the observed ones.

    tensor: as `cp` takes it. Absent entries of a sparse one are zeros unless `observed`; these cost a pass over all
    entries, but for the losses whose sum over zeros has a closed form (gaussian, poisson).
    Each restart begins as in `cp`, scaled to the data's mean or norm; it ends when an iteration gains less than `tol`
    of the loss or of what was gained since the start, whichever is larger, or after `max_iterations`, or where no step
    gains anything; the model of least loss is kept. L-BFGS-B (Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 1995)
    holds the factors within the loss's bound; it runs on rank 0, and the others serve its evaluations.
    `progress` is where an earlier fit stood; `after_iteration` sees each iteration, and ends the fit by returning
    False. The relative error is that of the loss's means: of probabilities for bernoulli-logit.

    Raises UserError for a rank under 1, data that the loss is not for, and more than 2^27 entries to go through.
    """
    if rank < 1:
        raise UserError(f"rank is {rank}: it must be 1 or more")
    loss = named(loss)
    world = world or (tensor.world if isinstance(tensor, Data) else World.alone())
    data = tensor if isinstance(tensor, Data) else Data.of(tensor, world, observed=observed)
    check(data, loss)
    objective = Objective(data, loss, l2)
    at = progress or Progress()
    while at.restart < restarts:
        if not at.factors:
            first = at.restart == 0
            stack = begin(data, loss, rank, init, seed + at.restart, first=first, entries=objective.entries)
            at.factors = list(split(stack, data.share.shape))
        going = _Descent(at, objective, tol, after_iteration).run(max_iterations - at.iteration)
        if at.best is None or at.loss < at.best_loss:
            at.best, at.best_loss = _model(objective, at.factors), at.loss
        if not going:
            break
        at.restart, at.iteration, at.factors = at.restart + 1, 0, []
        at.loss = at.loss_before = at.loss_first = at.relative_error = math.inf
    assert at.best is not None
    return at.best


def _model(objective: Objective, factors: list[Tensor]) -> CPTensor:
    data, stack = objective.data, torch.cat(factors)
    error = relative_error(data, objective.loss, stack)
    assert error is not None
    return finish(stack, data.share.shape, data.share.dtype, error)


class _Descent:
    """One restart. Rank 0 runs L-BFGS-B and tells every rank, itself too, what to do at which point."""

    def __init__(self, at: Progress, objective: Objective, tol: float, after: Callable[[Progress], bool]) -> None:
        self.at, self.objective, self.tol, self.after = at, objective, tol, after
        self.world, self.rank = objective.data.world, at.factors[0].shape[1]
        self.going, self.began = True, time.perf_counter()
        self.point = torch.cat(at.factors).flatten()
        self.here = self._evaluate(self.point)
        if at.loss_first == math.inf:
            at.loss = at.loss_first = self.here.loss

    def run(self, iterations: int) -> bool:
        """Iterates until it converges; False when the caller ends the fit."""
        if self.world.rank > 0:
            while (order := self._tell()) > DONE:
                pass
            return order == DONE
        if iterations > 0 and not self._converged():
            self._drive(iterations)
        return self._tell(DONE if self.going else STOPPED) == DONE

    def _drive(self, iterations: int) -> None:
        start = self.point.cpu().numpy()
        unit = FIRST_STEP * float(np.linalg.norm(start))
        # The first gradient has length 1: L-BFGS-B then does the same in any unit of the data.
        slope = unit * self.here.gradient.norm().item() or 1.0

        def value(scaled: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            self._tell(EVALUATE, scaled * unit)
            return self.here.loss / slope, self.here.gradient.flatten().cpu().numpy() * (unit / slope)

        def callback(scaled: NDArray[np.float64]) -> None:
            self._tell(STEP, scaled * unit)
            if not self.going or self._converged():
                raise StopIteration

        bounds = Bounds(np.full_like(start, self.objective.loss.lower), np.full_like(start, math.inf))
        # Their tests of convergence depend on the unit of the loss: ours decides.
        options = {"maxiter": iterations, "maxfun": math.inf, "ftol": 0, "gtol": 0}
        minimize(value, start / unit, jac=True, method="L-BFGS-B", bounds=bounds, callback=callback, options=options)

    def _tell(self, order: int = DONE, point: NDArray[np.float64] | None = None) -> int:
        """Does on every rank what rank 0 says; what that was."""
        there = self.point if point is None else torch.from_numpy(point).to(self.point.device)
        message = self.world.from_first_(torch.cat([there.new_tensor([order]), there]))
        order, there = int(message[0]), message[1:]
        if order > DONE and not torch.equal(there, self.point):
            self.point, self.here = there, self._evaluate(there)
        if order == STEP:
            self._step()
        return order

    def _evaluate(self, point: Tensor) -> Evaluation:
        dtype = self.objective.data.share.dtype
        here = self.objective(point.view(-1, self.rank).to(dtype))
        if not math.isfinite(here.loss) or not bool(here.gradient.isfinite().all()):
            raise overflow(dtype)
        return here

    def _step(self) -> None:
        at, now = self.at, time.perf_counter()
        data, stack = self.objective.data, self.point.view(-1, self.rank)
        at.factors = list(split(stack, data.share.shape))
        at.loss_before, at.loss = at.loss, self.here.loss
        at.relative_error = self.objective.error(stack.to(data.share.dtype), self.here)
        at.iteration, at.seconds, self.began = at.iteration + 1, now - self.began, now
        self.going = self.after(at)

    def _converged(self) -> bool:
        at = self.at
        return at.loss_before - at.loss < self.tol * max(abs(at.loss), at.loss_first - at.loss)
