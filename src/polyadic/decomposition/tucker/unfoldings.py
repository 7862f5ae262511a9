"""The unfolding of a tensor along a mode, read a few columns at a time, so that it is never copied whole.

Shapes: the unfolding along mode n of a tensor left x I_n x right is the matrix I_n x (left right).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

FEWEST_COLUMNS = 1024
"""A block has so many columns at least, so that its matrix products are long enough."""
BLOCK_NUMBERS = {"cpu": 2**22, "cuda": 2**26}
"""A block of more columns has so many numbers at most, so that the copy is small."""


class Block(NamedTuple):
    """Columns of an unfolding: their ranges in left and right, and their numbers, I_n x (how many columns)."""

    left: slice
    right: slice
    matrix: Tensor


def blocks(local: Tensor, mode: int) -> Iterator[Block]:
    """The unfolding along `mode` in blocks, which are views or small copies."""
    rows = local.shape[mode]
    view = local.reshape(math.prod(local.shape[:mode]), rows, math.prod(local.shape[mode + 1 :]))
    most = max(FEWEST_COLUMNS, BLOCK_NUMBERS[local.device.type] // max(1, rows))
    across = max(1, min(view.shape[2], most))
    down = max(1, most // across)
    for i in range(0, view.shape[0], down):
        for j in range(0, view.shape[2], across):
            left, right = slice(i, i + down), slice(j, j + across)
            yield Block(left, right, view[left, :, right].transpose(0, 1).reshape(rows, -1))


def rows_of(local: Tensor, mode: int) -> Tensor:
    """The whole unfolding along `mode`, also of a share without rows: I_n x (the product of the others)."""
    return local.movedim(mode, 0).flatten(1)
