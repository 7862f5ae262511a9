"""Generalized CP with gradients over all entries, by L-BFGS-B: any loss in place of squares.

Hong, Kolda and Duersch, "Generalized canonical polyadic tensor decomposition", SIAM Review 2020.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.data import Data, overflow
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import LOSSES, named
from polyadic.decomposition.gcp.model import begin, finish, split
from polyadic.decomposition.gcp.objective import Evaluation, Objective, check, relative_error
from polyadic.decomposition.gcp.progress import Progress
from polyadic.distributed import World
from polyadic.tensor.arguments import Dense, checked
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor

FIRST_STEP = 0.1
"""The length of the first step, as a part of the length of all factors together."""
STOPPED, DONE, EVALUATE, STEP = -1, 0, 1, 2
"""The orders that rank 0 gives to all ranks."""


@checked(renamed={"tol": "stop_tol"}, known={"loss": LOSSES})
def gcp(
    tensor: Dense | Slab | SparseTensor | Data,
    rank: int,
    loss: Loss | str,
    *,
    world: World | None = None,
    observed: bool = False,
    l2: float = 0.0,
    init: Init = "random",
    max_iterations: int = 500,
    stop_tol: float = 1e-8,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_iteration: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """The CP model of least loss, min sum f(x, m) + l2 sum_n |A^(n)|², over all entries or the observed ones.

    tensor: I_1 x ... x I_N, N >= 2, float32 or float64, finite and not all zero; this rank's Slab of a dense one, or
    any part of the nonzeros of a sparse one. rank: R, the number of components. loss: the name of one, or one with its
    own parameters.
    observed: absent entries of a sparse tensor and the NaN of a dense one are unknown. Otherwise absent entries are
    zeros; these cost a pass over all entries, but for losses whose sum over zeros has a closed form (gaussian,
    poisson).
    init, seed: as `cp` takes them; the factors to begin with are scaled to the mean or the norm of the data.
    stop_tol: a restart ends when an iteration gains less than this share of the loss, or of all that was gained since
    the start, whichever is larger; or after `max_iterations`, or where no step gains anything. The model of least loss
    of the `restarts` is kept.
    progress: the state of an earlier fit to go on from. after_iteration: sees the state after each iteration, and ends
    the fit by returning False.

    Returns weights (R, float64) and factors (I_n x R, columns of length 1), whole on every rank, with the relative
    error |X - Y| / |X|, where Y is what the loss takes for the mean of the data: probabilities for bernoulli-logit.

    L-BFGS-B (Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 1995) holds the factors within the bound of the loss; it
    runs on rank 0, and the others take part in its evaluations.

    Raises UserError for a rank under 1, a loss that is not known, data that the loss is not for, data that `cp`
    refuses, and more than 2^27 entries to go through.
    """
    loss = named(loss)
    data = Data.of(tensor, world, observed=observed)
    check(data, loss)
    objective, progress = Objective(data, loss, l2), progress or Progress()
    while progress.restart < restarts:
        if not progress.factors:
            first, own_seed = progress.restart == 0, seed + progress.restart
            stack = begin(data, loss, rank, init, own_seed, first=first, entries=objective.entries)
            progress.factors = list(split(stack, data.share.shape))
        going = _Descent(progress, objective, stop_tol, after_iteration).run(max_iterations - progress.iteration)
        progress.keep(partial(_model, objective, progress.factors))
        if not going:
            break
        progress.next_restart()
    assert progress.best is not None
    return progress.best


def _model(objective: Objective, factors: list[Tensor]) -> CPTensor:
    data, stack = objective.data, torch.cat(factors)
    error = relative_error(data, objective.loss, stack)
    assert error is not None
    return finish(stack, data.share.shape, data.share.dtype, error)


class _Descent:
    """One restart. Rank 0 runs L-BFGS-B and tells every rank, itself too, what to do at which point.

    A point is a stack of factors as one vector, float64.
    """

    def __init__(
        self, progress: Progress, objective: Objective, stop_tol: float, after: Callable[[Progress], bool]
    ) -> None:
        self.progress, self.objective, self.stop_tol, self.after = progress, objective, stop_tol, after
        self.world, self.rank = objective.data.world, progress.factors[0].shape[1]
        self.going, self.began = True, time.perf_counter()
        self.point = torch.cat(progress.factors).flatten()
        self.evaluation = self._evaluate(self.point)
        if progress.loss_first == math.inf:
            progress.loss = progress.loss_first = self.evaluation.loss

    def run(self, iterations: int) -> bool:
        """Iterates until it converges; False when the caller ends the fit."""
        if self.world.rank > 0:
            while (order := self._tell()) > DONE:
                pass
            return order == DONE
        if iterations > 0 and not self.progress.converged(self.stop_tol):
            self._drive(iterations)
        return self._tell(DONE if self.going else STOPPED) == DONE

    def _drive(self, iterations: int) -> None:
        # Here and not above: it takes half a second to read, which no other method shall wait for.
        from scipy.optimize import Bounds, minimize

        start = self.point.cpu().numpy()
        unit = FIRST_STEP * float(np.linalg.norm(start))
        # The first gradient has length 1: L-BFGS-B then does the same in any unit of the data.
        slope = unit * self.evaluation.gradient.norm().item() or 1.0

        def value(scaled: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            self._tell(EVALUATE, scaled * unit)
            gradient = self.evaluation.gradient.flatten().cpu().numpy()
            return self.evaluation.loss / slope, gradient * (unit / slope)

        def callback(scaled: NDArray[np.float64]) -> None:
            self._tell(STEP, scaled * unit)
            if not self.going or self.progress.converged(self.stop_tol):
                raise StopIteration

        bounds = Bounds(np.full_like(start, self.objective.loss.lower), np.full_like(start, math.inf))
        # Their tests of convergence depend on the unit of the loss: ours decides.
        options = {"maxiter": iterations, "maxfun": math.inf, "ftol": 0, "gtol": 0}
        minimize(value, start / unit, jac=True, method="L-BFGS-B", bounds=bounds, callback=callback, options=options)

    def _tell(self, order: int = DONE, point: NDArray[np.float64] | None = None) -> int:
        """Does on every rank what rank 0 orders, and returns the order. A collective."""
        target = self.point if point is None else torch.from_numpy(point).to(self.point.device)
        message = self.world.from_first_(torch.cat([target.new_tensor([order]), target]))
        order, target = int(message[0]), message[1:]
        if order > DONE and not torch.equal(target, self.point):
            self.point, self.evaluation = target, self._evaluate(target)
        if order == STEP:
            self._step()
        return order

    def _evaluate(self, point: Tensor) -> Evaluation:
        dtype = self.objective.data.share.dtype
        evaluation = self.objective(point.view(-1, self.rank).to(dtype))
        if not math.isfinite(evaluation.loss) or not bool(evaluation.gradient.isfinite().all()):
            raise overflow(dtype)
        return evaluation

    def _step(self) -> None:
        progress, now = self.progress, time.perf_counter()
        data, stack = self.objective.data, self.point.view(-1, self.rank)
        progress.factors = list(split(stack, data.share.shape))
        progress.loss_before, progress.loss = progress.loss, self.evaluation.loss
        progress.relative_error = self.objective.error(stack.to(data.share.dtype), self.evaluation)
        progress.iteration, progress.seconds, self.began = progress.iteration + 1, now - self.began, now
        self.going = self.after(progress)
