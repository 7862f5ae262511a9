"""Leading right singular vectors of a matrix whose rows are divided over the ranks.

Shapes: C is m x n, and a rank has some of its rows; r vectors are kept, n x r.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.distributed import World
from polyadic.tensor.train_ranks import kept_rank

OVERSAMPLED_COLUMNS = 10
"""Columns of a random range finder beyond the rank."""
POWER_STEPS = 4
"""A random range finder takes so many power steps at most."""
LEAST_GAIN = 0.01
"""The power steps end when half a step gains less than this share of the square that is left out. The steps that are
not taken could gain about as much again, which is half as much in the error."""
LARGE_SIDE = 1000
"""Where the smaller side of a matrix is longer, a tolerance is first tried with narrow random range finders."""
COLUMN_MULTIPLE = 16
"""Such multiples of columns fill the registers of a matrix product."""
EXACT_PRODUCTS = 512
"""Sums of more products than this come out too small in float32: they are added up in float64."""
CHUNK_NUMBERS = 2**20
"""Numbers of a matrix that are converted to float64 together."""
STACK_NUMBERS = 2**22
"""Numbers of a matrix that are added to a triangle together."""


def range_finder_widths(small: int, cap: int, *, strict: bool) -> list[int]:
    """The numbers of columns with which random range finders are worth trying, rising.

    small: the smaller side of the matrix. cap: the greatest rank. strict: whether a tolerance was asked for.
    They are those with which two steps need fewer floating-point operations than a Gram matrix.
    """
    growing = [2**power for power in range(6, small.bit_length())] if strict and small > LARGE_SIDE else []
    wide = COLUMN_MULTIPLE * math.ceil((cap + OVERSAMPLED_COLUMNS) / COLUMN_MULTIPLE)
    return [width for width in (*growing, wide) if width <= wide and 5 * width < small]


def sketched_basis(
    matrix: Tensor, width: int, cap: int, *, energy: float, allowed: float, world: World
) -> tuple[Tensor, Tensor] | None:
    """An orthonormal basis V (n x r) and C V by a random range finder of `width` columns with power steps.

    matrix: this rank's rows of C. cap: the greatest r. energy: |C|². allowed: the square that may be left out.
    None where the width leaves out more than is allowed.

    Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4, with columns made orthonormal after each half step.
    The square of C that the basis holds only grows, so that the steps can end where it grows no more.
    """
    random = torch.Generator().manual_seed(width)
    basis = torch.randn(matrix.shape[1], width, generator=random, dtype=torch.float64).to(matrix)
    before = math.inf
    for step in range(POWER_STEPS + 1):
        product = project(matrix, basis)
        squares, turn = _eigen(_gram(product, torch.float64 if step else matrix.dtype, world))
        held = squares[:cap].sum().item()
        still = step > 0 and held - before <= LEAST_GAIN * (energy - held)
        if world.from_first(still or step == POWER_STEPS):
            break
        least = squares[0] * torch.finfo(matrix.dtype).eps
        product = product @ (turn / squares.clamp_min(least).sqrt()).to(matrix.dtype)
        vectors, triangle = torch.linalg.qr(world.sum_(matrix.T @ product))
        basis, before = agreed(vectors, world), torch.linalg.svdvals(triangle.double())[:cap].square().sum().item()
    rest = energy - squares.sum().item()
    rest = rest if rest > noise_of(energy, matrix.dtype) else 0.0
    if world.from_first(rest > allowed) and width < cap:
        return None
    turn = agreed(turn[:, : kept_rank(squares, allowed - rest, cap)].to(matrix.dtype), world)
    return basis @ turn, product @ turn


def singular_basis(matrix: Tensor, rows: int, cap: int, allowed: float, world: World) -> Tensor:
    """Leading right singular vectors of C, as many as `kept_rank` says: n x r, the same on every rank.

    matrix: this rank's rows of C. rows: m. cap: the greatest r. allowed: the square that may be left out.

    They come from the Gram matrix C^T C (n x n) in the precision of the data; where its round-off hides the numbers
    that decide, from the Gram matrix in float64; and where that is still too coarse, from triangles of QR
    decompositions. Where n > m the rows are gathered, and the work is done on the other side.
    """
    if matrix.shape[1] > rows:
        whole = world.gather_rows(matrix).T
        left = singular_basis(whole, matrix.shape[1], cap, allowed, World.alone(world.device))
        other: Tensor = torch.linalg.qr(whole @ left).Q
        return agreed(other, world)
    for precision in dict.fromkeys([matrix.dtype, torch.float64]):
        squares, vectors = _eigen(_gram(matrix, precision, world))
        kept = kept_rank(squares, allowed, cap)
        decisive = float(squares[kept:].sum() if kept < len(squares) else squares[-1])
        if world.from_first(max(allowed, decisive) > noise_of(float(squares.sum()), precision)):
            return agreed(vectors[:, :kept].to(matrix.dtype), world)
    _, values, across = torch.linalg.svd(_triangle(matrix, world), full_matrices=False)
    basis: Tensor = across[: kept_rank(values.square(), allowed, cap)].T
    return agreed(basis.to(matrix.dtype), world)


def noise_of(energy: float, dtype: torch.dtype) -> float:
    """A square smaller than this is hidden by the round-off of a sum of squares `energy`."""
    return TRUSTED_ROUND_OFFS * torch.finfo(dtype).eps * energy


def project(matrix: Tensor, basis: Tensor) -> Tensor:
    """C V: m x r, this rank's rows, in the precision of C."""
    if len(basis) <= EXACT_PRODUCTS:
        return matrix @ basis
    total = torch.zeros(len(matrix), basis.shape[1], dtype=torch.float64, device=matrix.device)
    pairs = zip(torch.split(matrix, EXACT_PRODUCTS, 1), torch.split(basis, EXACT_PRODUCTS), strict=True)
    for columns, rows in pairs:
        total += columns @ rows
    return total.to(matrix.dtype)


def agreed(matrix: Tensor, world: World) -> Tensor:
    """Rank 0's matrix: a basis must be the same on all ranks, though their hardware may round differently."""
    shape = world.from_first(tuple(matrix.shape))
    return world.from_first_(matrix.contiguous() if world.rank == 0 else matrix.new_empty(shape))


def _gram(matrix: Tensor, precision: torch.dtype, world: World) -> Tensor:
    """C^T C in a precision, summed over the ranks: n x n, float64."""
    if matrix.dtype == precision:
        return world.sum_((matrix.T @ matrix).double())
    gram = torch.zeros(matrix.shape[1], matrix.shape[1], dtype=precision, device=matrix.device)
    for part in torch.split(matrix, max(1, CHUNK_NUMBERS // matrix.shape[1])):
        exact = part.to(precision)
        gram.addmm_(exact.T, exact)
    return world.sum_(gram)


def _eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues from the largest on (n), none under 0, and their vectors in columns (n x n)."""
    values, vectors = torch.linalg.eigh(gram)
    return values.flip(0).clamp_min(0), vectors.flip(1)


def _triangle(matrix: Tensor, world: World) -> Tensor:
    """R of C = Q R in float64, n x n, by the QR of one part of the rows after the other (TSQR)."""
    side = matrix.shape[1]
    triangle = torch.zeros(0, side, dtype=torch.float64, device=matrix.device)
    for part in torch.split(matrix, max(4 * side, STACK_NUMBERS // side)):
        triangle = torch.linalg.qr(torch.cat([triangle, part.double()]), mode="r").R
    whole: Tensor = torch.linalg.qr(world.gather_rows(triangle), mode="r").R
    return whole
