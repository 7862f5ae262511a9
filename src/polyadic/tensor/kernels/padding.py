"""How many columns an array has that the kernels of a CPU read in whole registers."""

from __future__ import annotations

import math

import torch

LANES = {"float32": 8, "float64": 4}
"""Numbers of a register of 256 bits; rows are padded to a multiple of them."""


def lanes(dtype: torch.dtype) -> int:
    """How many numbers of a type, float32 or float64, one register holds."""
    return LANES[str(dtype).removeprefix("torch.")]


def padded(rank: int, dtype: torch.dtype) -> int:
    """The number of columns that `rank` columns take: those of one register, or a multiple of two registers.

    Two registers are one cache line, so that the rows of a padded array begin at cache lines.
    """
    register = lanes(dtype)
    return register if rank <= register else 2 * register * math.ceil(rank / (2 * register))
