"""Sparse tensors by the columns of an unfolding, for least squares over a sample of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor import cpu_kernels
from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.layout import Block
from polyadic.tensor.threads import in_parallel, threads


@dataclass(frozen=True)
class Columns:
    """A block's nonzeros by the column of the unfolding along `mode` that they lie in.

    keys (C): the columns that hold any, in order; ends (C + 1): where the nonzeros of each begin; rows and values (M):
    rows counted from the block's first.
    """

    mode: int
    keys: Tensor
    ends: Tensor
    rows: Tensor
    values: Tensor

    @staticmethod
    def of(block: Block, mode: int) -> Columns:
        """The columns of one mode; UserError where there are more than 64 bits count."""
        others = [m for m in range(len(block.shape)) if m != mode]
        if math.prod(block.shape[m] for m in others) >= 2**63:
            raise UserError(
                f"the unfolding along mode {mode} of a tensor of shape {block.shape} has 2^63 columns or more: "
                "they cannot be sampled. Use method als"
            )
        index = [block.tensor.indices[m].long() + block.layers[m].start for m in others]
        key, order = torch.sort(ravel(index, [block.shape[m] for m in others]))
        keys, counts = torch.unique_consecutive(key, return_counts=True)
        ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return Columns(mode, keys, ends, block.tensor.indices[mode][order], block.tensor.values[order])

    def product(self, sampled: Tensor, rows: Tensor, held: int) -> Tensor:
        """X_(n) restricted to sampled columns (S keys in order) times their weighted rows (S x R): held x R."""
        place = torch.searchsorted(self.keys, sampled).clamp(max=max(0, len(self.keys) - 1))
        found = self.keys[place] == sampled if len(self.keys) else torch.zeros_like(sampled, dtype=torch.bool)
        place, rows = place[found], rows[found]
        if rows.device.type == "cpu":
            return self._scatter(place, rows, held)
        counts = self.ends[place + 1] - self.ends[place]
        which = torch.repeat_interleave(torch.arange(len(place), device=rows.device), counts)
        nonzero = torch.arange(len(which), device=rows.device) - (counts.cumsum(0) - counts)[which]
        nonzero = nonzero + self.ends[place][which]
        terms = rows[which] * self.values[nonzero][:, None]
        return rows.new_zeros(held, rows.shape[1]).index_add_(0, self.rows[nonzero].long(), terms)

    def _scatter(self, place: Tensor, rows: Tensor, held: int) -> Tensor:
        """The same on a CPU: a thread takes columns of the factor for itself, so that none writes what another does."""
        rank = rows.shape[1]
        width = padded(rank, rows.dtype)
        weighted = torch.nn.functional.pad(rows, (0, width - rank)).contiguous()
        out = rows.new_zeros(held, width)
        narrow = max(8, width // 2 // threads())
        arrays = [part.numpy() for part in (place, self.ends, self.rows, self.values, weighted, out)]
        parts = pieces(width, rows.dtype, narrow)
        in_parallel(_PieceByPiece(parts), list(range(len(parts) + 1)), *arrays)
        return out[:, :rank]


class _PieceByPiece:
    """The scattering kernel over some pieces of the columns."""

    def __init__(self, parts: Sequence[tuple[int, int]]) -> None:
        self._parts = parts

    def __call__(self, *arguments: object) -> None:
        *arrays, begin, end = arguments
        assert isinstance(begin, int) and isinstance(end, int)
        for column, width in self._parts[begin:end]:
            cpu_kernels.scattered_columns(width)(*arrays, column)


def ravel(index: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """One number for each tuple of indices, the last of them fastest: int64."""
    key = torch.zeros_like(index[0], dtype=torch.int64)
    for rows, one in zip(shape, index, strict=True):
        key = key * rows + one
    return key


def unravel(key: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """The indices that `ravel` made a number of."""
    index = []
    for rows in reversed(shape):
        index.append(key % rows)
        key = key // rows
    return index[::-1]
