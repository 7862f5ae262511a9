"""Operations on dense tensors: unfolding, Khatri-Rao products, MTTKRP; and a rank's slab of a dense tensor.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.tensor.skinny import squared_misses

WORK_NUMBERS = 2**22
"""Numbers of a reconstruction that are in memory at a time, about."""


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """The unfolding X_(mode): I_mode x (the product of the other modes' rows), the last mode's index fastest."""
    others = math.prod(rows for n, rows in enumerate(tensor.shape) if n != mode)
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], others)


def khatri_rao(factors: Sequence[Tensor]) -> Tensor:
    """The Khatri-Rao product of factors (I_n x R), column by column their Kronecker product: (I_1 ... I_N) x R.

    The last factor's index is fastest. Kolda and Bader, SIAM Review 2009, section 2.6.
    """
    product = factors[0]
    for factor in factors[1:]:
        product = (product[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return product


def khatri_rao_rows(factors: Sequence[Tensor], begin: int, end: int) -> Tensor:
    """Rows [begin, end) of the Khatri-Rao product of factors (I_n x R), without its other rows: (end - begin) x R."""
    index = torch.arange(begin, end, device=factors[0].device)
    rows = factors[0].new_ones(end - begin, factors[0].shape[1])
    for factor in reversed(factors):
        rows = rows * factor[index % len(factor)]
        index = index // len(factor)
    return rows


def mttkrp(tensor: Tensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product, X_(mode) (⊙_{m≠mode} A^(m)): I_mode x R.

    The Khatri-Rao product is formed. Kolda and Bader, SIAM Review 2009, section 3.4.
    """
    others = [factor for m, factor in enumerate(factors) if m != mode]
    return unfold(tensor, mode) @ khatri_rao(others)


def reconstruct(weights: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """The tensor sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N) of weights (R) and factors (I_n x R): I_1 x ... x I_N."""
    shape = [len(factor) for factor in factors]
    cut = min(range(1, len(shape)), key=lambda n: math.prod(shape[:n]) + math.prod(shape[n:]), default=1)
    rest = khatri_rao(factors[cut:]) if len(shape) > 1 else torch.ones_like(factors[0][:1])
    return ((khatri_rao(factors[:cut]) * weights) @ rest.T).reshape(shape)


@dataclass(frozen=True)
class Slab:
    """A rank's share of a dense tensor: `local` holds rows [start, start + n) of `mode`, and all rows of other modes.

    `shape` is the whole tensor's. A slab may be empty (n = 0).
    """

    local: Tensor
    shape: tuple[int, ...]
    mode: int
    start: int

    @staticmethod
    def whole(tensor: Tensor) -> Slab:
        """The slab that is a whole tensor (I_1 x ... x I_N), as one rank alone has it."""
        return Slab(tensor.contiguous(), tuple(tensor.shape), longest(tensor.shape), 0)

    @property
    def rows(self) -> slice:
        """This rank's rows of the divided mode."""
        return slice(self.start, self.start + self.local.shape[self.mode])


def longest(shape: Sequence[int]) -> int:
    """The mode with the most rows; the first of several."""
    return max(range(len(shape)), key=lambda n: shape[n])


def share(rows: int, part: int, parts: int) -> tuple[int, int]:
    """The rows of one of `parts` shares of `rows` rows, whose sizes differ by one at most: (begin, end)."""
    return rows * part // parts, rows * (part + 1) // parts


def residual(slab: Slab, weights: Tensor, factors: Sequence[Tensor], mask: Slab | None = None) -> Tensor:
    """|X - Y|² over this rank's slab of X, with Y = sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N): a number in float64.

    weights: R; factors: the slab's rows of each, x R; mask: ones and zeros in the shape of the slab, where only entries
    at ones count. Y is made a few rows at a time.
    """
    if not slab.local.numel():
        return factors[0].new_zeros((), dtype=torch.float64)
    matrix = slab.local.reshape(-1, slab.local.shape[-1])
    seen = None if mask is None else mask.local.reshape(matrix.shape)
    exact = [factor.double() for factor in factors]
    rows = max(1, WORK_NUMBERS // max(1, matrix.shape[1] + len(weights)))
    squares = exact[0].new_zeros(())
    for first in range(0, len(matrix), rows):
        part = slice(first, min(first + rows, len(matrix)))
        left = khatri_rao_rows(exact[:-1], part.start, part.stop) * weights
        if seen is None and matrix.device.type == "cpu":
            squares += squared_misses(matrix[part], left, exact[-1].T)
            continue
        misses = matrix[part].double() - left @ exact[-1].T
        squares += (misses if seen is None else misses * seen[part]).square().sum()
    return squares
