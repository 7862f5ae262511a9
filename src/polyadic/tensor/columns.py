"""Sparse tensors by the columns of an unfolding, for least squares over a sample of the columns.

Shapes: N modes, S sampled columns, C columns that hold nonzeros, M nonzeros, R columns of a factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor import kernels
from polyadic.tensor.kernels.hashing import HASH_BITS, HASH_FACTOR
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import even, in_parallel, threads
from polyadic.tensor.layout import Block
from polyadic.tensor.tree import LARGEST_INDEX

SAMPLES_PER_PART = 1024
"""Samples that are worth a thread's start."""


@dataclass(frozen=True)
class Columns:
    """A block's nonzeros, sorted by the column of the unfolding along one mode that they lie in.

    shape: rows of the other modes. keys (C): the hashed number of each column that holds nonzeros, rising.
    start (2^b + 1): the first of the keys for each value of their first b bits, which lie before `shift`.
    column_starts (C + 1): where the nonzeros of each column begin.
    rows and values (M): rows count from the block's first.
    """

    shape: tuple[int, ...]
    keys: Tensor
    start: Tensor
    shift: int
    column_starts: Tensor
    rows: Tensor
    values: Tensor

    @staticmethod
    def of(block: Block, mode: int) -> Columns:
        """The columns of the unfolding along `mode`.

        Raises UserError where the unfolding has 2^62 columns or more.
        """
        others = [m for m in range(len(block.shape)) if m != mode]
        shape = tuple(block.shape[m] for m in others)
        if math.prod(shape) >= 2**HASH_BITS:
            raise UserError(
                f"the unfolding along mode {mode} of a tensor of shape {block.shape} has 2^{HASH_BITS} columns or "
                "more: they cannot be sampled. Use method als"
            )
        index = [block.tensor.indices[m].long() + block.layers[m].start for m in others]
        key, order = torch.sort(_hashed(index, shape))
        keys, counts = torch.unique_consecutive(key, return_counts=True)
        dtype = torch.int32 if len(key) <= LARGEST_INDEX else torch.int64
        column_starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(dtype)
        bits = max(0, len(keys).bit_length() - 2)
        firsts = torch.arange(2**bits + 1, device=keys.device) << (HASH_BITS - bits)
        return Columns(
            shape=shape,
            keys=keys,
            start=torch.searchsorted(keys, firsts).to(dtype),
            shift=HASH_BITS - bits,
            column_starts=column_starts,
            rows=block.tensor.indices[mode][order],
            values=block.tensor.values[order],
        )

    def product(self, index: Tensor, scale: Tensor, sampled: Tensor, held: int) -> Tensor:
        """The sampled columns of X_(n) times diag(scale) · sampled: held x R.

        index (N - 1 x S, int64): the rows of the other modes that make each column; scale: S; sampled: S x R; held:
        the rows of mode n that this rank holds.
        """
        if sampled.device.type == "cpu":
            return self._product_on_cpu(index, scale, sampled, held)
        key = _hashed(list(index), self.shape)
        place = torch.searchsorted(self.keys, key).clamp(max=max(0, len(self.keys) - 1))
        filled = self.keys[place] == key if len(self.keys) else torch.zeros_like(key, dtype=torch.bool)
        place, terms = place[filled], (scale[:, None] * sampled)[filled]
        first = self.column_starts[place].long()
        counts = self.column_starts[place + 1] - first
        which = torch.repeat_interleave(torch.arange(len(place), device=key.device), counts)
        nonzero = torch.arange(len(which), device=key.device) - (counts.cumsum(0) - counts)[which] + first[which]
        terms = terms[which] * self.values[nonzero][:, None]
        return sampled.new_zeros(held, sampled.shape[1]).index_add_(0, self.rows[nonzero].long(), terms)

    def _product_on_cpu(self, index: Tensor, scale: Tensor, sampled: Tensor, held: int) -> Tensor:
        """The same by kernels: each thread takes columns of the result, so that none writes what another does."""
        place = torch.empty(index.shape[1], dtype=torch.int64)
        shape = torch.tensor(self.shape)
        search = [part.numpy() for part in (index, shape, self.keys[:, None], self.start[:, None])]
        edges = even(len(place), SAMPLES_PER_PART)
        in_parallel(kernels.columns.places(), edges, *search, self.shift, place[:, None].numpy())
        out = sampled.new_zeros(held, sampled.shape[1])
        arrays = [part.numpy() for part in (place, scale, self.column_starts, self.rows, self.values, sampled, out)]
        parts = pieces(out.shape[1], out.dtype, max(8, out.shape[1] // threads()))

        def scatter(begin: int, end: int) -> None:
            for column, width in parts[begin:end]:
                kernels.columns.scattered(width)(*arrays, column)

        in_parallel(scatter, list(range(len(parts) + 1)))
        return out


def khatri_rao_at(index: Tensor, stack: Tensor, start: Sequence[int], scale: Tensor) -> Tensor:
    """Sampled rows of the Khatri-Rao product, scaled: row s is scale[s] · ⊛_m A^(m)[index[m, s]]: S x R.

    index (N - 1 x S): rows of the factors, which begin at rows `start` (N - 1) of the stack; scale: S.
    """
    if stack.device.type != "cpu":
        rows = scale[:, None]
        for first, mode_index in zip(start, index, strict=True):
            rows = rows * stack[first + mode_index]
        return rows
    out = stack.new_empty(index.shape[1], stack.shape[1])
    arrays = [part.numpy() for part in (index, torch.tensor(start), stack, scale, out)]
    for column, width in pieces(stack.shape[1], stack.dtype):
        kernel = kernels.columns.khatri_rao_rows(width, len(start))
        in_parallel(kernel, even(len(out), SAMPLES_PER_PART), *arrays, column)
    return out


class Rows:
    """A distribution over the I rows of a mode: probabilities (I, float64), and what drawing from them needs."""

    def __init__(self, probabilities: Tensor) -> None:
        self.probabilities = probabilities
        # On the CPU, since a GPU adds up in no fixed order, and ranks would draw different rows.
        self._cumulative = probabilities.cpu().cumsum(0)
        cells = torch.arange(len(probabilities), dtype=torch.float64) / len(probabilities)
        self._guide = self._rows_of(cells)

    def likelier(self, least: float) -> tuple[Tensor, Tensor]:
        """The J rows that are more probable than `least` (J, int64), and their probabilities, falling (J, float64)."""
        index = (self.probabilities > least).nonzero().flatten()
        falling, order = torch.sort(self.probabilities[index], descending=True)
        return index[order], falling

    def draw(self, uniform: Tensor, chance: Tensor) -> Tensor:
        """The rows that numbers uniform on [0, 1) draw: S, int64. Their probabilities multiply `chance`, in place.

        uniform: S, on the CPU; chance: S.
        """
        if self.probabilities.device.type != "cpu":
            index: Tensor = self._rows_of(uniform).to(self.probabilities.device)
            chance *= self.probabilities[index]
            return index
        index = torch.empty(len(uniform), dtype=torch.int64)
        arrays = (uniform, self._cumulative, self._guide, self.probabilities, index, chance)
        in_parallel(kernels.columns.drawn(), even(len(index), SAMPLES_PER_PART), *(part.numpy() for part in arrays))
        return index

    def _rows_of(self, uniform: Tensor) -> Tensor:
        rows: Tensor = torch.searchsorted(self._cumulative, uniform * self._cumulative[-1], right=True)
        return rows.clamp_(max=len(self._cumulative) - 1)


def _hashed(index: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """One number under 2^62 for each tuple of indices (S), its first bits evenly spread: S, int64."""
    key = torch.zeros_like(index[0], dtype=torch.int64)
    for rows, mode_index in zip(shape, index, strict=True):
        key = key * rows + mode_index
    hashed: Tensor = (key * HASH_FACTOR) & (2**HASH_BITS - 1)
    return hashed
