"""Sparse tensors by the columns of an unfolding, for least squares over a sample of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.fibres import LARGEST, pieces
from polyadic.tensor.kernels import columns as column_kernels
from polyadic.tensor.kernels.columns import BITS, ODD
from polyadic.tensor.kernels.threads import even, in_parallel, threads
from polyadic.tensor.layout import Block

FEWEST = 1024
"""Samples that are worth a thread."""


@dataclass(frozen=True)
class Columns:
    """A block's nonzeros by the column of the unfolding along `mode` that they lie in.

    shape: rows of the other modes; keys (C): the columns that hold any nonzero, by a number that hashes theirs, in its
    order; start: the first column for each of the hashes' first bits; ends (C + 1): where the nonzeros of each begin;
    rows and values (M): rows counted from the block's first.
    """

    shape: tuple[int, ...]
    keys: Tensor
    start: Tensor
    shift: int
    ends: Tensor
    rows: Tensor
    values: Tensor

    @staticmethod
    def of(block: Block, mode: int) -> Columns:
        """The columns of one mode; UserError where there are more than 62 bits count."""
        others = [m for m in range(len(block.shape)) if m != mode]
        shape = tuple(block.shape[m] for m in others)
        if math.prod(shape) >= 2**BITS:
            raise UserError(
                f"the unfolding along mode {mode} of a tensor of shape {block.shape} has 2^{BITS} columns or more: "
                "they cannot be sampled. Use method als"
            )
        index = [block.tensor.indices[m].long() + block.layers[m].start for m in others]
        key, order = torch.sort(_hashed(index, shape))
        keys, counts = torch.unique_consecutive(key, return_counts=True)
        kind = torch.int32 if len(key) <= LARGEST else torch.int64
        ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(kind)
        bits = max(0, len(keys).bit_length() - 2)
        firsts = torch.arange(2**bits + 1, device=keys.device) << (BITS - bits)
        start = torch.searchsorted(keys, firsts).to(kind)
        return Columns(
            shape, keys, start, BITS - bits, ends, block.tensor.indices[mode][order], block.tensor.values[order]
        )

    def product(self, index: Tensor, scale: Tensor, sampled: Tensor, held: int) -> Tensor:
        """X_(n) restricted to sampled columns times scale · sampled: held x R.

        index: the rows of the other modes that make each column, N - 1 x S; scale: S; sampled: S x R.
        """
        if sampled.device.type == "cpu":
            return self._scattered(index, scale, sampled, held)
        key = _hashed(list(index), self.shape)
        place = torch.searchsorted(self.keys, key).clamp(max=max(0, len(self.keys) - 1))
        found = self.keys[place] == key if len(self.keys) else torch.zeros_like(key, dtype=torch.bool)
        place, terms = place[found], (scale[:, None] * sampled)[found]
        first = self.ends[place].long()
        counts = self.ends[place + 1] - first
        which = torch.repeat_interleave(torch.arange(len(place), device=key.device), counts)
        nonzero = torch.arange(len(which), device=key.device) - (counts.cumsum(0) - counts)[which] + first[which]
        terms = terms[which] * self.values[nonzero][:, None]
        return sampled.new_zeros(held, sampled.shape[1]).index_add_(0, self.rows[nonzero].long(), terms)

    def _scattered(self, index: Tensor, scale: Tensor, sampled: Tensor, held: int) -> Tensor:
        """The same on a CPU: a thread takes columns of the factor for itself, so that none writes what another does."""
        place = torch.empty(index.shape[1], dtype=torch.int64)
        shape = torch.tensor(self.shape)
        search = [part.numpy() for part in (index, shape, self.keys[:, None], self.start[:, None])]
        edges = even(len(place), FEWEST)
        in_parallel(column_kernels.places(), edges, *search, self.shift, place[:, None].numpy())
        out = sampled.new_zeros(held, sampled.shape[1])
        arrays = [part.numpy() for part in (place, scale, self.ends, self.rows, self.values, sampled, out)]
        parts = pieces(out.shape[1], out.dtype, max(8, out.shape[1] // threads()))

        def some(begin: int, end: int) -> None:
            for column, width in parts[begin:end]:
                column_kernels.scattered(width)(*arrays, column)

        in_parallel(some, list(range(len(parts) + 1)))
        return out


def khatri_rao_at(index: Tensor, stack: Tensor, start: Sequence[int], scale: Tensor) -> Tensor:
    """scale (S) · the products of the factors' rows at index (N - 1 x S), start[m] of the stack the first: S x R."""
    if stack.device.type != "cpu":
        rows = scale[:, None]
        for first, some in zip(start, index, strict=True):
            rows = rows * stack[first + some]
        return rows
    out = stack.new_empty(index.shape[1], stack.shape[1])
    arrays = [part.numpy() for part in (index, torch.tensor(start), stack, scale, out)]
    for column, width in pieces(stack.shape[1], stack.dtype):
        kernel = column_kernels.khatri_rao_rows(width, len(start))
        in_parallel(kernel, even(len(out), FEWEST), *arrays, column)
    return out


class Rows:
    """A distribution over the rows of a mode: probabilities (I, float64), and what drawing from them needs."""

    def __init__(self, probabilities: Tensor) -> None:
        self.probabilities = probabilities
        self._cumulative = probabilities.cpu().cumsum(0)  # A GPU adds up in no fixed order: ranks would draw others.
        cells = torch.arange(len(probabilities), dtype=torch.float64) / len(probabilities)
        self._guide = self._at(cells)

    def likelier(self, least: float) -> tuple[Tensor, Tensor]:
        """Rows more probable than `least`, and their probabilities, which fall."""
        index = (self.probabilities > least).nonzero().flatten()
        falling, order = torch.sort(self.probabilities[index], descending=True)
        return index[order], falling

    def draw(self, uniform: Tensor, chance: Tensor) -> Tensor:
        """The rows for numbers uniform on [0, 1) (S, on the CPU), int64; their probabilities multiply `chance` (S)."""
        if self.probabilities.device.type != "cpu":
            index: Tensor = self._at(uniform).to(self.probabilities.device)
            chance *= self.probabilities[index]
            return index
        index = torch.empty(len(uniform), dtype=torch.int64)
        arrays = (uniform, self._cumulative, self._guide, self.probabilities, index, chance)
        in_parallel(column_kernels.drawn(), even(len(index), FEWEST), *(part.numpy() for part in arrays))
        return index

    def _at(self, uniform: Tensor) -> Tensor:
        found: Tensor = torch.searchsorted(self._cumulative, uniform * self._cumulative[-1], right=True)
        return found.clamp_(max=len(self._cumulative) - 1)


def _hashed(index: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """One number under 2^62 for each tuple of indices, its first bits evenly spread: int64."""
    key = torch.zeros_like(index[0], dtype=torch.int64)
    for rows, one in zip(shape, index, strict=True):
        key = key * rows + one
    hashed: Tensor = (key * ODD) & (2**BITS - 1)
    return hashed
