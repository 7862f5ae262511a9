"""The Tucker decomposition: X ≈ G ×_1 A^(1) ... ×_N A^(N), a core and a factor for each mode."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import torch

from polyadic.decomposition.data import WITHOUT_GAPS, check_norm, check_shape, overflow
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS, in_safe_unit, sum_of_squares
from polyadic.decomposition.tucker.error import relative_error
from polyadic.decomposition.tucker.nonnegative import nonnegative_start, nonnegative_sweep
from polyadic.decomposition.tucker.orthogonal import RangeFinder, hooi_sweep, st_hosvd, truncations
from polyadic.decomposition.tucker.progress import Progress
from polyadic.decomposition.tucker.small_sweeps import SmallSweeps
from polyadic.decomposition.tucker.subspaces import ordered
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense, checked, dense, numbers_of
from polyadic.tensor.dense import Slab
from polyadic.tensor.kernels.threads import for_few
from polyadic.tensor.tucker_tensor import TuckerTensor

Method: TypeAlias = Literal["st-hosvd", "hooi", "nonnegative"]

SAFE_NORM = 1e8
"""The squares of the squares of norms between 1 / SAFE_NORM and SAFE_NORM stay within float32."""


def unwatched(_: Progress) -> bool:
    """What sees the sweeps of a fit that nobody watches: several may then be made at once."""
    return True


@checked()
def tucker(
    tensor: Dense | Slab,
    ranks: int | Sequence[int] | None = None,
    *,
    tol: float | None = None,
    method: Method = "st-hosvd",
    range_finder: RangeFinder = "auto",
    world: World | None = None,
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = unwatched,
) -> TuckerTensor:
    """The Tucker decomposition of a dense tensor, with given ranks or within a bound on the relative error.

    tensor: I_1 x ... x I_N, or this rank's slab of it; N >= 2, float32 or float64, finite, not all zero.
    Give one of `ranks` (R_1, ..., R_N) and `tol`. With tol, R_n is the least rank whose left-out squared singular
    values sum to tol² |X|² / N or less, so that |X - Y| <= tol |X|.

    method: st-hosvd truncates the modes one after the other, each on what the earlier ones left: Vannieuwenhoven,
    Vandebril and Meerbergen, SIAM J. Sci. Comput. 2012. hooi goes on from there by sweeps of subspace iteration:
    De Lathauwer, De Moor and Vandewalle, SIAM J. Matrix Anal. Appl. 2000. nonnegative keeps core and factors
    nonnegative, by sweeps: Phan and Cichocki, Neurocomputing 2011. They begin at the best of several starts on a small
    core that stands for the data, or at a random one where such a search would be no little work.
    range_finder: where st-hosvd takes the subspace of a mode from. "gram": a Gram matrix, or a QR decomposition where
    round-off would matter. "randomized": a random sketch, for given ranks, mended by one HOOI sweep in the place of a
    power step. "auto": a sketch for modes with far more rows than rank, a Gram matrix for the others.
    stop_tol: sweeps end when the fit, 1 - relative error, changes by less in one, or after `max_iterations` sweeps.
    seed: of sketches and random starts. progress: the state of earlier sweeps to resume. after_sweep: sees the state
    after each sweep, and ends the fit by returning False.

    Returns the core R_1 x ... x R_N and factors I_n x R_n, whole on every rank, with the relative error
    |X - Y| / |X|.

    Raises UserError for ranks that do not fit the shape, for both or neither of ranks and tol, for an order under 2,
    for a data type that is not float32 or float64, for a tensor that is empty, all zero, not finite or, if it must be
    nonnegative, has negative entries, and where sums over it overflow.
    """
    world = world or World.alone()
    given = tensor if isinstance(tensor, Slab) else dense(tensor).detach()
    check_shape(given.shape)
    slab = given if isinstance(given, Slab) else Slab.whole(given)
    ranks = None if ranks is None else numbers_of(ranks, len(slab.shape), "ranks")
    _check(slab, ranks, tol, method, range_finder)
    norm = check_norm(world.sum_(sum_of_squares(slab.local)).sqrt().item(), slab.local, world, WITHOUT_GAPS)
    if method == "nonnegative" and world.any(bool((slab.local < 0).any())):
        raise UserError("the tensor has negative entries: method nonnegative needs none. Use st-hosvd or hooi")
    slab, norm, unit = in_safe_unit(slab, norm, SAFE_NORM)
    progress = progress or Progress()
    with for_few(math.prod(slab.shape), slab.local.device, most=1):
        if not progress.factors and method == "nonnegative":
            progress.core, progress.factors = nonnegative_start(slab, ranks or (), norm, seed, world)
        if not progress.factors:
            kept = truncations(slab, ranks, tol, norm)
            progress.core, progress.factors = st_hosvd(slab, kept, range_finder, seed, world)
            explained = progress.core.double().square().sum().item()
            progress.relative_error = relative_error(progress, slab, world, norm, explained)
        if method != "st-hosvd":
            _descend(progress, method, slab, world, norm, max_iterations, stop_tol, after_sweep)
        return _finished(progress, slab, world, norm, unit, turn=method != "nonnegative")


def _check(
    slab: Slab, ranks: Sequence[int] | None, tol: float | None, method: Method, range_finder: RangeFinder
) -> None:
    if (ranks is None) == (tol is None):
        raise UserError(
            "give one of ranks, such as [20, 20, 5], and tol, the relative error that the ranks follow from"
        )
    if ranks is not None:
        _check_ranks(slab.shape, ranks, method)
    elif method == "nonnegative" or range_finder == "randomized":
        which = method if method == "nonnegative" else f"range_finder {range_finder}"
        raise UserError(f"{which} cannot tell ranks from tol: give ranks, one number per mode")
    elif not (finest := TRUSTED_ROUND_OFFS * torch.finfo(slab.local.dtype).eps) <= (tol or 0) < 1:
        name = str(slab.local.dtype).removeprefix("torch.")
        raise UserError(f"tol is {tol:g}: in {name} it must be {finest:.1g} or more, and less than 1")


def _check_ranks(shape: Sequence[int], ranks: Sequence[int], method: Method) -> None:
    if len(ranks) != len(shape):
        raise UserError(f"there are {len(ranks)} ranks for {len(shape)} modes: give one number per mode")
    for mode, (rank, rows) in enumerate(zip(ranks, shape, strict=True)):
        if not 1 <= rank <= rows:
            raise UserError(f"ranks[{mode}] is {rank}: mode {mode} has {rows} rows, so it must be from 1 to {rows}")
        others = math.prod(ranks) // rank
        if rank > others and method != "nonnegative":
            raise UserError(
                f"ranks[{mode}] is {rank}: with ranks {list(ranks)} no more than {others}, the product of the others, "
                "are of use. Lower it, or raise the others"
            )


def _descend(
    progress: Progress,
    method: Method,
    slab: Slab,
    world: World,
    norm: float,
    max_iterations: int,
    stop_tol: float,
    after_sweep: Callable[[Progress], bool],
) -> None:
    """Sweeps until the fit converges or the caller ends it."""
    nonnegative = method == "nonnegative"
    small = SmallSweeps.of_all(slab, progress.core.shape, world, nonnegative=nonnegative)
    if small is None:
        _round(progress, slab.local.dtype)
    sweep = nonnegative_sweep if nonnegative else hooi_sweep
    while progress.iteration < max_iterations and not progress.converged(stop_tol):
        began, before = time.perf_counter(), progress.iteration
        if small is not None:
            small.go_on(progress, max_iterations if after_sweep is unwatched else before + 1, stop_tol)
            if not small.trusted:
                progress.relative_error = relative_error(progress, slab, world, norm, norm**2)
        else:
            progress.error_before = progress.relative_error
            progress.core, explained = sweep(slab, progress.factors, progress.core, world)
            progress.relative_error = relative_error(progress, slab, world, norm, explained)
            progress.iteration += 1
        progress.seconds = (time.perf_counter() - began) / (progress.iteration - before)
        if not after_sweep(progress):
            break


def _round(progress: Progress, dtype: torch.dtype) -> None:
    """Core and factors in the precision of the data."""
    progress.core, progress.factors = progress.core.to(dtype), [factor.to(dtype) for factor in progress.factors]


def _finished(progress: Progress, slab: Slab, world: World, norm: float, unit: float, *, turn: bool) -> TuckerTensor:
    """The model whole on every rank, in the unit of the data; `turn` says whether its factors are to be ordered."""
    dtype = slab.local.dtype
    rounded = replace(progress)
    _round(rounded, dtype)
    if progress.core.dtype != dtype and progress.relative_error**2 < TRUSTED_ROUND_OFFS * torch.finfo(dtype).eps:
        rounded.relative_error = relative_error(rounded, slab, world, norm, norm**2)
    factors = list(rounded.factors)
    factors[slab.mode] = world.gather_rows(factors[slab.mode])
    core, factors = ordered(rounded.core, factors) if turn else (rounded.core, factors)
    core = core * unit * unit
    if not core.isfinite().all():
        raise overflow(core.dtype)
    return TuckerTensor(core, factors, rounded.relative_error)
