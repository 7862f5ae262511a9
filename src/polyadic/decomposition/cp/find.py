"""The best fit from one call: a search on a small problem that stands for the data, finished on the data.

Small and dense data, and those with unknown entries, by Gauss-Newton steps; sparse ones, whose sweeps cost little, by
alternating least squares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import als, unwatched
from polyadic.decomposition.cp.compression import Core, compress
from polyadic.decomposition.cp.entries import MOST_ROW_NUMBERS, Entries, first_round, observed_entries, row_numbers
from polyadic.decomposition.cp.error import exact_error
from polyadic.decomposition.cp.newton import unstacked
from polyadic.decomposition.cp.nls import Ends, NewtonProgress, newton, nls
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.search import MOST_STARTS, affordable, edges_of, least_match, polish, search
from polyadic.decomposition.data import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.sparse_share import SparseShare

Small: TypeAlias = Core | Entries
"""What stands for the data in a search."""
Begin: TypeAlias = Callable[[], list[Tensor]]
"""What searches: this rank's rows of the factors that a fit of the data begins with."""

LEAST_HELD = 1e-5
"""The part of |X|² that the core of sparse data must hold, or it knows nothing of them: docs/decisions.md."""

LEAST_MATCH = 0.9
"""The cosine from which on two components count as one, of which each start has found its own."""

SWEEPS_OF_A_FIT = 100
LEAST_WORK, MOST_WORK = 2e9, 2e11
"""Multiplications of a search: part of a second, and part of a minute."""
LEAST_WORK_OF_ENTRIES = 1e10
"""The same where entries are unknown: what sweeps end at there is often not the best fit, and each costs more."""
MOST_STARTS_OF_SWEEPS = 16
"""Restarts of sweeps where a search is not possible, at most."""
NONNEGATIVE_STARTS = 3
"""Random starts of a nonnegative fit whose error is not that of the best factors of any sign."""
AS_GOOD = 1e-3
"""A nonnegative fit within this part of the error of that one needs no other start."""


@dataclass(frozen=True)
class Plan:
    """What a search is asked for: the arguments of `fit.cp`, but for those of its ends.

    most: starts where restarts are not given. effort: the part of a search's work that it may take.
    """

    rank: int
    nonnegative: bool
    l2: float
    restarts: int | None
    seed: int
    most: int = MOST_STARTS
    effort: float = 1.0


@dataclass
class Found:
    """What a search tells beside factors of the data: sentences of doubt, its relative error and its own factors."""

    doubts: tuple[str, ...] = ()
    error: float = 0.0
    factors: list[Tensor] = field(default_factory=list)


def small(data: Data, rank: int, seed: int) -> Small | None:
    """What stands for the data, where a search of it takes no longer than a fit of them; or None. A collective."""
    if data.mask is not None:
        shape = data.share.shape
        dear = first_round(observed_entries(data), shape, rank) > LEAST_WORK_OF_ENTRIES
        if dear or row_numbers(shape, rank) > MOST_ROW_NUMBERS:
            return None
        entries = Entries.of(data, rank)
        return entries if entries.norm and affordable(entries, rank, LEAST_WORK_OF_ENTRIES) else None
    core = compress(data, rank, seed)
    if core is None or (isinstance(data.share, SparseShare) and 1 - core.missed <= LEAST_HELD):
        return None
    return core if affordable(core, rank, search_work(data, rank)) else None


def search_work(data: Data, rank: int) -> float:
    """The multiplications that a search may take: those of one fit of the data by sweeps, within bounds."""
    share = data.share
    entries = share.nonzeros if isinstance(share, SparseShare) else math.prod(share.shape)
    return min(max(LEAST_WORK, 2.0 * SWEEPS_OF_A_FIT * entries * rank), MOST_WORK)


def starts_of_sweeps(data: Data, rank: int) -> int:
    """How many restarts of sweeps the work of a small search allows, where nothing small stands for the data."""
    share = data.share
    entries = share.nonzeros if isinstance(share, SparseShare) else math.prod(share.shape)
    each = 2.0 * SWEEPS_OF_A_FIT * entries * rank * (rank if data.mask is not None else 1)
    return max(1, min(MOST_STARTS_OF_SWEEPS, int(LEAST_WORK / each)))


def find(data: Data, target: Small, plan: Plan, ends: Ends, progress: Progress | None) -> CPTensor:
    """The best CP model of data, from the best one of what stands for them; errors as those of `fit.cp`."""
    found = Found()
    begin = partial(searched, data, target, plan, found)
    if plan.nonnegative:
        return _nonnegative(data, begin, plan, ends, progress, found)
    by_sweeps = isinstance(data.share, SparseShare) and data.mask is None
    model = (_by_sweeps if by_sweeps else partial(_by_steps, target))(data, begin, plan, ends, progress)
    return replace(model, doubts=found.doubts)


def _by_steps(target: Small, data: Data, begin: Begin, plan: Plan, ends: Ends, progress: Progress | None) -> CPTensor:
    """The model that Gauss-Newton steps go on to from that of the search."""
    state, l2 = newton(progress), plan.l2
    whole = _whole(data, target, plan.rank)
    if whole is None or state.factors:
        start = partial(_begun, data, begin)
        return nls(data, start, l2=l2, fixed=[], restarts=1, seed=plan.seed, ends=ends, progress=state)
    began = time.perf_counter()
    with for_kernels():
        factors, squares, state.iteration = polish(whole, begin(), l2, ends.stop_tol, ends.max_iterations)
        state.seconds = (time.perf_counter() - began) / max(1, state.iteration)
        state.grams = [factor.T @ factor for factor in factors]
        lengths = torch.stack([gram.diagonal() for gram in state.grams]).prod(0)
    state.weights = torch.full((plan.rank,), data.norm, dtype=torch.float64)
    state.factors = [factor.to(data.share.dtype) for factor in factors]
    exact = math.sqrt(max(0.0, squares - l2 * float(lengths.sum())))
    # Components that cancel lose more by rounding than the model has error.
    state.relative_error = exact if data.share.dtype == torch.float64 else exact_error(data, state)
    ends.after_step(state)
    return state.better()


def _whole(data: Data, target: Small, rank: int) -> Small | None:
    """Small data whole, which the kernels of a search also finish; None for others."""
    if isinstance(target, Core):
        return Core.of_all(data, rank)
    alone = data.world.size == 1 and data.share.device.type == "cpu"
    return target if alone and target.part == 1 else None


def _begun(data: Data, begin: Begin, _: int = 0) -> list[Tensor]:
    """The rows that a fit begins with, on the device and in the precision of the data."""
    return [factor.to(data.share.device, data.share.dtype) for factor in begin()]


def _by_sweeps(data: Data, begin: Begin, plan: Plan, ends: Ends, progress: Progress | None) -> CPTensor:
    """The model that alternating least squares goes on to from that of the core."""
    state = progress or Progress()
    state.factors = state.factors or _begun(data, begin)
    return _swept(data, plan, 1, ends, state)


def _swept(data: Data, plan: Plan, restarts: int, ends: Ends, state: Progress) -> CPTensor:
    return als(
        data,
        plan.rank,
        nonnegative=plan.nonnegative,
        l2=plan.l2,
        max_iterations=ends.max_iterations,
        stop_tol=ends.stop_tol,
        restarts=restarts,
        seed=plan.seed,
        progress=state,
        after_sweep=ends.after_step,
    )


def _nonnegative(data: Data, begin: Begin, plan: Plan, ends: Ends, progress: Progress | None, found: Found) -> CPTensor:
    """The model of nonnegative factors: from the best ones of any sign, and from random ones where that falls behind.

    No nonnegative model is better than the best one of any sign, so that one as good needs no other start.
    """
    begun = progress is not None and bool(progress.factors or progress.best)
    state: Progress = progress if progress is not None and begun else newton(progress)
    going = [True]

    def after_step(now: Progress) -> bool:
        going[0] = ends.after_step(now)
        return going[0]

    watched = ends if ends.after_step is unwatched else replace(ends, after_step=after_step)
    if isinstance(state, NewtonProgress):
        model = _projected(data, begin, plan, watched, state, found)
        if not going[0] or model.relative_error <= (1 + AS_GOOD) * state.least_error + AS_GOOD**2:
            return model
        state = Progress(restart=1, best=state.better())
    return _swept(data, plan, plan.restarts or 1 + NONNEGATIVE_STARTS, watched, state)


def _projected(data: Data, begin: Begin, plan: Plan, ends: Ends, state: NewtonProgress, found: Found) -> CPTensor:
    """The nonnegative model that steps go on to from the best factors of any sign."""

    def start(_: int) -> list[Tensor]:
        factors = _positive(data, _begun(data, begin))
        state.least_error = found.error
        return factors

    return nls(
        data, start, nonnegative=True, l2=plan.l2, fixed=[], restarts=1, seed=plan.seed, ends=ends, progress=state
    )


def _positive(data: Data, factors: list[Tensor]) -> list[Tensor]:
    """Factors (held rows) whose columns have the sign of their sums, with zeros for what is left below zero.

    Where the product of a component's signs is negative, the column whose sum says least takes the other one.
    """
    sums = [
        layer.total(torch.stack([factor[layer.own].sum(0), factor[layer.own].abs().sum(0)]), data.world)
        for factor, layer in zip(factors, data.share.layers, strict=True)
    ]
    clear = data.world.from_first_(torch.stack([total / size.clamp_min(1e-30) for total, size in sums]))  # N x R
    signs = torch.where(clear < 0, -1.0, 1.0)
    odd = (signs.prod(0) < 0).nonzero()[:, 0]
    signs[clear.abs().argmin(0)[odd], odd] *= -1
    return [(factor * sign).clamp_min(0) for factor, sign in zip(factors, signs.to(factors[0]), strict=True)]


def searched(data: Data, target: Small, plan: Plan, found: Found) -> list[Tensor]:
    """This rank's rows of the factors (J_n x R, float64) that the best model of the search stands for, over |X|."""
    rank = plan.rank
    with for_kernels():
        work = plan.effort * (LEAST_WORK_OF_ENTRIES if isinstance(target, Entries) else search_work(data, rank))
        l2 = plan.l2 * (target.part if isinstance(target, Entries) else 1.0)
        # Of nonnegative factors, restarts are those of sweeps.
        restarts = None if plan.nonnegative else plan.restarts
        best, *others = search(
            target,
            rank,
            l2=l2,
            seed=plan.seed,
            restarts=restarts,
            most=plan.most,
            work=math.inf if restarts else work,
        )
        if not l2 and (match := least_match(target, rank, best, others)) < LEAST_MATCH:
            found.doubts += (
                f"other starts ended at factors that fit as well but are not the same (least cosine {match:.2f}): at "
                f"rank {rank} these are not the only ones. Lower rank, or set l2 (0.001, say)",
            )
        # One rank's word: descents on different hardware may end in different places.
        stack = data.world.from_first_(torch.from_numpy(best.stack).to(data.share.device)).cpu()
        found.factors = unstacked(stack.numpy(), edges_of(target), rank)
        lengths = torch.stack([factor.square().sum(0) for factor in found.factors]).prod(0).sum().item()
        error = math.sqrt(max(0.0, best.squares - l2 * lengths))
        found.error, found.doubts = data.world.from_first((error, found.doubts))
        return target.expanded(data, found.factors)
