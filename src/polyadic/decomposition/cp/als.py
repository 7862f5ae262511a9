"""The canonical polyadic decomposition by alternating least squares: X ≈ sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from polyadic.decomposition.cp import start
from polyadic.decomposition.cp.updates import Normal, gram_of, overflow, pairs, solve_rows, sums_of, symmetric
from polyadic.decomposition.cp.updates import nonnegative as nonnegative_rows
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.layout import whole_factor
from polyadic.tensor.rows import Sums, scale_, times
from polyadic.tensor.skinny import KERNELS_UP_TO
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import Mask, SparseShare

DROWNED = 100
"""A difference of squares under so many round-offs says nothing."""

SMALL = 1e-12
"""Norms between this and its inverse may be divided out of the small matrices instead of the large ones."""
ABOUT_ONE = 2.0
"""Columns whose lengths are within this factor of 1 are left so until the fit ends: a pass over the rows less."""

Init = Literal["random", "svd"] | CPTensor


@dataclass
class Progress:
    """Where a fit stands, changed in place by it: enough to go on from, exactly.

    `factors` are the rows that this rank holds: of a Slab, its own rows of the divided mode and all rows of the others.
    Their columns have about length 1, and the model is theirs with `weights`; the fit may write over a factor in a
    later sweep, so that a caller who keeps one copies it. `grams` are the Gram matrices of the whole factors.
    """

    restart: int = 0
    iteration: int = 0
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    grams: list[Tensor] = field(default_factory=list)
    relative_error: float = float("inf")
    error_before: float = float("inf")
    seconds: float = 0.0
    best: CPTensor | None = None

    def better(self) -> CPTensor:
        """The best of the finished restarts and the one under way, as held rows of columns of length 1."""
        if self.best is not None and self.best.relative_error <= self.relative_error:
            return self.best
        if not self.grams:
            return CPTensor(self.weights, list(self.factors), self.relative_error)
        # A factor that has been fixed stays as it began, to the bit.
        near = 8 * torch.finfo(self.factors[0].dtype).eps
        lengths = [torch.where((one - 1).abs() < near, 1, one) for one in map(lengths_of, self.grams)]
        factors = [factor / length.to(factor.dtype) for factor, length in zip(self.factors, lengths, strict=True)]
        return CPTensor(reduce(torch.mul, lengths, self.weights), factors, self.relative_error)


@dataclass(frozen=True)
class Data:
    """What a fit is made to: a share of the entries, which of them were observed (None: all), and |X|."""

    share: DenseShare | SparseShare
    mask: DenseShare | Mask | None
    norm: float
    world: World

    @staticmethod
    def of(tensor: Tensor | Slab | SparseTensor, world: World, *, observed: bool = False) -> Data:
        """The data of a tensor, or of this rank's part of one; UserError for what cannot be decomposed."""
        _check_shape(tensor.shape)
        share: DenseShare | SparseShare
        mask: DenseShare | Mask | None = None
        if isinstance(tensor, SparseTensor):
            share = SparseShare(tensor, world, observed=observed)
            mask = Mask(share) if observed else None
        else:
            slab = tensor if isinstance(tensor, Slab) else Slab.whole(tensor)
            if observed:
                seen = ~slab.local.isnan()
                mask = DenseShare(replace(slab, local=seen.to(slab.local.dtype)), world)
                slab = replace(slab, local=slab.local.nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf))
            share = DenseShare(slab, world)
        norm = share.square().sqrt().item()
        if not math.isfinite(norm):
            raise UserError("the tensor holds entries that are NaN or infinite: fill them in, or leave out their rows")
        if norm == 0:
            raise UserError("the tensor is all zero: there is nothing to decompose. Give one with a non-zero entry")
        return Data(share, mask, norm, world)

    def held(self, factors: Sequence[Tensor]) -> list[Tensor]:
        """This rank's rows of whole factors."""
        return [factor[layer.held].clone() for factor, layer in zip(factors, self.share.layers, strict=True)]

    def whole(self, model: CPTensor) -> CPTensor:
        """The model of held rows with all rows of every factor, on every rank."""
        factors = [
            whole_factor(layer, factor[layer.own], self.world, rows)
            for layer, factor, rows in zip(self.share.layers, model.factors, self.share.shape, strict=True)
        ]
        return replace(model, factors=factors)


def cp(
    tensor: Tensor | Slab | SparseTensor | Data,
    rank: int,
    *,
    world: World | None = None,
    observed: bool = False,
    nonnegative: bool = False,
    l2: float = 0.0,
    fixed: Collection[int] = (),
    init: Init = "random",
    max_iterations: int = 100,
    tol: float = 1e-6,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """Alternating least squares for the CP decomposition of a dense or sparse tensor.

    tensor: I_1 x ... x I_N with N >= 2, finite and not all zero; a rank's Slab of a dense one, or any part of the
    nonzeros of a sparse one. With `observed`, the absent entries of a sparse tensor and the NaN of a dense one are
    unknown, and each row is fitted to the observed entries alone; otherwise absent entries are zeros.
    Each restart begins with factors uniform on [0, 1) drawn from (seed, restart), with the leading singular vectors of
    the unfoldings (the first restart of init="svd"), or with a model; it ends when the fit, 1 - relative error,
    changes by less than `tol` in a sweep, or after `max_iterations` sweeps; the best is kept. Modes in `fixed` stay as
    they begin; `l2` is added to the diagonal of the normal equations; `nonnegative` keeps every factor so.
    `progress` is where an earlier fit stood; `after_sweep` sees each sweep, and ends the fit by returning False.
    The factors of the result are whole on every rank.

    A sweep updates every mode once, in their order; in a dense tensor of long modes the last two change places from one
    sweep to the next, which saves passes over the data.
    A^(n) <- M^(n) (*_{m≠n} A^(m)T A^(m))^-1 with the MTTKRP M^(n), columns normalised into the weights, and
    |X - Y|² = |X|² + |Y|² - 2 <X, Y> with <X, Y> from the last MTTKRP: Kolda and Bader, SIAM Review 2009, fig. 3.3.
    Where round-off would drown that difference (a near-exact fit, or components that cancel) the error is
    taken by reconstruction.

    Raises UserError for a rank under 1, an order under 2 or a tensor that is all zero.
    """
    if rank < 1:
        raise UserError(f"rank is {rank}: it must be 1 or more")
    world = world or (tensor.world if isinstance(tensor, Data) else World.alone())
    data = tensor if isinstance(tensor, Data) else Data.of(tensor, world, observed=observed)
    update = _Update(data, nonnegative, l2, _free(fixed, len(data.share.shape)))
    at = progress or Progress()
    while at.restart < restarts:
        if not at.factors:
            at.factors = begin(data, rank, init, seed + at.restart, at.restart == 0, update.modes[-1])
        if not _descend(at, update, max_iterations, tol, after_sweep):
            break
        at.best = at.better()
        at.restart, at.iteration, at.factors, at.grams = at.restart + 1, 0, [], []
        at.relative_error = at.error_before = float("inf")
    return data.whole(at.better())


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) < 2:
        raise UserError(f"the tensor has {len(shape)} modes: a decomposition needs 2 or more")
    if 0 in shape:
        raise UserError(f"the tensor is empty: its shape is {tuple(shape)}")


def _free(fixed: Collection[int], order: int) -> list[int]:
    """The modes to update; UserError for a fixed one that does not exist, or where none is left."""
    unknown = [mode for mode in fixed if not 0 <= mode < order]
    free = [mode for mode in range(order) if mode not in fixed]
    if unknown or not free:
        raise UserError(f"fixed modes are {sorted(fixed)}: they may be some of 0 to {order - 1}, but not all of them")
    return free


def begin(data: Data, rank: int, init: Init, seed: int, first: bool, carrier: int = -1) -> list[Tensor]:
    """This rank's rows of the factors that a restart begins with; a model's weights go with mode `carrier`."""
    if isinstance(init, CPTensor):
        return start.of_model(data.share, rank, init, carrier)
    if init == "svd" and first:
        return start.singular(data.share, rank, seed, data.world)
    return start.random(data.share, rank, seed)


def _descend(
    at: Progress,
    update: _Update,
    max_iterations: int,
    tol: float,
    after_sweep: Callable[[Progress], bool],
) -> bool:
    """Sweeps from where `at` stands until one restart converges; False when the caller ends the fit."""
    update.begin(at)
    while at.iteration < max_iterations and not abs(at.error_before - at.relative_error) < tol:
        began, at.error_before = time.perf_counter(), at.relative_error
        with for_kernels() if update.by_kernels(at) else nullcontext():
            for mode in (order := update.data.share.sweep(at.iteration)):
                update.mode(at, mode, last=mode == order[-1])
            at.relative_error = update.error(at)
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if not after_sweep(at):
            return False
    return True


class _Update:
    """The update of one factor after another, with what they leave for the next.

    That is |Y|² and <X, Y> of a sweep, in units of |X|².
    """

    def __init__(self, data: Data, nonnegative: bool, l2: float, modes: list[int]) -> None:
        self.data, self.nonnegative, self.l2, self.modes = data, nonnegative, l2, modes
        self.inner = self.square = self.large = torch.zeros(())

    def begin(self, at: Progress) -> None:
        """Takes up the factors of a fit."""
        if self.nonnegative:
            at.factors = [factor.abs() if m in self.modes else factor for m, factor in enumerate(at.factors)]
        if not len(at.weights) or not at.iteration:
            rank = at.factors[0].shape[1]
            at.weights = torch.ones(rank, dtype=torch.float64, device=self.data.share.device)
        self.data.share.seek(at.iteration, self.modes, at.factors[0].shape[1])
        if not at.grams:
            layers = self.data.share.layers
            at.grams = [
                layer.total(gram_of(factor[layer.own]), self.data.world)
                for factor, layer in zip(at.factors, layers, strict=True)
            ]

    def by_kernels(self, at: Progress) -> bool:
        """Whether a sweep's large products are the kernels', so that the library's are small."""
        sparse = isinstance(self.data.share, SparseShare)
        return self.data.share.device.type == "cpu" and (sparse or at.factors[0].shape[1] <= KERNELS_UP_TO)

    def mode(self, at: Progress, mode: int, *, last: bool) -> None:
        """Updates one factor and the weights; after the last of a sweep, what its error is taken from."""
        world, layer = self.data.world, self.data.share.layers[mode]
        gram = self._normal(at, mode)
        # In units of |X|, so that the squares of float32 neither overflow nor vanish.
        rows, (own, inner), scale = self._solve(gram, at, mode)
        # One collective for all that is summed over the ranks: the Gram matrix, and at the end of a sweep <X, Y>.
        parts = [own.flatten()]
        if last:
            parts.append((inner @ scale).reshape(1))
            if gram.ndim == 3:
                parts += _observed_squares(gram, rows)
        sums = layer.total(torch.cat(parts), world)
        rank = rows.shape[1]
        own = sums[: rank**2].reshape(rank, rank)
        lengths = lengths_of(own)
        shortest, longest = torch.stack(lengths.aminmax()).tolist()
        if self.l2 or not 1 / ABOUT_ONE < shortest <= longest < ABOUT_ONE:
            rows, own, scale = scale_(rows, 1 / lengths), own / torch.outer(lengths, lengths), scale * lengths
        at.weights, at.grams[mode] = scale * self.data.norm, own
        at.factors[mode] = layer.spread(rows)
        if last:
            self.inner = sums[rank**2]
            self.square, self.large = sums[rank**2 + 1 :] if gram.ndim == 3 else squares(scale, at.grams)

    def error(self, at: Progress) -> float:
        """|X - Y| / |X| after a sweep."""
        return relative_error(self.data, at, self.square, self.inner, self.large)

    def _normal(self, at: Progress, mode: int) -> Tensor:
        """The matrix of the normal equations: R x R, or J x R x R where some entries were not observed."""
        mask, rank = self.data.mask, at.factors[0].shape[1]
        if mask is None:
            gram = reduce(torch.mul, [gram for m, gram in enumerate(at.grams) if m != mode])
        else:
            layer = self.data.share.layers[mode]
            gram = symmetric(layer.combine(mask.mttkrp(mode, [pairs(factor) for factor in at.factors])), rank)
        return gram

    def _solve(self, gram: Tensor, at: Progress, mode: int) -> tuple[Tensor, Sums, Tensor]:
        """The new rows, their sums (the inner products over |X|), and what each column stands for, over |X|."""
        share, unit = self.data.share, self.data.norm
        if self.l2:
            gram = gram + self.l2 * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        normal = None if gram.ndim == 3 or self.nonnegative else Normal(gram, share.dtype)
        layer, scale = share.layers[mode], torch.ones_like(at.weights)
        if normal and normal.inverse is not None and SMALL < unit < 1 / SMALL:
            # Columns change little from one mode to the next: divided by the weights so far, they need no more.
            scale = (at.weights / unit).clamp(SMALL, 1 / SMALL)
            inverse = (normal.inverse / (unit * scale)).to(share.dtype)
            if isinstance(share, SparseShare) and share.solves(mode, len(gram)):
                rows, (own, inner) = share.solved(mode, at.factors, inverse)
            else:
                rows, (own, inner) = times(layer.combine(share.mttkrp(mode, at.factors)), inverse)
            return rows, (own, inner / unit), scale
        product = layer.combine(share.mttkrp(mode, at.factors)).div_(unit)
        if normal:
            return *normal.solve(product), scale
        if self.nonnegative:
            before = at.factors[mode][layer.own]
            rows = nonnegative_rows(gram, product, before * (at.weights / unit).to(before.dtype))
        else:
            rows = solve_rows(gram, product)
        return rows, sums_of(rows, product), scale


def relative_error(data: Data, at: Progress, square: Tensor, inner: Tensor, large: Tensor) -> float:
    """|X - Y| / |X| by the difference of squares; by reconstruction where round-off would drown that.

    square: |Y|², inner: <X, Y>, large: |Y|² of the absolute values, all over |X|². UserError where they overflow.
    """
    share = data.share
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    rest, size = data.world.from_first_(torch.stack([square - 2 * inner, large])).tolist()
    rest += 1
    # Components that cancel are each far larger than the model they sum to.
    if not rest >= DROWNED * torch.finfo(share.dtype).eps * max(1, size):
        if isinstance(share, SparseShare):
            exact = share.residual(at.weights, at.factors, None if data.mask else at.grams)
        else:
            exact = share.residual(at.weights, at.factors, data.mask if isinstance(data.mask, DenseShare) else None)
        rest = max(0.0, data.world.from_first_(exact).item()) / data.norm / data.norm
    if not math.isfinite(rest):
        raise overflow(share.dtype)
    return math.sqrt(rest)


def lengths_of(gram: Tensor) -> Tensor:
    """The lengths of a factor's columns from its Gram matrix, never 0."""
    lengths = gram.diagonal().sqrt()
    return torch.where(lengths == 0, 1, lengths)


def _observed_squares(gram: Tensor, rows: Tensor) -> list[Tensor]:
    """|Y|² over the observed entries from each row's normal equations, and the same of absolute values."""
    exact = rows.double()
    square = torch.einsum("jr,jrs,js->", exact, gram, exact)
    return [square.reshape(1), torch.einsum("jr,jrs,js->", exact.abs(), gram.abs(), exact.abs()).reshape(1)]


def squares(weights: Tensor, grams: list[Tensor]) -> tuple[Tensor, Tensor]:
    """|Y|² from the weights and the Gram matrices, and the same of absolute values."""
    gram = reduce(torch.mul, grams)
    return weights @ gram @ weights, weights.abs() @ gram.abs() @ weights.abs()
