"""The canonical polyadic decomposition: X ≈ sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, residual, sweep

DROWNED = 100
"""A difference of squares under so many round-offs says nothing."""


@dataclass(frozen=True)
class CPTensor:
    """Weights (R) and factors (I_n x R, columns of length 1), with the relative error of the fit."""

    weights: Tensor
    factors: list[Tensor]
    relative_error: float

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, counted from 0): B."""
        rows = self.weights.expand(len(index), -1)
        for mode, factor in enumerate(self.factors):
            rows = rows * factor[index[:, mode]]
        return rows.sum(1)


@dataclass
class Progress:
    """Where a fit stands, changed in place by it: enough to go on from, exactly.

    `factors` are this rank's rows of the divided mode, and all rows of the others.
    """

    restart: int = 0
    iteration: int = 0
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    relative_error: float = float("inf")
    error_before: float = float("inf")
    seconds: float = 0.0
    best: CPTensor | None = None

    def better(self) -> CPTensor:
        """The best of the finished restarts and the one under way."""
        here = CPTensor(self.weights, list(self.factors), self.relative_error)
        return self.best if self.best is not None and self.best.relative_error <= self.relative_error else here


def cp(
    tensor: Tensor | Slab,
    rank: int,
    *,
    world: World | None = None,
    max_iterations: int = 100,
    tol: float = 1e-6,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """Alternating least squares for the CP decomposition of a dense tensor.

    tensor: I_1 x ... x I_N, or this rank's slab of it; N >= 2, finite, not all zero.
    Each restart begins with factors uniform on [0, 1) drawn from (seed, restart) and ends when the fit,
    1 - relative error, changes by less than `tol` in a sweep, or after `max_iterations` sweeps; the best is kept.
    `progress` is where an earlier fit stood; `after_sweep` sees each sweep, and ends the fit by returning False.
    The factors of the result are whole on every rank.

    A^(n) <- M^(n) (*_{m≠n} A^(m)T A^(m))^-1 with the MTTKRP M^(n), columns normalised into the weights, and
    |X - Y|² = |X|² + |Y|² - 2 <X, Y> with <X, Y> from the last MTTKRP: Kolda and Bader, SIAM Review 2009, fig. 3.3.
    Where round-off would drown that difference (a near-exact fit, or components that cancel) the error is
    taken by reconstruction.

    Raises UserError for a rank under 1, an order under 2 or a tensor that is all zero.
    """
    world = world or World.alone()
    _check(tensor.shape, rank)
    slab = tensor if isinstance(tensor, Slab) else Slab.whole(tensor)
    norm = world.sum_(_square(slab.local)).sqrt().item()
    if not math.isfinite(norm):
        raise UserError("the tensor holds entries that are NaN or infinite: fill them in, or leave out their rows")
    if norm == 0:
        raise UserError("the tensor is all zero: there is nothing to decompose. Give one with a non-zero entry")
    at = progress or Progress()
    while at.restart < restarts:
        if not at.factors:
            at.factors = start(slab, rank, seed + at.restart)
        if not _descend(at, slab, world, norm, max_iterations, tol, after_sweep):
            break
        at.best = at.better()
        at.restart, at.iteration, at.factors = at.restart + 1, 0, []
        at.relative_error = at.error_before = float("inf")
    return whole(at.better(), slab, world)


def start(slab: Slab, rank: int, seed: int) -> list[Tensor]:
    """Factors uniform on [0, 1), this rank's rows of them: the same rows for any number of ranks."""
    random = torch.Generator().manual_seed(seed)
    factors = [torch.rand(rows, rank, generator=random, dtype=torch.float64) for rows in slab.shape]
    factors[slab.mode] = factors[slab.mode][slab.rows]
    return [factor.to(slab.local) for factor in factors]


def whole(model: CPTensor, slab: Slab, world: World) -> CPTensor:
    """The same model with every rank's rows of the divided mode in their place."""
    factors = list(model.factors)
    factors[slab.mode] = world.gather_rows(factors[slab.mode])
    return CPTensor(model.weights, factors, model.relative_error)


def _check(shape: Sequence[int], rank: int) -> None:
    if rank < 1:
        raise UserError(f"rank is {rank}: it must be 1 or more")
    if len(shape) < 2:
        raise UserError(f"the tensor has {len(shape)} modes: a decomposition needs 2 or more")
    if 0 in shape:
        raise UserError(f"the tensor is empty: its shape is {tuple(shape)}")


def _descend(
    at: Progress,
    slab: Slab,
    world: World,
    norm: float,
    max_iterations: int,
    tol: float,
    after_sweep: Callable[[Progress], bool],
) -> bool:
    """Sweeps from where `at` stands until one restart converges; False when the caller ends the fit."""
    grams = [_gram(factor, world, mode == slab.mode) for mode, factor in enumerate(at.factors)]
    inner = torch.zeros(())

    def update(mode: int, product: Tensor) -> Tensor:
        nonlocal inner
        others = torch.stack([gram for m, gram in enumerate(grams) if m != mode]).prod(0)
        factor = _solve(others, product)
        at.weights = _norms(factor, world, mode == slab.mode)
        factor = factor / at.weights.to(factor.dtype)
        grams[mode] = _gram(factor, world, mode == slab.mode)
        # Only the last mode's is read: the inner product of the data with the model of this sweep.
        inner = (product.double() * factor.double()).sum(0) @ at.weights
        if mode == slab.mode:
            world.sum_(inner)
        return factor

    while at.iteration < max_iterations and not abs(at.error_before - at.relative_error) < tol:
        began, at.error_before = time.perf_counter(), at.relative_error
        sweep(slab, at.factors, world, update)
        at.relative_error = _error(at, slab, world, norm, grams, inner)
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if not after_sweep(at):
            return False
    return True


def _error(at: Progress, slab: Slab, world: World, norm: float, grams: list[Tensor], inner: Tensor) -> float:
    """|X - Y| / |X| by the difference of squares; by reconstruction where round-off would drown that."""
    gram = torch.stack(grams).prod(0)
    square = norm**2 + (at.weights @ gram @ at.weights - 2 * inner).item()
    # Components that cancel are each far larger than the model they sum to.
    noise = torch.finfo(slab.local.dtype).eps * max(norm**2, (at.weights.abs() @ gram.abs() @ at.weights.abs()).item())
    if world.any(square < DROWNED * noise):
        square = world.sum_(residual(slab, at.weights, at.factors)).item()
    if not math.isfinite(square):
        raise _overflow(slab.local.dtype)
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    return world.from_first(math.sqrt(square) / norm)


def _overflow(dtype: torch.dtype) -> UserError:
    name = str(dtype).removeprefix("torch.")
    return UserError(f"the sums over this tensor overflow {name}: divide it by a constant, or use dtype float64")


def _square(tensor: Tensor) -> Tensor:
    """The sum of the squares in float64, without a copy of the whole tensor in it."""
    parts = [part.double().square().sum() for part in torch.split(tensor.reshape(-1), 2**22)]
    return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64, device=tensor.device)


def _norms(factor: Tensor, world: World, divided: bool) -> Tensor:
    """The lengths of a factor's columns in float64, never 0."""
    squares = factor.double().square().sum(0)
    lengths = (world.sum_(squares) if divided else squares).sqrt()
    return torch.where(lengths == 0, 1, lengths)


def _gram(factor: Tensor, world: World, divided: bool) -> Tensor:
    """The Gram matrix R x R of a factor in float64, summed over the ranks when its rows are divided."""
    gram = (factor.T @ factor).double()
    return world.sum_(gram) if divided else gram


def _solve(gram: Tensor, product: Tensor) -> Tensor:
    """product gram^-1 by Cholesky, with a ridge where the Gram matrix is singular to the precision of its factors.

    The ridge begins at that precision and grows until the smallest pivot stands clear of it: without it,
    collinear columns get huge weights that cancel, and the error's own formula drowns in their round-off.
    """
    if not torch.isfinite(gram).all():
        raise _overflow(product.dtype)
    precision = torch.finfo(product.dtype).eps * len(gram)
    largest = gram.diagonal().max().clamp_min(torch.finfo(gram.dtype).tiny)
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    ridge = 0.0
    while True:
        lower, info = torch.linalg.cholesky_ex(gram + ridge * largest * eye)
        if info == 0 and lower.diagonal().min().square() > precision * largest:
            return torch.cholesky_solve(product.T.to(gram.dtype), lower).T.to(product.dtype).contiguous()
        ridge = max(4 * ridge, precision)
