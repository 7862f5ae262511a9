"""The canonical polyadic decomposition: X ≈ sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import nullcontext
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor

from polyadic.decomposition.cp.als import als, unwatched
from polyadic.decomposition.cp.canonical import canonical
from polyadic.decomposition.cp.doubts import doubted
from polyadic.decomposition.cp.entries import observed_entries
from polyadic.decomposition.cp.find import Plan, find, small, starts_of_sweeps
from polyadic.decomposition.cp.nls import Ends, NewtonProgress, newton, nls
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.start import Init, begin
from polyadic.decomposition.cp.sweep import Sweep
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense, checked, mode_of
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.kernels.threads import for_few
from polyadic.tensor.sparse import SparseTensor

Method: TypeAlias = Literal["auto", "als", "nls"]


@checked(renamed={"tol": "stop_tol"})
def cp(
    tensor: Dense | Slab | SparseTensor | Data,
    rank: int,
    *,
    method: Method = "auto",
    world: World | None = None,
    observed: bool = False,
    nonnegative: bool = False,
    l2: float = 0.0,
    fixed: Collection[int] = (),
    init: Init | None = None,
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    restarts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = unwatched,
) -> CPTensor:
    """The CP decomposition of a dense or sparse tensor, by the method that finds the best fit.

    tensor: I_1 x ... x I_N, N >= 2, float32 or float64, finite and not all zero; this rank's Slab of a dense one, or
    any part of the nonzeros of a sparse one. rank: R, the number of components.
    method: "auto" compresses the tensor to a core of about R rows a mode, descends from algebraic and random starts on
    it, drops those that fall behind, and finishes the best on the data (`search`, `nls`; `als` for a sparse one). Where
    entries are unknown, a sample of those observed takes the place of the core; nonnegative factors begin at the best
    ones of any sign, and at random ones where that leads to a larger error. Where factors are fixed, a start is given,
    or a search would take longer than a fit, it is "als", alternating least squares (`als`). "nls" takes damped
    Gauss-Newton steps on the data alone.
    observed: absent entries of a sparse tensor and the NaN of a dense one are unknown, and each row is fitted to the
    observed entries alone; otherwise absent entries are zeros.
    nonnegative: keeps every factor nonnegative. l2: times the sum of the squared weights of a tensor of norm 1, added
    to the squared error. fixed: modes whose factors stay as they begin, but for the lengths of their columns, which go
    to the weights.
    init: where a restart begins: at factors uniform on [0, 1) drawn from (seed, restart), at the leading singular
    vectors of the unfoldings (in the first restart), or at a model of the same shape and rank.
    stop_tol: a restart ends when the fit, 1 - relative error, changes by less in a sweep or step on the data, or after
    `max_iterations` of them. restarts: starts of which the best is kept; where it is None, auto makes more until
    enough of them find the same, in no more time than about a fit of the data, or up to 16 of sweeps over few
    entries; the other methods make one.
    progress: the state of an earlier fit to resume. after_sweep: sees the state after each sweep or step on the data
    (of a small tensor that is searched: once, at the end), and ends the fit by returning False; torch may have one
    thread meanwhile.

    Returns weights (R, float64, falling) and factors (I_n x R, columns of length 1; the largest entry of each column
    is positive, but in the last mode), whole on every rank, with the relative error |X - Y| / |X| over the entries that
    count, and `doubts`, sentences on what speaks against these factors being the only ones (nonnegative ones
    have none). Of fixed modes, columns
    stay in their order and with their signs.

    Raises UserError for a rank under 1, an order under 2, fixed modes that do not exist or leave none free, and a
    tensor that is empty, all zero, not finite, or too large for sums in its precision.
    """
    data = Data.of(tensor, world, observed=observed)
    held = _fixed(fixed, len(data.share.shape))
    ends = Ends(max_iterations, stop_tol, after_sweep)
    entries = math.prod(data.share.shape)
    with for_few(entries, data.share.device) if isinstance(data.share, DenseShare) else nullcontext():
        model = _fit(data, rank, method, nonnegative, l2, held, init, restarts, seed, progress, ends)
        model = model if held else canonical(model)
        entries = entries if data.mask is None else observed_entries(data)
        return model if nonnegative else doubted(model, *model.doubts, entries=entries, l2=l2)


def _fit(
    data: Data,
    rank: int,
    method: Method,
    nonnegative: bool,
    l2: float,
    fixed: list[int],
    init: Init | None,
    restarts: int | None,
    seed: int,
    progress: Progress | None,
    ends: Ends,
) -> CPTensor:
    """The model of a method, as it ends."""
    dense = isinstance(data.share, DenseShare)
    swept = (
        (dense or data.mask is not None)
        and progress is not None
        and bool(progress.factors)
        and not isinstance(progress, NewtonProgress)
    )
    given = bool(fixed) or init is not None or (swept and not nonnegative)
    target = small(data, rank, seed) if method == "auto" and not given else None
    if target is not None:
        return find(data, target, Plan(rank, nonnegative, l2, restarts, seed), ends, progress)
    if method == "nls":
        start, state = partial(_after_a_sweep, data, rank, nonnegative, init, l2, fixed, seed), newton(progress)
        return nls(
            data,
            start,
            nonnegative=nonnegative,
            l2=l2,
            fixed=fixed,
            restarts=restarts or 1,
            seed=seed,
            ends=ends,
            progress=state,
        )
    return als(
        data,
        rank,
        nonnegative=nonnegative,
        l2=l2,
        fixed=fixed,
        init=init or "random",
        max_iterations=ends.max_iterations,
        stop_tol=ends.stop_tol,
        restarts=restarts or (starts_of_sweeps(data, rank) if method == "auto" and init is None and not fixed else 1),
        seed=seed,
        progress=progress,
        after_sweep=ends.after_step,
    )


def _after_a_sweep(
    data: Data, rank: int, nonnegative: bool, init: Init | None, l2: float, fixed: list[int], first: int, seed: int
) -> list[Tensor]:
    """This rank's rows of the factors after one sweep of least squares from a start, over |X|.

    first: the seed of the first restart.
    """
    modes = [mode for mode in range(len(data.share.shape)) if mode not in fixed]
    progress, sweep = Progress(), Sweep(data, nonnegative=nonnegative, l2=l2, modes=modes)
    progress.factors = begin(data, rank, init or "random", seed, seed == first, carrier=modes[-1])
    sweep.begin(progress)
    sweep(progress)
    factors = [factor.clone() for factor in progress.factors]
    factors[modes[-1]] *= (progress.weights / data.norm).to(data.share.dtype)
    return factors


def _fixed(fixed: Collection[int], order: int) -> list[int]:
    """The modes that stay; UserError for one that does not exist, or where none is left to update."""
    held = {mode_of(mode, order, "a fixed mode") for mode in fixed}
    if len(held) == order:
        raise UserError(f"fixed modes are {sorted(held)}: they may be some of 0 to {order - 1}, but not all of them")
    return sorted(held)
