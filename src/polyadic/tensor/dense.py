"""Operations on dense tensors: unfolding, Khatri-Rao, MTTKRP, and a rank's slab of one.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """The unfolding of a tensor along `mode`: I_mode x (the product of the others, in their order)."""
    others = math.prod(rows for n, rows in enumerate(tensor.shape) if n != mode)
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], others)


def khatri_rao(factors: Sequence[Tensor]) -> Tensor:
    """The column-wise Kronecker product of factors I_n x R: (I_1 ... I_N) x R, the last index fastest."""
    product = factors[0]
    for factor in factors[1:]:
        product = (product[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return product


def khatri_rao_rows(factors: Sequence[Tensor], begin: int, end: int) -> Tensor:
    """Rows [begin, end) of the Khatri-Rao product of factors I_n x R, without the others: (end - begin) x R."""
    index = torch.arange(begin, end, device=factors[0].device)
    rows = factors[0].new_ones(end - begin, factors[0].shape[1])
    for factor in reversed(factors):
        rows = rows * factor[index % len(factor)]
        index = index // len(factor)
    return rows


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


def residual(slab: Slab, weights: Tensor, factors: Sequence[Tensor], mask: Slab | None = None) -> Tensor:
    """|X - Y|² over this rank's slab by reconstruction, in float64, a few rows at a time; over a mask's ones alone."""
    matrix = slab.local.reshape(-1, slab.local.shape[-1])
    seen = None if mask is None else mask.local.reshape(matrix.shape)
    exact = [factor.double() for factor in factors]
    rows = max(1, RECONSTRUCTED_AT_ONCE // max(1, matrix.shape[1] + len(weights)))
    squares = exact[0].new_zeros(())
    for first in range(0, len(matrix), rows):
        part = slice(first, min(first + rows, len(matrix)))
        left = khatri_rao_rows(exact[:-1], part.start, part.stop) * weights
        rest = matrix[part].double() - left @ exact[-1].T
        squares += (rest if seen is None else rest * seen[part]).square().sum()
    return squares
