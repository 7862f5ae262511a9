"""The Tucker decomposition: X ≈ G ×_1 A^(1) ... ×_N A^(N), a core and a factor a mode."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from polyadic.decomposition.train.svd import overflow, refuse_norm, refuse_shape, square
from polyadic.decomposition.tucker.nonnegative import nonnegative_start, nonnegative_sweep
from polyadic.decomposition.tucker.orthogonal import RangeFinder, hooi_sweep, st_hosvd, wanted
from polyadic.decomposition.tucker.subspaces import DROWNED, ordered
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, longest
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor

__all__ = ["Method", "Progress", "RangeFinder", "TuckerTensor", "tucker"]

Method = Literal["st-hosvd", "hooi", "nonnegative"]

AT_ONCE = 2**18
"""Entries that are reconstructed at once."""
SAFE = 1e8
"""Norms within 1 / SAFE and SAFE have squares of squares that float32 holds."""


@dataclass
class Progress:
    """Where a fit stands, changed in place by it: enough to go on from, exactly.

    `factors` are this rank's rows of the divided mode, and all rows of the others.
    """

    iteration: int = 0
    core: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    relative_error: float = math.inf
    error_before: float = math.inf
    seconds: float = 0.0


Sweep = Callable[[Slab, list[Tensor], Tensor, World], tuple[Tensor, float]]


def tucker(
    tensor: Tensor | Slab,
    ranks: Sequence[int] | None = None,
    *,
    tol: float | None = None,
    method: Method = "st-hosvd",
    range_finder: RangeFinder = "auto",
    world: World | None = None,
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> TuckerTensor:
    """The Tucker decomposition of a dense tensor, with given ranks or within a relative error.

    tensor: I_1 x ... x I_N, or this rank's slab of it; N >= 2, finite, not all zero. The result is whole on every rank.
    Of `ranks` (R_1, ..., R_N) and `tol` one is given. With tol, R_n is the least rank whose left-out squared singular
    values sum to tol² |X|² / N or less, so that |X - Y| <= tol |X|.

    st-hosvd: truncates the modes one after the other, each on what the earlier ones left (Vannieuwenhoven, Vandebril
    and Meerbergen, SISC 2012), in the order that costs least, the divided mode last. range_finder: "gram" takes
    the subspace from a Gram matrix (or from a QR decomposition where its round-off would matter); "randomized", for
    given ranks, from a random sketch, mended by one HOOI sweep in the place of a power step; "auto" sketches modes
    with far more rows than rank.
    hooi: goes on from there, each factor by subspace iteration on the data projected onto the others' factors
    (De Lathauwer, De Moor and Vandewalle, SIMAX 2000), until the fit, 1 - relative error, changes by less than
    `stop_tol` in a sweep, or for `max_iterations` sweeps.
    nonnegative: core and factors without negative entries, from a start drawn from `seed`; sweeps end likewise.
    `progress` is where earlier sweeps stood; `after_sweep` sees each, and ends the fit by returning False.

    Raises UserError for ranks that do not fit the shape, for both or neither of ranks and tol, for an order under 2,
    and for a tensor that is all zero, not finite or, if it must be nonnegative, has negative entries.
    """
    world = world or World.alone()
    slab = tensor if isinstance(tensor, Slab) else Slab.whole(tensor)
    _check(slab, ranks, tol, method, range_finder)
    norm = refuse_norm(world.sum_(square(slab.local)).sqrt().item())
    if method == "nonnegative" and world.any(bool((slab.local < 0).any())):
        raise UserError("the tensor has negative entries: method nonnegative needs none. Use st-hosvd or hooi")
    slab, norm, unit = _in_range(slab, norm)
    at, step = progress or Progress(), nonnegative_sweep if method == "nonnegative" else hooi_sweep
    if not at.factors and method == "nonnegative":
        at.core, at.factors = nonnegative_start(slab, ranks or (), norm, seed)
    if not at.factors:
        at.core, at.factors = st_hosvd(slab, wanted(slab, ranks, tol, norm), range_finder, seed, world)
        at.relative_error = _error(at, slab, world, norm, at.core.double().square().sum().item())
    if method != "st-hosvd":
        _descend(at, step, slab, world, norm, max_iterations, stop_tol, after_sweep)
    return _finished(at, slab, world, unit, turn=method != "nonnegative")


def _check(
    slab: Slab, ranks: Sequence[int] | None, tol: float | None, method: Method, range_finder: RangeFinder
) -> None:
    refuse_shape(slab.shape)
    if slab.local.dtype not in (torch.float32, torch.float64):
        raise UserError(f"the tensor holds {slab.local.dtype}: convert it to torch.float32 or torch.float64")
    for name, value, known in (("method", method, Method), ("range_finder", range_finder, RangeFinder)):
        if value not in get_args(known):
            raise UserError(f"{name} is {value!r}: it must be {' or '.join(get_args(known))}")
    if (ranks is None) == (tol is None):
        raise UserError(
            "give one of ranks, such as [20, 20, 5], and tol, the relative error that the ranks follow from"
        )
    if ranks is not None:
        _check_ranks(slab.shape, ranks, method)
    elif method == "nonnegative" or range_finder == "randomized":
        which = method if method == "nonnegative" else f"range_finder {range_finder}"
        raise UserError(f"{which} cannot tell ranks from tol: give ranks, one a mode")
    elif not (finest := DROWNED * torch.finfo(slab.local.dtype).eps) <= (tol or 0) < 1:
        name = str(slab.local.dtype).removeprefix("torch.")
        raise UserError(f"tol is {tol:g}: in {name} it must be {finest:.1g} or more, and less than 1")


def _check_ranks(shape: Sequence[int], ranks: Sequence[int], method: Method) -> None:
    if len(ranks) != len(shape):
        raise UserError(f"there are {len(ranks)} ranks for {len(shape)} modes: give one a mode")
    for mode, (rank, rows) in enumerate(zip(ranks, shape, strict=True)):
        if not 1 <= rank <= rows:
            raise UserError(f"ranks[{mode}] is {rank}: mode {mode} has {rows} rows, so it must be from 1 to {rows}")
        others = math.prod(ranks) // rank
        if rank > others and method != "nonnegative":
            raise UserError(
                f"ranks[{mode}] is {rank}: with ranks {list(ranks)} no more than {others}, the product of the others, "
                "are of use. Lower it, or raise the others"
            )


def _in_range(slab: Slab, norm: float) -> tuple[Slab, float, float]:
    """The slab and its norm divided by the square of a unit, which is 1 unless their squares would leave float32."""
    if 1 / SAFE < norm < SAFE:
        return slab, norm, 1.0
    unit = 2.0 ** round(math.log2(norm) / 2)  # A power of 2 costs no digit.
    return replace(slab, local=slab.local / unit / unit), norm / unit / unit, unit


def _descend(
    at: Progress,
    step: Sweep,
    slab: Slab,
    world: World,
    norm: float,
    max_iterations: int,
    stop_tol: float,
    after_sweep: Callable[[Progress], bool],
) -> None:
    """Sweeps from where `at` stands until the fit converges or the caller ends it."""
    while at.iteration < max_iterations and not abs(at.error_before - at.relative_error) < stop_tol:
        began, at.error_before = time.perf_counter(), at.relative_error
        at.core, explained = step(slab, at.factors, at.core, world)
        at.relative_error = _error(at, slab, world, norm, explained)
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if not after_sweep(at):
            return


def _error(at: Progress, slab: Slab, world: World, norm: float, explained: float) -> float:
    """|X - Y| / |X| from |X|² and what the model explains of it; by reconstruction where round-off drowns that."""
    left = norm**2 - explained
    if world.any(left < DROWNED * torch.finfo(slab.local.dtype).eps * norm**2):
        factors = [factor.double() for factor in at.factors]
        left = world.sum_(_residual(slab.local, at.core.double(), factors)).item()
    if not math.isfinite(left):
        raise overflow(slab.local.dtype)
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    return world.from_first(math.sqrt(left) / norm)


def _residual(local: Tensor, core: Tensor, factors: list[Tensor]) -> Tensor:
    """|X - Y|² over this rank's slab in float64, no more than a small block of Y at a time."""
    if local.numel() <= AT_ONCE:
        return (local.double() - multi_mode_product(core, factors)).square().sum()
    mode = longest(local.shape)
    parts = zip(local.tensor_split(2, mode), factors[mode].tensor_split(2), strict=True)
    return sum(
        (_residual(part, core, [*factors[:mode], rows, *factors[mode + 1 :]]) for part, rows in parts),
        core.new_zeros(()),
    )


def _finished(at: Progress, slab: Slab, world: World, unit: float, *, turn: bool) -> TuckerTensor:
    """The model whole on every rank, in the unit of the data."""
    factors = list(at.factors)
    factors[slab.mode] = world.gather_rows(factors[slab.mode])
    core, factors = ordered(at.core, factors) if turn else (at.core, factors)
    core = core * unit * unit
    if not core.isfinite().all():
        raise overflow(core.dtype)
    return TuckerTensor(core, factors, at.relative_error)
