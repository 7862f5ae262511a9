"""A penalty on how a weight differs between neighbouring rows, as a ridge on a weight of samples that are mapped.

Shapes: B samples, I_1 .. I_N the modes of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from polyadic.regression.coarse import LONG
from polyadic.regression.weights import Weight

PIECE_NUMBERS = 2**20
"""Of the samples that are mapped at a time."""
EDGE = 0.03
"""Of the largest difference of neighbouring rows: what is well below it is none."""


def smoothing(shape: Sequence[int], strength: float, weight: Weight | None = None) -> dict[int, Tensor]:
    """Of each long mode n the map S_n = (1 + s D'QD)^(-1/2), I_n x I_n, D the differences of neighbouring rows.

    <W, X> = <V, X ×_1 S_1' ...> for W = V ×_1 S_1 ..., and |V|² is |W ×_1 (1 + s D'QD)^(1/2) ...|²: what rows have in
    common costs as much as in a ridge, what differs between neighbours more. Modes of fewer than 16 rows stay.
    Q is the identity or, by a weight, diagonal: q_i = 1 / ((d_i / max d)² + 0.03²), d_i the norm of its difference i,
    so that what is flat becomes flatter and an edge costs what it did. Eilers and Marx, Flexible smoothing with
    B-splines and penalties, Statistical Science 1996; Chartrand and Yin, Iteratively reweighted algorithms for
    compressive sensing, ICASSP 2008, for p = 0; both for tensors.
    """
    maps = {}
    for mode, rows in enumerate(shape):
        if strength > 0 and rows >= LONG:
            differences = torch.diff(torch.eye(rows, dtype=torch.float64), dim=0)
            each = torch.ones(rows - 1, dtype=torch.float64) if weight is None else _flat(weight, mode)
            values, vectors = torch.linalg.eigh(differences.T @ (each[:, None] * differences))
            maps[mode] = vectors @ torch.diag((1 + strength * values.clamp(min=0)) ** -0.5) @ vectors.T
    return maps


def _flat(weight: Weight, mode: int) -> Tensor:
    """q_i of the differences of a mode: the norm of W contracted with each, in float64 on the CPU."""
    parts = {name: part.double().cpu() for name, part in weight.tensors().items()}
    squares = []
    for row in range(weight.shape[mode] - 1):
        difference = torch.zeros(1, weight.shape[mode], dtype=torch.float64)
        difference[0, row], difference[0, row + 1] = -1, 1
        one = type(weight).of_tensors(dict(parts))
        one.map_mode_(mode, difference)
        squares.append(max(0.0, one.norm_squared()))
    most = max(squares)
    return 1 / (torch.tensor(squares, dtype=torch.float64) / most + EDGE**2) if most > 0 else torch.ones(len(squares))


def smoothed(samples: Tensor, maps: Mapping[int, Tensor]) -> Tensor:
    """X ×_1 S_1' ..., a copy."""
    out = torch.empty_like(samples)
    step = max(1, PIECE_NUMBERS // max(1, samples[:1].numel()))
    for first in range(0, len(samples), step):
        piece = samples[first : first + step]
        for mode, own in maps.items():
            piece = torch.tensordot(piece, own.to(piece), dims=([mode + 1], [0])).movedim(-1, mode + 1)
        out[first : first + step] = piece
    return out


def unmapped(weight: Weight, maps: Mapping[int, Tensor]) -> None:
    """W of V, in place."""
    for mode, own in maps.items():
        weight.map_mode_(mode, own)


def mapped(weight: Weight, maps: Mapping[int, Tensor]) -> None:
    """V of W, in place."""
    for mode, own in maps.items():
        weight.map_mode_(mode, torch.linalg.inv(own))
