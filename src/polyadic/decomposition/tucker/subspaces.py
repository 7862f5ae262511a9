"""Leading subspaces of a tensor's unfoldings, over the ranks: what the Tucker decompositions are made of.

Shapes: a rank holds left x I_n x right of the unfolding I_n x (left right) of mode n; R_n columns span a subspace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.decomposition.tucker.spectra import ways
from polyadic.decomposition.tucker.unfoldings import blocks, rows_of
from polyadic.distributed import World
from polyadic.tensor.dense import Slab, khatri_rao
from polyadic.tensor.products import mode_product

CLEAR_ROUND_OFFS = 4
"""The last kept vector may be rounded when its square is larger than so many round-offs of all squares: the error of
the model is then within a percent of the best."""
LARGEST_TURN = 5e-6
"""Round-off may turn the kept subspace so far, as a share of the projected data's norm."""
OVERSAMPLED_COLUMNS = 10
"""Columns of a sketch beyond the rank: Halko, Martinsson and Tropp, SIAM Review 2011, section 4.2."""
POWER_STEPS = 4
"""Steps of a subspace iteration in one update of a factor."""


class Truncation(NamedTuple):
    """How much of a mode's spectrum to keep: `rank` vectors, or the fewest that leave out no more than `budget`.

    budget: a sum of squared singular values; it counts where the rank is None.
    """

    rank: int | None
    budget: float

    def count(self, squares: Tensor) -> int:
        """The number of vectors to keep for these squared singular values, which fall."""
        if self.rank is not None:
            return self.rank
        tails = squares.flip(0).cumsum(0)
        return max(1, int((tails > self.budget).sum()))

    def resolved(self, squares: Tensor, precision: float) -> bool:
        """Whether the numbers that decide are larger than the round-off, which is `precision` of the squares' sum.

        These are the budget, or the square of the last vector that is kept; and the gap between its square and the
        next. Round-off turns the kept vectors towards the others by the angle noise / gap (Davis and Kahan, SIAM
        J. Numer. Anal. 1970), and with them the share of the data that the last one has.
        """
        total, rank = squares.sum().item(), self.count(squares)
        noise, last = precision * total, squares[rank - 1].item()
        clear = self.budget > TRUSTED_ROUND_OFFS * noise if self.rank is None else last > CLEAR_ROUND_OFFS * noise
        if rank == len(squares) or not clear:
            return clear
        gap = last - squares[rank].item()
        return noise * math.sqrt(last) <= LARGEST_TURN * gap * math.sqrt(total)


def leading(
    local: Tensor, mode: int, columns: int, truncation: Truncation, world: World, *, whole: bool = False
) -> Tensor:
    """Orthonormal columns I_n x R_n that span the leading left singular vectors of the unfolding along `mode`.

    local: this rank's columns of the unfolding (all rows), of `columns` over all ranks; `whole` says that each rank
    holds all of them. The result is the same on every rank, from the cheapest way that is precise enough (`ways`).
    """
    for way in ways(local.dtype, tall=local.shape[mode] > columns):
        squares, vectors = way.spectrum(local, mode, world, whole)
        if truncation.resolved(squares, way.precision):
            break
    count = world.from_first(truncation.count(squares))
    return _agreed(vectors[:, :count].to(local.dtype), world)


def leading_divided(local: Tensor, mode: int, truncation: Truncation, world: World) -> Tensor:
    """The same for a mode whose rows are divided over the ranks: this rank's rows of the I_n x R_n columns."""
    rows = rows_of(local, mode)
    # With fewer rows than columns there is nothing to gain from a QR decomposition.
    basis, rest = torch.linalg.qr(rows) if len(rows) > rows.shape[1] else (None, rows)
    counts = world.collect(len(rest))
    vectors = leading(world.gather_rows(rest), 0, rows.shape[1], truncation, world, whole=True)
    first = sum(counts[: world.rank])
    own = vectors[first : first + len(rest)]
    return own if basis is None else basis @ own


def sketch(local: Tensor, slab: Slab, shape: Sequence[int], mode: int, count: int, seed: int, world: World) -> Tensor:
    """Orthonormal columns I_n x count near the leading ones of the unfolding: those of its product with random columns.

    local: this rank's columns of the unfolding of a tensor of this `shape`, divided as `slab` is.
    The random columns are the Khatri-Rao product of Gaussian matrices, one for each mode, so that they need neither
    the memory of a Gaussian matrix nor another seed for another number of ranks
    (Sun, Guo, Luo, Tropp and Udell, SIMODS 2020, section 2).
    """
    random = torch.Generator().manual_seed(seed + mode)
    maps = [torch.randn(rows, count, generator=random, dtype=torch.float64).to(local) for rows in shape]
    maps[slab.mode] = maps[slab.mode][slab.rows]
    ones = local.new_ones(1, count)
    left, right = khatri_rao([ones, *maps[:mode]]), khatri_rao([ones, *maps[mode + 1 :]])
    product = local.new_zeros(shape[mode], count)
    for block in blocks(local, mode):
        product += block.matrix @ khatri_rao([left[block.left], right[block.right]])
    return _agreed(torch.linalg.qr(world.sum_(product))[0], world)


def power(rows: Tensor, factor: Tensor, world: World, *, divided: bool) -> Tensor:
    """Orthonormal columns I_n x R_n after a few steps of subspace iteration on rows rows^T, which begins at `factor`.

    rows: the unfolding I_n x C, C >= R_n; where `divided`, this rank's rows of it and of the factor. Each step
    leaves |rows^T factor| no smaller.
    """
    for _ in range(POWER_STEPS):
        inner = rows.T @ factor
        factor = rows @ torch.linalg.qr(world.sum_(inner) if divided else inner)[0]
    basis, upper = torch.linalg.qr(factor)
    if not divided:
        return _agreed(basis, world)
    counts = world.collect(len(upper))
    first = sum(counts[: world.rank])
    turned = torch.linalg.qr(world.gather_rows(upper))[0]
    own: Tensor = basis @ turned[first : first + len(upper)]
    return own


def ordered(core: Tensor, factors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The same tensor, with each factor turned to the singular vectors of the core's unfolding along its mode.

    core: R_1 x ... x R_N; factors: I_n x R_n with orthonormal columns. The columns then stand in the order of their
    weight, whichever algorithm they come from, and the largest entry of each is positive.
    """
    turned, result = core.double(), []
    for mode, factor in enumerate(factors):
        rank = core.shape[mode]
        vectors = leading(turned, mode, core.numel() // rank, Truncation(rank, 0), World.alone(), whole=True)
        columns = factor.double() @ vectors
        signs = columns.gather(0, columns.abs().argmax(0, keepdim=True)).sign()
        turned = mode_product(turned, (vectors * signs).T, mode)
        result.append((columns * signs).to(factor.dtype))
    return turned.to(core.dtype), result


def _agreed(tensor: Tensor, world: World) -> Tensor:
    """Rank 0's tensor: singular vectors are free in sign, and ranks on different hardware may choose differently."""
    return world.from_first_(tensor.contiguous())
