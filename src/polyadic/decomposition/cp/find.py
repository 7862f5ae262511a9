"""The best fit from one call: a search on a small core, finished on the data.

Small and dense data by Gauss-Newton steps; sparse ones, whose sweeps cost little, by alternating least squares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from polyadic.decomposition.cp.als import als
from polyadic.decomposition.cp.compression import Core
from polyadic.decomposition.cp.error import exact_error
from polyadic.decomposition.cp.newton import unstacked
from polyadic.decomposition.cp.nls import Ends, newton, nls
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.search import affordable, least_match, polish, search
from polyadic.decomposition.data import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.sparse_share import SparseShare

Begin: TypeAlias = Callable[[], list[Tensor]]
"""What searches the core: this rank's rows of the factors that a fit of the data begins with."""

LEAST_HELD = 1e-5
"""The part of |X|² that the core of sparse data must hold, or it knows nothing of them: docs/decisions.md."""

LEAST_MATCH = 0.9
"""The cosine from which on two components count as one, of which each start has found its own."""

SWEEPS_OF_A_FIT = 100
LEAST_WORK, MOST_WORK = 2e9, 2e11
"""Multiplications of a search: part of a second, and part of a minute."""


def search_work(data: Data, rank: int) -> float:
    """The multiplications that a search may take: those of one fit of the data by sweeps, within bounds."""
    share = data.share
    entries = share.nonzeros if isinstance(share, SparseShare) else math.prod(share.shape)
    return min(max(LEAST_WORK, 2.0 * SWEEPS_OF_A_FIT * entries * rank), MOST_WORK)


def worth_a_search(data: Data, core: Core, rank: int) -> bool:
    """Whether the core tells of the data, and a search of it takes no longer than a fit of them."""
    tells = not isinstance(data.share, SparseShare) or 1 - core.missed > LEAST_HELD
    return tells and affordable(core, rank, search_work(data, rank))


def find(
    data: Data,
    core: Core,
    rank: int,
    *,
    l2: float,
    restarts: int | None,
    seed: int,
    ends: Ends,
    progress: Progress | None,
) -> CPTensor:
    """The best CP model of data, from the best one of its core; arguments and errors as those of `fit.cp`."""
    doubts: list[str] = []
    begin = partial(_of_core, data, core, rank, l2, restarts, seed, doubts)
    finish = _by_sweeps if isinstance(data.share, SparseShare) else _by_steps
    return replace(finish(data, begin, rank, l2, seed, ends, progress), doubts=tuple(doubts))


def _by_steps(
    data: Data, begin: Begin, rank: int, l2: float, seed: int, ends: Ends, progress: Progress | None
) -> CPTensor:
    """The model that Gauss-Newton steps go on to from that of the core."""
    state = newton(progress)

    def start(_: int) -> list[Tensor]:
        return [factor.to(data.share.device, data.share.dtype) for factor in begin()]

    whole = Core.of_all(data, rank)
    if whole is None or state.factors:
        return nls(data, start, l2=l2, fixed=[], restarts=1, seed=seed, ends=ends, progress=state)
    began = time.perf_counter()
    with for_kernels():
        factors, squares, state.iteration = polish(whole, begin(), l2, ends.stop_tol, ends.max_iterations)
        state.seconds = (time.perf_counter() - began) / max(1, state.iteration)
        state.grams = [factor.T @ factor for factor in factors]
        lengths = torch.stack([gram.diagonal() for gram in state.grams]).prod(0)
    state.weights = torch.full((rank,), data.norm, dtype=torch.float64)
    state.factors = [factor.to(data.share.dtype) for factor in factors]
    exact = math.sqrt(max(0.0, squares - l2 * float(lengths.sum())))
    # Components that cancel lose more by rounding than the model has error.
    state.relative_error = exact if data.share.dtype == torch.float64 else exact_error(data, state)
    ends.after_step(state)
    return state.better()


def _by_sweeps(
    data: Data, begin: Begin, rank: int, l2: float, seed: int, ends: Ends, progress: Progress | None
) -> CPTensor:
    """The model that alternating least squares goes on to from that of the core."""
    state = progress or Progress()
    if not state.factors:
        state.factors = [factor.to(data.share.device, data.share.dtype) for factor in begin()]
    return als(
        data,
        rank,
        l2=l2,
        max_iterations=ends.max_iterations,
        stop_tol=ends.stop_tol,
        seed=seed,
        progress=state,
        after_sweep=ends.after_step,
    )


def _of_core(
    data: Data, core: Core, rank: int, l2: float, restarts: int | None, seed: int, doubts: list[str]
) -> list[Tensor]:
    """This rank's rows of the factors (I_n x R, float64) that the best model of the core stands for, over |X|.

    doubts: takes a sentence where the search has found others that fit as well.
    """
    with for_kernels():
        work = math.inf if restarts else search_work(data, rank)
        best, *others = search(core, rank, l2=l2, seed=seed, restarts=restarts, work=work)
        if not l2 and (match := least_match(core, rank, best, others)) < LEAST_MATCH:
            doubts.append(
                f"other starts ended at factors that fit as well but are not the same (least cosine {match:.2f}): at "
                f"rank {rank} these are not the only ones. Lower rank, or set l2 (0.001, say)"
            )
        # One rank's word: descents on different hardware may end in different places.
        stack = data.world.from_first_(torch.from_numpy(best.stack).to(data.share.device)).cpu()
        edges = np.concatenate([[0], np.cumsum(core.tensor.shape)])
        return core.expanded(unstacked(stack.numpy(), edges, rank))
