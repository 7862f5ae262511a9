"""Leading subspaces of a tensor's unfoldings, over the ranks: what the Tucker decompositions are made of.

Shapes: a rank holds left x I_n x right of the unfolding I_n x (left right) of mode n; R_n columns span a subspace.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.dense import Slab, khatri_rao
from polyadic.tensor.products import mode_product, multi_mode_product
from polyadic.tensor.skinny import WIDTH, gram_of_columns

DROWNED = 100
"""A difference of squares under so many round-offs says nothing."""
CLEAR = 4
"""A vector whose square stands so many round-offs out of them leaves the error within a percent of the best."""
TURN = 5e-6
"""Round-off may turn the kept subspace so far, as a share of the projected data's norm."""
OVERSAMPLING = 10
"""Columns of a sketch beyond the rank: Halko, Martinsson and Tropp, SIAM Review 2011, section 4.2."""
POWER_STEPS = 4
ROW_BLOCKS = 3
FEWEST_COLUMNS = 1024
MOST_NUMBERS = {"cpu": 2**22, "cuda": 2**26}
"""Of an unfolding that is read a few columns at a time: a small copy, and long enough a matrix product."""


class Wanted(NamedTuple):
    """How much of a spectrum to keep: a rank, or the least one whose tail of squares is within `budget`."""

    rank: int | None
    budget: float

    def count(self, squares: Tensor) -> int:
        """The rank for these squared singular values, which fall."""
        if self.rank is not None:
            return self.rank
        tails = squares.flip(0).cumsum(0)
        return max(1, int((tails > self.budget).sum()))

    def resolved(self, squares: Tensor, precision: float) -> bool:
        """Whether what decides stands clear of round-off; the squares are known to `precision` of their sum.

        That is the rank, or the last vector's square; and its gap to the next: the vectors kept turn to those left
        by the angle noise / gap (Davis and Kahan, SIAM J. Numer. Anal. 1970), and the data, with the last one's share.
        """
        total, rank = squares.sum().item(), self.count(squares)
        noise, last = precision * total, squares[rank - 1].item()
        clear = self.budget > DROWNED * noise if self.rank is None else last > CLEAR * noise
        if rank == len(squares) or not clear:
            return clear
        gap = last - squares[rank].item()
        return noise * math.sqrt(last) <= TURN * gap * math.sqrt(total)


class Columns(NamedTuple):
    """Some columns of an unfolding: where they begin and end in left and right, and I_n x (how many) of numbers."""

    left: slice
    right: slice
    matrix: Tensor


def leading(local: Tensor, mode: int, columns: int, wanted: Wanted, world: World, *, whole: bool = False) -> Tensor:
    """Orthonormal columns I_n x R_n that span the leading left singular vectors of the unfolding along `mode`.

    local: this rank's columns of the unfolding (all rows), of `columns` over all ranks; `whole` says that each rank
    holds all of them. The result is the same on every rank.

    The spectrum is that of the Gram matrix X_(n) X_(n)^T, first in the data's precision, then in float64 where
    what decides would drown in the squares' round-off; and in float64 at last that of the triangle of a QR
    decomposition of X_(n)^T, which squares nothing (Li, Fang and Ballard, ICPP 2021). The triangle also serves an
    unfolding with more rows than columns.
    """
    for spectrum, precision in _ladder(local.dtype, tall=local.shape[mode] > columns):
        squares, vectors = spectrum(local, mode, world, whole)
        if wanted.resolved(squares, precision):
            break
    count = world.from_first(wanted.count(squares))
    return _agreed(vectors[:, :count].to(local.dtype), world)


def leading_divided(local: Tensor, mode: int, wanted: Wanted, world: World) -> Tensor:
    """The same for a mode whose rows are divided over the ranks: this rank's rows of the I_n x R_n columns."""
    rows = rows_of(local, mode)
    # With fewer rows than columns there is nothing to gain from a QR decomposition.
    basis, rest = torch.linalg.qr(rows) if len(rows) > rows.shape[1] else (None, rows)
    counts = world.collect(len(rest))
    vectors = leading(world.gather_rows(rest), 0, rows.shape[1], wanted, world, whole=True)
    first = sum(counts[: world.rank])
    mine = vectors[first : first + len(rest)]
    return mine if basis is None else basis @ mine


def sketch(local: Tensor, slab: Slab, shape: Sequence[int], mode: int, count: int, seed: int, world: World) -> Tensor:
    """Orthonormal columns I_n x count near the leading ones of the unfolding: those of its product with random columns.

    local: this rank's columns of the unfolding of a tensor of this `shape`, divided as `slab` is.
    The random columns are the Khatri-Rao product of Gaussian matrices, one a mode, so that they need neither the
    memory of a Gaussian matrix nor another seed for another number of ranks
    (Sun, Guo, Luo, Tropp and Udell, SIMODS 2020, section 2).
    """
    random = torch.Generator().manual_seed(seed + mode)
    maps = [torch.randn(rows, count, generator=random, dtype=torch.float64).to(local) for rows in shape]
    maps[slab.mode] = maps[slab.mode][slab.rows]
    one = local.new_ones(1, count)
    left, right = khatri_rao([one, *maps[:mode]]), khatri_rao([one, *maps[mode + 1 :]])
    product = local.new_zeros(shape[mode], count)
    for part in _blocks(local, mode):
        product += part.matrix @ khatri_rao([left[part.left], right[part.right]])
    return _agreed(torch.linalg.qr(world.sum_(product))[0], world)


def sweep(slab: Slab, factors: list[Tensor], world: World, update: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Visits every mode once with the data projected onto the other modes' factors, reading the data twice in all.

    factors: I_n x R_n each, this rank's rows of the divided mode. `update(mode, X ×_{m≠mode} A^(m)T)` is given this
    rank's rows of the divided mode, and the sum over the ranks otherwise; what it returns takes the place of
    `factors[mode]` at once. Returns X ×_n A^(n)T with the new factors, R_1 x ... x R_N, summed over the ranks.

    One product with the factors of the right half of the modes serves the left half, and the other way round.
    """
    cut, last = _cut(slab.shape, [factor.shape[1] for factor in factors]), len(factors) - 1
    left, right = range(cut), range(cut, len(factors))
    product = slab.local
    for half, others in ((left, right), (right, left)):
        shared = multi_mode_product(slab.local, [factors[m].T for m in others], others)
        for mode in half:
            rest = [m for m in half if m != mode]
            product = multi_mode_product(shared, [factors[m].T for m in rest], rest)
            if mode != slab.mode:
                product = world.sum_(product.contiguous())
            factors[mode] = update(mode, product)
    core = mode_product(product, factors[last].T, last).contiguous()
    return world.sum_(core) if last == slab.mode else core


def rows_of(local: Tensor, mode: int) -> Tensor:
    """The unfolding along `mode`, also of a share without rows: n x (the product of the others)."""
    return local.movedim(mode, 0).flatten(1)


def power(rows: Tensor, factor: Tensor, world: World, *, divided: bool) -> Tensor:
    """Orthonormal columns I_n x R_n after a few steps of subspace iteration on rows rows^T, from `factor` on.

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
    mine: Tensor = basis @ turned[first : first + len(upper)]
    return mine


def ordered(core: Tensor, factors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The same tensor core ×_1 factors[0] ... with each factor turned to the singular vectors of the core's unfolding.

    Of factors with orthonormal columns: the columns then stand in the order of their weight, which no longer depends
    on the way they were found, and the largest entry of each is positive.
    """
    turned, result = core.double(), []
    for mode, factor in enumerate(factors):
        rank = core.shape[mode]
        vectors = leading(turned, mode, core.numel() // rank, Wanted(rank, 0), World.alone(), whole=True)
        columns = factor.double() @ vectors
        signs = columns.gather(0, columns.abs().argmax(0, keepdim=True)).sign()
        turned = mode_product(turned, (vectors * signs).T, mode)
        result.append((columns * signs).to(factor.dtype))
    return turned.to(core.dtype), result


def _ladder(dtype: torch.dtype, *, tall: bool) -> list[tuple[Callable[..., tuple[Tensor, Tensor]], float]]:
    """The ways to a spectrum, each with its precision as a share of the sum of squares; the last one must do."""
    if tall:
        return [(_by_triangle, 0.0)]
    by_gram = (partial(_by_gram, dtype), torch.finfo(dtype).eps)
    return [by_gram, (_by_triangle if dtype == torch.float64 else partial(_by_gram, torch.float64), 0.0)]


def _by_gram(dtype: torch.dtype, local: Tensor, mode: int, world: World, whole: bool) -> tuple[Tensor, Tensor]:
    """Squared singular values, falling, and left singular vectors; products in this precision, sums in float64."""
    gram = _gram(local, mode, dtype)
    values, vectors = torch.linalg.eigh(gram if whole else world.sum_(gram))  # It reads the lower triangle alone.
    return values.flip(0).clamp_min(0), vectors.flip(1)


def _gram(local: Tensor, mode: int, dtype: torch.dtype) -> Tensor:
    """The unfolding times its transpose, of which only what lies on and under the diagonal counts: float64.

    Where the mode is the last one, on a CPU, our kernel takes half as long as the library.
    """
    rows = local.shape[mode]
    if mode == local.ndim - 1 and local.device.type == "cpu" and rows >= WIDTH:
        return gram_of_columns(local.reshape(-1, rows).to(dtype))
    gram = torch.zeros(rows, rows, dtype=torch.float64, device=local.device)
    ends = [rows * block // ROW_BLOCKS for block in range(ROW_BLOCKS + 1)]
    for part in _blocks(local, mode):
        matrix = part.matrix.to(dtype)
        for first, end in itertools.pairwise(ends):
            gram[first:end, :end] += matrix[first:end] @ matrix[:end].T
    return gram


def _by_triangle(local: Tensor, mode: int, world: World, whole: bool) -> tuple[Tensor, Tensor]:
    rows = local.shape[mode]
    upper = torch.zeros(0, rows, dtype=torch.float64, device=local.device)
    for part in _blocks(local, mode):
        upper = _triangle(torch.cat([upper, part.matrix.T.double()]))
    vectors, values, _ = torch.linalg.svd(_triangle(upper if whole else world.gather_rows(upper)).T)
    return torch.nn.functional.pad(values, (0, rows - len(values))).square(), vectors


def _triangle(stack: Tensor) -> Tensor:
    """R of a QR decomposition; what has no more rows than columns stays as it is."""
    upper: Tensor = torch.linalg.qr(stack, mode="r")[1] if len(stack) > stack.shape[1] else stack
    return upper


def _blocks(local: Tensor, mode: int) -> Iterator[Columns]:
    """The unfolding a few columns at a time, in views or small copies: it is never copied whole."""
    rows = local.shape[mode]
    view = local.reshape(math.prod(local.shape[:mode]), rows, math.prod(local.shape[mode + 1 :]))
    most = max(FEWEST_COLUMNS, MOST_NUMBERS[local.device.type] // max(1, rows))
    across = max(1, min(view.shape[2], most))
    down = max(1, most // across)
    for i in range(0, view.shape[0], down):
        for j in range(0, view.shape[2], across):
            left, right = slice(i, i + down), slice(j, j + across)
            yield Columns(left, right, view[left, :, right].transpose(0, 1).reshape(rows, -1))


def _agreed(tensor: Tensor, world: World) -> Tensor:
    """Rank 0's tensor: singular vectors are free in sign, and ranks on different hardware may choose differently."""
    return world.from_first_(tensor.contiguous())


def _cut(shape: Sequence[int], ranks: Sequence[int]) -> int:
    """Where to halve the modes so that the two partial products are smallest together."""

    def size(cut: int) -> int:
        wide = math.prod(shape[:cut]) * math.prod(ranks[cut:])
        return wide + math.prod(ranks[:cut]) * math.prod(shape[cut:])

    return min(range(1, len(shape)), key=size)
