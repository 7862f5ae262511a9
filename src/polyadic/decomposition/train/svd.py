"""The tensor train by truncated singular value decompositions (TT-SVD)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab
from polyadic.tensor.tensor_train import (
    AT_ONCE,
    TensorTrain,
    enough,
    feasible_ranks,
    positive,
    residual,
    tolerance,
)

DROWNED, BLURRED = 100, 50_000
"""A difference of squares under so many round-offs says nothing; under so many, its root lacks digits."""
OVERSAMPLED, POWER_STEPS, STILL = 10, 4, 0.01
"""A random range finder takes so many columns beyond the rank, and so many power steps at most: it ends where half a
step gains less than that share of what is left out. About as much is then still to be had, half of it in the error."""
LARGE = 1000
"""A side beyond which a tolerance is first tried with a random range finder."""
SMALL = 2**20
"""Entries of a tensor that is soon reconstructed."""
SAFE = 1e12
"""Norms within 1 / SAFE and SAFE have squares that no sum over a tensor overflows."""


def tensor_train(
    tensor: Tensor | Slab,
    *,
    tol: float | None = None,
    max_rank: int | Sequence[int] | None = None,
    world: World | None = None,
) -> TensorTrain:
    """The tensor train of a dense tensor, its ranks from a relative error, from a limit, or from both.

    tensor: I_1 x ... x I_N, or this rank's slab of it; N >= 2, finite, not all zero.
    tol: |X - Y| <= tol |X|, where max_rank does not forbid it; a rank then is the least that leaves out
    tol / sqrt(N - 1) |X|. max_rank: one number, or r_1, ..., r_{N-1}; more than the shape allows is no error.
    The cores of the result are whole on every rank; their relative_error is the true one.

    From the left up to the slab's mode d, and from the right down to it, the unfolding of what is left is projected
    on its leading singular vectors. They come from a side without mode d, so the ranks' rows stay where they are
    and only matrices of that side are summed; core d is gathered at the end. The bound is that of TT-SVD, since the
    projections of the two directions commute: Oseledets, SIAM J. Sci. Comput. 2011, theorem 2.2.

    Raises UserError without tol and max_rank, for an order under 2 or a tensor that is empty, all zero or not finite.
    """
    world = world or World.alone()
    refuse_shape(tensor.shape)
    caps = feasible_ranks(tensor.shape, max_rank, tol)
    slab = tensor if isinstance(tensor, Slab) else Slab.whole(tensor)
    norm = refuse_norm(world.sum_(square(slab.local)).sqrt().item())
    # Far from 1 the squares of float32 overflow or vanish; a power of 2 on the way in and out costs no digit.
    unit = 1.0 if 1 / SAFE < norm < SAFE else 2.0 ** round(math.log2(norm) / 2)
    if unit != 1:
        slab, norm = replace(slab, local=slab.local / unit / unit), norm / unit**2
    allowed = (tolerance(tol, slab.local.dtype) * norm) ** 2 / len(caps)
    cores = _Peeling(slab, world, allowed, tol is not None, norm**2).cores(caps)
    error = _error(slab, cores, norm, world)
    cores[slab.mode] = cores[slab.mode] * unit * unit
    if not cores[slab.mode].isfinite().all():
        raise overflow(slab.local.dtype)
    return TensorTrain(cores, error)


def refuse_shape(shape: Sequence[int]) -> None:
    """UserError for an order under 2, or a tensor without entries."""
    if len(shape) < 2:
        raise UserError(f"the tensor has {len(shape)} modes: a decomposition needs 2 or more")
    if 0 in shape:
        raise UserError(f"the tensor is empty: its shape is {tuple(shape)}")


def refuse_norm(norm: float) -> float:
    """The norm of the data again; UserError where that says that it is not finite, or all zero."""
    if not math.isfinite(norm):
        raise UserError("the tensor holds entries that are NaN or infinite: fill them in, or leave out their rows")
    if norm == 0:
        raise UserError("the tensor is all zero: there is nothing to decompose. Give one with a non-zero entry")
    return norm


def overflow(dtype: torch.dtype) -> UserError:
    """The error of sums that a type cannot hold."""
    name = str(dtype).removeprefix("torch.")
    return UserError(f"the sums over this tensor overflow {name}: divide it by a constant, or use dtype float64")


def square(tensor: Tensor) -> Tensor:
    """The sum of the squares in float64, but for those of 64 numbers in a row, which round off less than 1e-8."""
    flat = tensor.reshape(-1)
    even = len(flat) // 64 * 64
    lengths: Tensor = torch.linalg.vector_norm(flat[:even].view(-1, 64), dim=1).double()
    total: Tensor = lengths.square().sum() + flat[even:].double().square().sum()
    if 1 / SAFE**2 < total < SAFE**2:
        return total
    parts = [part.double().square().sum() for part in torch.split(flat, 2**14)]
    return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64, device=tensor.device)


class _Peeling:
    """The sweeps from both ends towards the divided mode.

    `allowed` is the square that each rank may leave out, `strict` says that it was asked for, and `energy` is the
    square of what is left of the tensor.
    """

    def __init__(self, slab: Slab, world: World, allowed: float, strict: bool, energy: float) -> None:
        self.slab, self.world, self.allowed, self.strict, self.energy = slab, world, allowed, strict, energy

    def cores(self, caps: Sequence[int]) -> list[Tensor]:
        """All cores, whole on every rank; those before mode d have orthonormal columns, those behind it rows."""
        d, shape, here = self.slab.mode, self.slab.shape, self.slab.local.shape
        carry, rank, left, right = self.slab.local, 1, list[Tensor](), list[Tensor]()
        for n in range(d):
            matrix = carry.reshape(rank * shape[n], math.prod(here[n + 1 :]))
            basis, rest = self.split(matrix.T, math.prod(shape[n + 1 :]), caps[n])
            left.append(basis.reshape(rank, shape[n], -1))
            carry, rank = rest.T.contiguous(), basis.shape[1]
        first, rank = rank, 1
        for n in reversed(range(d + 1, len(shape))):
            matrix = carry.reshape(first * math.prod(here[d:n]), shape[n] * rank)
            basis, carry = self.split(matrix, first * math.prod(shape[d:n]), caps[n - 1])
            right.insert(0, basis.T.reshape(-1, shape[n], rank))
            rank = basis.shape[1]
        middle = carry.reshape(first, here[d], rank).transpose(0, 1).contiguous()
        return [*left, self.world.gather_rows(middle).transpose(0, 1).contiguous(), *right]

    def split(self, matrix: Tensor, rows: int, cap: int) -> tuple[Tensor, Tensor]:
        """An orthonormal basis V (n x r) of leading right singular vectors of C (m x n), and C V.

        `matrix` are this rank's rows of C, `rows` counts them all.
        """
        noise = DROWNED * torch.finfo(matrix.dtype).eps * self.energy
        small, found = min(rows, matrix.shape[1]), None
        if not self.strict or self.allowed > noise:
            for width in self.widths(small, cap):
                found = found or self.sketched(matrix, width, cap, noise)
        if found is None:
            basis = self.agreed(_singular(matrix, rows, cap, self.allowed, self.world))
            found = basis, _project(matrix, basis)
        self.energy = self.world.sum_(square(found[1])).item()
        signs = positive(found[0])
        return found[0] * signs, found[1] * signs

    def widths(self, small: int, cap: int) -> list[int]:
        """The random range finders to try, by their columns: those of fewer flops, in two steps, than a Gram matrix."""
        growing = [2**k for k in range(6, small.bit_length())] if self.strict and small > LARGE else []
        wide = 16 * math.ceil((cap + OVERSAMPLED) / 16)  # Multiples of 16 fill the registers of a matrix product.
        return [one for one in (*growing, wide) if one <= wide and 5 * one < small]

    def sketched(self, matrix: Tensor, width: int, cap: int, noise: float) -> tuple[Tensor, Tensor] | None:
        """The same by a random range finder with power steps; None where its width leaves out more than allowed.

        Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4, the columns made orthonormal at each half step.
        What these hold of the tensor only grows, so that the steps can end where it stands still.
        """
        random = torch.Generator().manual_seed(width)
        basis = torch.randn(matrix.shape[1], width, generator=random, dtype=torch.float64).to(matrix)
        before = math.inf
        for step in range(POWER_STEPS + 1):
            seen = _project(matrix, basis)
            squares, turn = _eigen(_gram(seen, torch.float64 if step else matrix.dtype, self.world))
            held = squares[:cap].sum().item()
            still = step > 0 and held - before <= STILL * (self.energy - held)
            if self.world.from_first(still or step == POWER_STEPS):
                break
            least = squares[0] * torch.finfo(matrix.dtype).eps
            seen = seen @ (turn / squares.clamp_min(least).sqrt()).to(matrix.dtype)
            vectors, triangle = torch.linalg.qr(self.world.sum_(matrix.T @ seen))
            basis, before = self.agreed(vectors), torch.linalg.svdvals(triangle.double())[:cap].square().sum().item()
        rest = self.energy - squares.sum().item()
        rest = rest if rest > noise else 0.0
        if self.world.from_first(rest > self.allowed) and width < cap:
            return None
        turn = self.agreed(turn[:, : enough(squares, self.allowed - rest, cap)].to(matrix.dtype))
        return basis @ turn, seen @ turn

    def agreed(self, matrix: Tensor) -> Tensor:
        """Rank 0's matrix: a basis must be the same on all ranks, though their hardware may round differently."""
        shape = self.world.from_first(tuple(matrix.shape))
        return self.world.from_first_(matrix.contiguous() if self.world.rank == 0 else matrix.new_empty(shape))


def _singular(matrix: Tensor, rows: int, cap: int, allowed: float, world: World) -> Tensor:
    """Leading right singular vectors of C (m x n, this rank's rows of it), as many as `enough` says: n x r.

    By the Gram matrix n x n in the data's precision; where that drowns what decides, in float64; where that does as
    well, by triangles. Where n > m the rows are gathered, and it is done on the other side.
    """
    if matrix.shape[1] > rows:
        whole = world.gather_rows(matrix).T
        left = _singular(whole, matrix.shape[1], cap, allowed, World.alone(world.device))
        other: Tensor = torch.linalg.qr(whole @ left).Q
        return other
    for precision in dict.fromkeys([matrix.dtype, torch.float64]):
        squares, vectors = _eigen(_gram(matrix, precision, world))
        kept = enough(squares, allowed, cap)
        noise = DROWNED * torch.finfo(precision).eps * float(squares.sum())
        decisive = float(squares[kept:].sum() if kept < len(squares) else squares[-1])
        if world.from_first(max(allowed, decisive) > noise):
            return vectors[:, :kept].to(matrix.dtype)
    _, values, across = torch.linalg.svd(_triangle(matrix, world), full_matrices=False)
    basis: Tensor = across[: enough(values.square(), allowed, cap)].T
    return basis.to(matrix.dtype)


def _project(matrix: Tensor, basis: Tensor) -> Tensor:
    """C V; longer sums than of 512 products are added up in float64, for in float32 they come out too small."""
    if len(basis) <= 512:
        return matrix @ basis
    total = torch.zeros(len(matrix), basis.shape[1], dtype=torch.float64, device=matrix.device)
    for part, other in zip(torch.split(matrix, 512, 1), torch.split(basis, 512), strict=True):
        total += part @ other
    return total.to(matrix.dtype)


def _gram(matrix: Tensor, precision: torch.dtype, world: World) -> Tensor:
    """C^T C in a precision, summed over the ranks: n x n, in float64."""
    if matrix.dtype == precision:
        return world.sum_((matrix.T @ matrix).double())
    gram = torch.zeros(matrix.shape[1], matrix.shape[1], dtype=precision, device=matrix.device)
    for part in torch.split(matrix, max(1, AT_ONCE // 4 // matrix.shape[1])):
        wide = part.to(precision)
        gram.addmm_(wide.T, wide)
    return world.sum_(gram)


def _eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues from the largest on, none under 0, and their vectors in columns."""
    values, vectors = torch.linalg.eigh(gram)
    return values.flip(0).clamp_min(0), vectors.flip(1)


def _triangle(matrix: Tensor, world: World) -> Tensor:
    """R of C = Q R in float64, by the QR of one part of the rows after the other (TSQR)."""
    side = matrix.shape[1]
    triangle = torch.zeros(0, side, dtype=torch.float64, device=matrix.device)
    for part in torch.split(matrix, max(4 * side, AT_ONCE // side)):
        triangle = torch.linalg.qr(torch.cat([triangle, part.double()]), mode="r").R
    whole: Tensor = torch.linalg.qr(world.gather_rows(triangle), mode="r").R
    return whole


def _error(slab: Slab, cores: Sequence[Tensor], norm: float, world: World) -> float:
    """|X - Y| / |X| by |X|² + |Y|² - 2 <X, Y>; by reconstruction where round-off blurs that, or costs nothing.

    The divided mode's core G is that of <X, Y> = |G|². With bases orthonormal to the last digit |Y| is |G| as well,
    but then the digits that they lack would count in full; so they cancel.
    """
    projected = square(cores[slab.mode]).item()
    blurred = norm**2 - projected < BLURRED * torch.finfo(slab.local.dtype).eps * norm**2
    if world.any(blurred or math.prod(slab.shape) < SMALL):
        left_out = world.sum_(residual(slab, cores)).item()
    else:
        train = TensorTrain(list(cores))
        left_out = norm**2 + train.inner(train) - 2 * projected
    return world.from_first(math.sqrt(left_out) / norm)
