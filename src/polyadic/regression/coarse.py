"""Samples of less resolution, and a weight for them seen as one for the samples themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.regression.weights import Weight

LONG = 16
"""Rows from which a mode is made coarser."""
PIECE_NUMBERS = 2**20
"""Of the samples that are halved at a time."""


def coarse(samples: Tensor, times: int = 1) -> Tensor | None:
    """Samples with the means of neighbouring rows of each long mode, an odd last row alone; None if none is long.

    times: so often, where modes are as long.
    """
    if max(samples.shape[1:]) < LONG:
        return None
    step = max(1, PIECE_NUMBERS // max(1, samples[:1].numel()))
    out: Tensor | None = None
    for first in range(0, max(1, len(samples)), step):
        piece = samples[first : first + step]
        for _ in range(times):
            piece = _halved(piece)
        if out is None:
            out = samples.new_empty(len(samples), *piece.shape[1:])
        out[first : first + step] = piece
    return out


def _halved(samples: Tensor) -> Tensor:
    for axis in range(1, samples.ndim):
        if samples.shape[axis] >= LONG:
            even = samples.shape[axis] // 2 * 2
            whole = (slice(None),) * axis
            pairs = (samples[(*whole, slice(0, even, 2))] + samples[(*whole, slice(1, even, 2))]).mul_(0.5)
            rest = samples.narrow(axis, even, samples.shape[axis] - even)
            samples = torch.cat([pairs, rest], axis) if rest.shape[axis] else pairs
    return samples


def coarse_shape(shape: Sequence[int], times: int = 1) -> list[int]:
    """The shape of coarse samples of this shape."""
    for _ in range(times):
        shape = [(rows + 1) // 2 if rows >= LONG else rows for rows in shape]
    return list(shape)


def refined(weight: Weight, shape: Sequence[int], times: int = 1) -> Weight:
    """The weight for samples of this shape that gives the scores which `weight` gives for their coarse ones."""
    if times > 1:
        refined(weight, coarse_shape(shape), times - 1)
    for mode, (rows, fewer) in enumerate(zip(shape, weight.shape, strict=True)):
        if rows != fewer:
            index = torch.arange(rows) // 2
            means = torch.zeros(rows, fewer)
            means[torch.arange(rows), index] = torch.where(index == rows // 2, 1.0, 0.5)
            weight.map_mode_(mode, means)
    return weight
