"""Products of a tensor train's neighbouring cores: at some indices, at all of them, and against a dense slab.

Shapes: core n is r_{n-1} x I_n x r_n; modes count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.tensor.dense import Slab

TILE_NUMBERS = 2**18
"""Numbers of a tile that stays in the cache."""
TILE_ROWS = 512
"""The most rows of a tile."""


def left_rows(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    """The product of the first cores' matrices at B indices: B x r.

    cores: k of them, the first with r_0 = 1; index: B x N, N >= k, of which the first k columns count.
    """
    rows = _ones(cores, index)
    for n, core in enumerate(cores):
        rows = torch.bmm(rows[:, None, :], _matrices(core, index[:, n]))[:, 0]
    return rows


def right_rows(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    """The product of the last cores' matrices at B indices: B x r.

    cores: k of them, the last with r_N = 1; index: B x N, N >= k, of which the last k columns count.
    """
    rows = _ones(cores, index)
    for n, core in enumerate(reversed(cores), 1):
        rows = torch.bmm(_matrices(core, index[:, -n]), rows[:, :, None])[:, :, 0]
    return rows


def left_interface(cores: Sequence[Tensor]) -> Tensor:
    """The product of the first cores at all of their indices, the last index fastest: (I_1 ... I_k) x r_k."""
    matrix = cores[0].new_ones(1, 1)
    for core in cores:
        matrix = (matrix @ core.reshape(len(core), -1)).reshape(-1, core.shape[2])
    return matrix


def right_interface(cores: Sequence[Tensor]) -> Tensor:
    """The product of the last cores at all of their indices, the last index fastest: r_k x (I_{k+1} ... I_N)."""
    matrix = cores[0].new_ones(1, 1)
    for core in reversed(cores):
        matrix = (core.reshape(-1, core.shape[2]) @ matrix).reshape(len(core), -1)
    return matrix


def whole(cores: Sequence[Tensor]) -> Tensor:
    """The tensor I_1 x ... x I_N of cores whose outer ranks are 1."""
    if len(cores) == 1:
        return cores[0].reshape(-1)
    cut = _cut(cores)
    matrix = left_interface(cores[:cut]) @ right_interface(cores[cut:])
    return matrix.reshape([core.shape[1] for core in cores])


def residual(slab: Slab, cores: Sequence[Tensor]) -> Tensor:
    """|X - Y|² over this rank's slab of X, where Y is the tensor of the cores: a number in float64.

    Y is made one tile at a time, which stays in the cache.
    """
    exact = [core.double() for core in cores]
    exact[slab.mode] = exact[slab.mode][:, slab.rows]
    cut = _cut(exact)
    left, right = left_interface(exact[:cut]), right_interface(exact[cut:])
    matrix = slab.local.reshape(len(left), right.shape[1])
    rows = min(TILE_ROWS, max(1, len(left)))
    columns = TILE_NUMBERS // rows
    squares = left.new_zeros(())
    for band, left_part in zip(torch.split(matrix, rows), torch.split(left, rows), strict=True):
        tiles, right_parts = torch.split(band, columns, 1), torch.split(right, columns, 1)
        for tile, right_part in zip(tiles, right_parts, strict=True):
            squares += torch.addmm(tile.double(), left_part, right_part, alpha=-1).square_().sum()
    return squares


def _matrices(core: Tensor, rows: Tensor) -> Tensor:
    """A core's matrices G[i] at B rows: B x r_{n-1} x r_n."""
    # The contiguous copy makes the gather read memory in order, which is much faster.
    return core.transpose(0, 1).contiguous().index_select(0, rows)


def _ones(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    dtype = cores[0].dtype if cores else torch.get_default_dtype()
    return torch.ones(len(index), 1, dtype=dtype, device=index.device)


def _cut(cores: Sequence[Tensor]) -> int:
    """Where to halve the cores so that the two interfaces are smallest together."""
    rows = [core.shape[1] for core in cores]
    return min(range(1, len(cores)), key=lambda c: (math.prod(rows[:c]) + math.prod(rows[c:])) * len(cores[c]))
