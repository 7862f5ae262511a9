"""Means and deviations of numbers over the samples of all ranks, a few samples at a time.

Shapes: B samples, I_1 .. I_N the modes of a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from polyadic.distributed import World

PIECE_NUMBERS = 2**20
LEAST_DEVIATION = 1e-6
"""Of the size of the numbers: less is rounding, and numbers that differ by no more do not vary."""


def moments(
    take: Callable[[slice], Tensor], count: int, shape: tuple[int, ...], world: World, alike: int = 0
) -> tuple[Tensor, list[Tensor]]:
    """The mean of each entry (I_1 x ... x I_N), and for each mode the scales of its rows (I_n): a collective.

    take: the numbers of a range of this rank's samples, n x I_1 x ... x I_N for any n. A vector's scales are the
    deviations of its entries. The scale of an entry of a tensor is the product of those of its rows, so that a weight
    of low rank keeps its rank: the deviation of a row over that of all entries, times the latter in mode 0. What does
    not vary has scale 1. alike: of how many first modes the rows have one scale, as the places of a picture have: a
    margin that hardly varies is no more than that.
    """
    step = max(1, PIECE_NUMBERS // max(1, take(slice(0, 1)).numel()))
    pieces = [slice(first, min(first + step, count)) for first in range(0, count, step)]
    sums = torch.zeros(math.prod(shape) + 2, dtype=torch.float64)
    for piece in pieces:
        x = take(piece).double().flatten(1)
        sums[:-2] += x.sum(0)
        sums[-2] += x.square().sum()
        sums[-1] += len(x)
    sums = world.sum_(sums.to(world.device)).cpu()
    total = max(float(sums[-1]), 1.0)
    mean = (sums[:-2] / total).reshape(shape)
    size = math.sqrt(float(sums[-2]) / total / max(mean.numel(), 1))
    squares = torch.zeros(mean.numel(), dtype=torch.float64)
    for piece in pieces:
        squares += (take(piece).double().flatten(1) - mean.flatten()).square().sum(0)
    variance = (world.sum_(squares.to(world.device)).cpu() / total).reshape(shape)
    if len(shape) == 1:
        sizes = torch.maximum(mean.abs(), torch.full_like(mean, 1e-300))
        deviation = variance.sqrt()
        return mean.float(), [torch.where(deviation > LEAST_DEVIATION * sizes, deviation, 1.0)]
    overall = math.sqrt(float(variance.mean()))
    if not overall > LEAST_DEVIATION * size:
        return mean.float(), [torch.ones(rows, dtype=torch.float64) for rows in shape]
    scales = []
    for mode in range(len(shape)):
        rows = variance.movedim(mode, 0).flatten(1).mean(1).sqrt() / overall
        scales.append(torch.where((rows > LEAST_DEVIATION) & (mode >= alike), rows, 1.0))
    scales[0] = scales[0] * overall
    return mean.float(), scales
