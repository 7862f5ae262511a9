"""What floating-point numbers can hold and tell: sums of squares, units, and the round-off of differences."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from polyadic.tensor.dense import Slab

TRUSTED_ROUND_OFFS = 100
"""A difference of squares is trusted when it is as large as so many round-offs of the squares."""
SAFE_NORM = 1e12
"""The squares of norms between 1 / SAFE_NORM and SAFE_NORM neither overflow nor vanish in float32."""
BLOCK_ENTRIES = 64
"""The squares of so many entries in a row are summed in the precision of the data: that rounds off less than 1e-8."""
PIECE_ENTRIES = 2**14
"""So many entries at a time are copied in float64, where the squares leave the range of the data's precision."""


def sum_of_squares(tensor: Tensor) -> Tensor:
    """The sum of the squares of all entries of a tensor of any shape: a scalar in float64."""
    flat = tensor.reshape(-1)
    even = len(flat) // BLOCK_ENTRIES * BLOCK_ENTRIES
    lengths: Tensor = torch.linalg.vector_norm(flat[:even].view(-1, BLOCK_ENTRIES), dim=1).double()
    total: Tensor = lengths.square().sum() + flat[even:].double().square().sum()
    if 1 / SAFE_NORM**2 < total < SAFE_NORM**2:
        return total
    parts = [part.double().square().sum() for part in torch.split(flat, PIECE_ENTRIES)]
    return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64, device=tensor.device)


def in_safe_unit(slab: Slab, norm: float, safe_norm: float) -> tuple[Slab, float, float]:
    """A slab and its norm in a unit u² of the data, and u: 1 where the norm is within 1 / safe_norm and safe_norm.

    u is a power of 2, so that the division costs no digit; dividing by u twice, no intermediate result overflows.
    """
    if 1 / safe_norm < norm < safe_norm:
        return slab, norm, 1.0
    unit = 2.0 ** round(math.log2(norm) / 2)
    return replace(slab, local=(slab.local / unit).div_(unit)), norm / unit / unit, unit
