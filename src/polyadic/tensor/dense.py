"""Operations on dense tensors: unfolding, Khatri-Rao, and MTTKRP over a dimension tree.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from polyadic.distributed import World


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """The unfolding of a tensor along `mode`: I_mode x (the product of the others, in their order)."""
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], -1)


def khatri_rao(factors: Sequence[Tensor]) -> Tensor:
    """The column-wise Kronecker product of factors I_n x R: (I_1 ... I_N) x R, the last index fastest."""
    product = factors[0]
    for factor in factors[1:]:
        product = (product[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return product


def mttkrp(tensor: Tensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product X_(n) (⊙_{m≠n} A^(m)): I_mode x R."""
    others = [factor for m, factor in enumerate(factors) if m != mode]
    return unfold(tensor, mode) @ khatri_rao(others)


def reconstruct(weights: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """The tensor I_1 x ... x I_N that weights (R) and factors (I_n x R) stand for."""
    rest = khatri_rao(factors[1:])
    return ((factors[0] * weights) @ rest.T).reshape([len(factor) for factor in factors])


RECONSTRUCTED_AT_ONCE = 2**22


@dataclass(frozen=True)
class Slab:
    """A rank's share of a dense tensor: rows [start, start + n) of one mode, all of the others.

    `shape` is the whole tensor's. An empty slab (n = 0) is a share like any other.
    """

    local: Tensor
    shape: tuple[int, ...]
    mode: int
    start: int

    @staticmethod
    def whole(tensor: Tensor) -> Slab:
        """A tensor that lies in one place."""
        return Slab(tensor.contiguous(), tuple(tensor.shape), longest(tensor.shape), 0)

    @property
    def rows(self) -> slice:
        """This rank's rows of the divided mode."""
        return slice(self.start, self.start + self.local.shape[self.mode])


def longest(shape: Sequence[int]) -> int:
    """The mode with the most rows, the first of equals."""
    return max(range(len(shape)), key=lambda n: shape[n])


def share(rows: int, part: int, parts: int) -> tuple[int, int]:
    """First row and past-the-last row of one of `parts` shares, whose sizes differ by one at most."""
    return rows * part // parts, rows * (part + 1) // parts


def sweep(slab: Slab, factors: list[Tensor], world: World, update: Callable[[int, Tensor], Tensor]) -> None:
    """Visits every mode once with its MTTKRP, reading the data twice in all.

    The modes are cut in two halves. One product of the data with the Khatri-Rao product of the right half's
    factors serves every mode of the left half, and the other way round (a dimension tree of depth two:
    Phan, Tichavsky and Cichocki, IEEE TSP 2013, section III).

    `update(mode, mttkrp)` is given the MTTKRP of this rank's rows for the divided mode, and the sum over the
    ranks for the others; what it returns takes the place of `factors[mode]` at once.
    """
    cut = _cut(slab.shape)
    left, right = range(cut), range(cut, len(slab.shape))
    here = slab.local.shape
    matrix = slab.local.reshape(math.prod(here[:cut]), math.prod(here[cut:]))
    for half, others in ((left, right), (right, left)):
        columns = khatri_rao([factors[m] for m in others])
        # (K^T X)^T rather than X^T K: the data is then read along its rows.
        partial = matrix @ columns if half is left else (columns.T @ matrix).T
        partial = partial.reshape([here[n] for n in half] + [columns.shape[1]])
        for mode in half:
            product = _contract(partial, [factors[n] for n in half], mode - half.start)
            factors[mode] = update(mode, product if mode == slab.mode else world.sum_(product))


def residual(slab: Slab, weights: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """|X - Y|² over this rank's slab by reconstruction, in float64, a few rows at a time."""
    cut, here = _cut(slab.shape), slab.local.shape
    matrix = slab.local.reshape(math.prod(here[:cut]), math.prod(here[cut:]))
    left = khatri_rao([factor.double() for factor in factors[:cut]]) * weights
    right = khatri_rao([factor.double() for factor in factors[cut:]])
    rows = max(1, RECONSTRUCTED_AT_ONCE // max(1, len(right)))
    squares = left.new_zeros(())
    for first in range(0, len(matrix), rows):
        part = slice(first, first + rows)
        squares += (matrix[part].double() - left[part] @ right.T).square().sum()
    return squares


def _cut(shape: Sequence[int]) -> int:
    """Where to halve the modes so that the two Khatri-Rao products are smallest together."""
    return min(range(1, len(shape)), key=lambda c: math.prod(shape[:c]) + math.prod(shape[c:]))


def _contract(partial: Tensor, factors: Sequence[Tensor], keep: int) -> Tensor:
    """Sums partial (J_1 x ... x J_k x R), times their factors, over every mode but `keep`: J_keep x R."""
    for factor in reversed(factors[keep + 1 :]):
        partial = (partial * factor).sum(-2)
    for factor in factors[:keep]:
        partial = (partial * factor.reshape(len(factor), *[1] * (partial.ndim - 2), factor.shape[1])).sum(0)
    return partial
