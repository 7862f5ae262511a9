"""The tensor train of a tensor with missing entries (completion), by alternating least squares over its cores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.decomposition.train.svd import overflow, refuse_norm, refuse_shape, square
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.tensor_train import AT_ONCE, TensorTrain, feasible_ranks, left_rows, right_rows

LONGEST = 512
"""Entries of a row of a mode that are multiplied together, at most."""


@dataclass
class Progress:
    """Where a completion stands, changed in place by it: enough to go on from, exactly."""

    iteration: int = 0
    cores: list[Tensor] = field(default_factory=list)
    relative_error: float = math.inf
    error_before: float = math.inf
    seconds: float = 0.0


def complete_tensor_train(
    indices: Tensor,
    values: Tensor,
    shape: Sequence[int],
    max_rank: int | Sequence[int],
    *,
    l2: float = 0.0,
    max_iterations: int = 100,
    tol: float = 1e-6,
    seed: int = 0,
    world: World | None = None,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> TensorTrain:
    """The tensor train that fits the observed entries of a tensor best; the others it fills in.

    indices: N x M, counted from 0, and values: M, this rank's part of the observed entries, any part.
    max_rank: one number, or r_1, ..., r_{N-1}; more than the shape allows is no error. l2: weight of |Y|²
    beside the sum of the squared misses. Ends when the relative error over the observed entries changes by less
    than `tol` in a sweep, or after `max_iterations` sweeps there and back; `progress` is where an earlier fit
    stood, and `after_sweep` sees each sweep, and ends the fit by returning False.

    With the cores left of n orthonormal in their columns and those right of it in their rows, the matrix G^(n)[i] is
    the ridge regression of the entries whose index in mode n is i on kron(left, right), their interfaces:
    Grasedyck, Kluge and Krämer, SIAM J. Sci. Comput. 2015. The normal equations are summed over the ranks.
    To l2 comes a ridge of the size of the squared relative error, which goes as the misses go: it keeps the first
    sweeps from fitting a few entries with huge cores, and noise from being fitted at the end.

    Raises UserError for an order under 2, indices outside the shape, no entry at all, or only zeros.
    """
    world = world or World.alone()
    refuse_shape(shape)
    ranks = feasible_ranks(shape, max_rank, None)
    _refuse(indices, values, shape, world)
    norm = refuse_norm(world.sum_(square(values)).sqrt().item())
    density = world.sum_(torch.tensor(float(len(values)), dtype=torch.float64, device=values.device)).item()
    density /= math.prod(map(float, shape))
    modes = [_Mode(indices, values, mode, rows) for mode, rows in enumerate(shape)]
    at = progress or Progress()
    at.cores = at.cores or start(shape, ranks, seed, values)
    while at.iteration < max_iterations and not abs(at.error_before - at.relative_error) < tol:
        began, at.error_before = time.perf_counter(), at.relative_error
        _sweep(at.cores, modes, l2 + density * _doubt(at), world)
        misses = world.sum_(_misses(at.cores, indices, values)).item()
        if not math.isfinite(misses):
            raise overflow(values.dtype)
        # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
        at.relative_error = world.from_first(math.sqrt(misses) / norm)
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if not after_sweep(at):
            break
    return TensorTrain(list(at.cores), at.relative_error)


def start(shape: Sequence[int], ranks: Sequence[int], seed: int, like: Tensor) -> list[Tensor]:
    """Random cores, orthonormal in their rows but for the first."""
    random = torch.Generator().manual_seed(seed)
    wide = [1, *ranks, 1]
    cores = []
    for n, rows in enumerate(shape):
        core = torch.randn(wide[n], rows * wide[n + 1], generator=random, dtype=torch.float64)
        cores.append(torch.linalg.qr(core.T).Q.T.reshape(wide[n], rows, wide[n + 1]).to(like))
    return cores


class _Mode:
    """The observed entries, sorted by their row of one mode and cut into pieces of one row each."""

    def __init__(self, indices: Tensor, values: Tensor, mode: int, rows: int) -> None:
        self.indices, self.values, self.mode, self.rows = indices, values, mode, rows
        self.order = torch.argsort(indices[mode], stable=True).int()
        counts = torch.bincount(indices[mode], minlength=rows)
        self.length = min(LONGEST, max(8, len(values) // (4 * rows)))
        pieces = (counts + self.length - 1) // self.length
        self.row = torch.arange(rows, device=values.device).repeat_interleave(pieces)
        number = torch.arange(len(self.row), device=values.device) - (pieces.cumsum(0) - pieces)[self.row]
        self.first = (counts.cumsum(0) - counts)[self.row] + number * self.length
        self.stop = counts.cumsum(0)[self.row]

    def pieces(self, rows: range, at_once: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Some pieces at a time: their rows (P), their entries' places (P x L), and which of these are entries."""
        begin, end = torch.searchsorted(self.row, torch.tensor([rows.start, rows.stop], device=self.row.device))
        for part in torch.split(torch.arange(int(begin), int(end), device=self.row.device), at_once):
            place = self.first[part, None] + torch.arange(self.length, device=part.device)
            real = place < self.stop[part, None]
            yield self.row[part] - rows.start, self.order[torch.where(real, place, 0)], real

    def equations(self, cores: Sequence[Tensor], rows: range) -> tuple[Tensor, Tensor]:
        """Normal equations of some rows' matrices, in float64: len(rows) x p x p and len(rows) x p, p = r_{n-1} r_n."""
        width = cores[self.mode].shape[0] * cores[self.mode].shape[2]
        gram = torch.zeros(len(rows), width, width, dtype=torch.float64, device=self.values.device)
        product = gram.new_zeros(len(rows), width)
        for row, place, real in self.pieces(rows, max(1, AT_ONCE // (width * max(width, self.length)))):
            index = self.indices[:, place.reshape(-1)].T.long()
            left = left_rows(cores[: self.mode], index[:, : self.mode]) * real.reshape(-1, 1)
            right = right_rows(cores[self.mode + 1 :], index[:, self.mode + 1 :])
            design = (left[:, :, None] * right[:, None, :]).reshape(*place.shape, width).to(self.values.dtype)
            gram.index_add_(0, row, (design.transpose(1, 2) @ design).double())
            product.index_add_(0, row, (design.transpose(1, 2) @ self.values[place][:, :, None])[:, :, 0].double())
        return gram, product


def _doubt(at: Progress) -> float:
    """The ridge beside l2, in units of the mean Gram matrix, which is the identity times the density of the entries."""
    return min(1.0, at.relative_error) ** 2 * (0.3 + 0.7 * 0.9**at.iteration)


def _refuse(indices: Tensor, values: Tensor, shape: Sequence[int], world: World) -> None:
    for mode, rows in enumerate(shape):
        if world.any(bool(((indices[mode] < 0) | (indices[mode] >= rows)).any())):
            raise UserError(f"an index of mode {mode} is outside 0 to {rows - 1}: the tensor has shape {tuple(shape)}")
    if not world.any(len(values) > 0):
        raise UserError("the tensor has no observed entry: there is nothing to complete. Give one with some")


def _sweep(cores: list[Tensor], modes: Sequence[_Mode], l2: float, world: World) -> None:
    """Solves for each core from the first to the last and back, and leaves all but the first orthonormal in rows."""
    last = len(cores) - 1
    for n in range(last):
        cores[n] = _core(cores, modes[n], l2, world)
        rank, rows, _ = cores[n].shape
        basis, triangle = torch.linalg.qr(cores[n].reshape(rank * rows, -1))
        cores[n] = basis.reshape(rank, rows, -1)
        cores[n + 1] = torch.tensordot(triangle, cores[n + 1], 1)
    for n in range(last, 0, -1):
        cores[n] = _core(cores, modes[n], l2, world)
        _, rows, rank = cores[n].shape
        basis, triangle = torch.linalg.qr(cores[n].reshape(-1, rows * rank).T)
        cores[n] = basis.T.reshape(-1, rows, rank).contiguous()
        cores[n - 1] = cores[n - 1] @ triangle.T


def _core(cores: Sequence[Tensor], mode: _Mode, l2: float, world: World) -> Tensor:
    """The best core of a mode beside the others, some rows at a time: r_{n-1} x I_n x r_n."""
    before, _, after = cores[mode.mode].shape
    at_once = max(1, 4 * AT_ONCE // (before * after) ** 2)
    found = []
    for first in range(0, mode.rows, at_once):
        gram, product = mode.equations(cores, range(first, min(mode.rows, first + at_once)))
        found.append(_solve(world.sum_(gram), world.sum_(product), l2, torch.finfo(mode.values.dtype).eps))
    return torch.cat(found).reshape(mode.rows, before, after).transpose(0, 1).to(mode.values.dtype).contiguous()


def _solve(gram: Tensor, product: Tensor, l2: float, precision: float) -> Tensor:
    """gram_i^-1 product_i for each i by Cholesky, with a ridge where a Gram matrix is singular to the precision.

    A row with fewer entries than unknowns is: it takes about the shortest of its solutions, one without entries 0.
    """
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    largest = gram.diagonal(dim1=1, dim2=2).amax(1).clamp_min(torch.finfo(gram.dtype).tiny)
    precision, lower = precision * gram.shape[-1], torch.empty_like(gram)
    ridge, todo = 0.0, torch.arange(len(gram), device=gram.device)
    while len(todo):
        shift = (ridge * largest[todo] + l2)[:, None, None] * eye
        lower[todo], failed = torch.linalg.cholesky_ex(gram[todo] + shift)
        pivots = lower[todo].diagonal(dim1=1, dim2=2).amin(1).square()
        todo = todo[(failed != 0) | ~(pivots > precision * largest[todo])]
        ridge = max(4 * ridge, precision)
    return torch.cholesky_solve(product[:, :, None], lower)[:, :, 0]


def _misses(cores: list[Tensor], indices: Tensor, values: Tensor) -> Tensor:
    """The sum of the squared misses over this rank's entries, in float64."""
    train = TensorTrain([core.double() for core in cores])
    squares = torch.zeros((), dtype=torch.float64, device=values.device)
    for part in torch.split(torch.arange(len(values), device=values.device), AT_ONCE // 16):
        squares += (values[part].double() - train.at(indices[:, part].T.long())).square().sum()
    return squares
