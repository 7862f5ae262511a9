"""The entries of a rank against a model: the loss, the squared misses and the gradient, a few entries at a time.

Shapes: held rows of the factors, I_n x R; a block is some rows of the tensor seen as a matrix of B x P.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.model import products_of_others
from polyadic.tensor import tree_products
from polyadic.tensor.dense import khatri_rao
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare
from polyadic.tensor.stack import Stack

BLOCK_ENTRIES = {"cpu": 2**17, "cuda": 2**24}
"""Entries of a block: for each thread of a CPU, whose cache holds them a few times over, or for a whole GPU."""
ENOUGH_COLUMNS = 64
"""With so many columns, the matrix products of a block outweigh what is done once for each row."""

Read: TypeAlias = Callable[[int, int], tuple[Tensor, Tensor | None]]
"""(begin, end) -> the entries of that range, the last index fastest, and ones where they were observed (None: all)."""


class Sums(NamedTuple):
    """Sums over a rank's entries: the loss, (x - mean)², and the gradient for the rows of each factor, I_n x R."""

    loss: Tensor
    square: Tensor
    gradient: list[Tensor]


class Blocks:
    """All entries of a tensor of `shape`, zeros among them, one block after the other: no more stands in memory."""

    def __init__(self, loss: Loss, shape: Sequence[int], read: Read) -> None:
        self.loss, self.shape, self.read = loss, tuple(shape), read

    def __call__(self, factors: Sequence[Tensor]) -> Sums:
        """M = L R^T for the Khatri-Rao products L of the first modes and R of the last; Y = f'(X, M); Y R and Y^T L."""
        like, rank = factors[0], factors[0].shape[1]
        threads = torch.get_num_threads() if like.device.type == "cpu" else 1
        block_entries = BLOCK_ENTRIES[like.device.type] * threads
        cut = _cut(self.shape, rank, block_entries)
        columns, height = khatri_rao(factors[cut:]), math.prod(self.shape[:cut])
        gradient, back = [torch.zeros_like(factor) for factor in factors], torch.zeros_like(columns)
        loss, square = like.new_zeros(2, dtype=torch.float64)
        step = max(1, block_entries // max(1, rank, len(columns)))
        for begin in range(0, height if len(columns) else 0, step):
            end = min(begin + step, height)
            index, rows = _rows(factors[:cut], begin, end)
            left = reduce(torch.mul, rows)
            parts, slope = self._block(begin * len(columns), left @ columns.T)
            loss, square = loss + parts[0], square + parts[1]
            back.addmm_(slope.T, left)
            _add(gradient[:cut], index, rows, slope @ columns)
        _add(gradient[cut:], *_rows(factors[cut:], 0, len(columns)), back)
        return Sums(loss, square, gradient)

    def _block(self, begin: int, model: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """The sums over a block of the loss and of (x - mean)², and its derivatives."""
        x, seen = self.read(begin, begin + model.numel())
        x = x.view(model.shape).to(model.dtype)
        parts = [self.loss.value(x, model), (x - self.loss.mean(model)).square(), self.loss.derivative(x, model)]
        if seen is not None:
            parts = [part * seen.view(model.shape) for part in parts]
        return [part.sum(dtype=torch.float64) for part in parts[:2]], parts[2]


class Nonzeros:
    """The nonzeros of a share; where all other entries are zeros, what they cost more than zeros in their places."""

    def __init__(self, loss: Loss, share: SparseShare) -> None:
        self.loss, self.share = loss, share
        self._stack = Stack(share.block.tensor.shape)

    def __call__(self, factors: Sequence[Tensor]) -> Sums:
        """The model at the nonzeros, and an MTTKRP of the derivatives there, for one mode after another."""
        stack, gradient = self._stack.of(factors), []
        for mode in range(len(factors)):
            tree = self.share.trees[mode]
            x, m = tree.values.to(stack.dtype), tree_products.entries(tree, stack)
            gradient.append(tree_products.mttkrp(tree.with_values(self._slope(x, m)), stack, factors[0].shape[1]))
        loss, square = [part.sum(dtype=torch.float64) for part in self._costs(x, m)]
        return Sums(loss, square, gradient)

    def _slope(self, x: Tensor, m: Tensor) -> Tensor:
        slope = self.loss.derivative(x, m)
        return slope if self.share.observed else slope - self.loss.derivative(torch.zeros_like(x), m)

    def _costs(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.loss.mean(m)
        if self.share.observed:
            return self.loss.value(x, m), (x - mean).square()
        return self.loss.value(x, m) - self.loss.value(torch.zeros_like(x), m), x * (x - 2 * mean)


def of_zeros(loss: Loss, factors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The sum of f(0, m) over all entries of a model, and its gradient (I_n x R), in closed form.

    factors: whole, I_n x R. For squares from the Gram matrices, whose product sums to |Y|²; for the model itself from
    the sums of the columns.
    """
    if loss.zeros == "square":
        grams = [factor.T @ factor for factor in factors]
        slopes = [2 * factor @ rest for factor, rest in zip(factors, products_of_others(grams), strict=True)]
        return reduce(torch.mul, grams).sum(), slopes
    totals = [factor.sum(0) for factor in factors]
    slopes = [rest.expand(len(factor), -1) for factor, rest in zip(factors, products_of_others(totals), strict=True)]
    return reduce(torch.mul, totals).sum(), slopes


def square_of(factors: Sequence[Tensor]) -> Tensor:
    """|Y|² of whole factors I_n x R: a scalar."""
    return reduce(torch.mul, [factor.T @ factor for factor in factors]).sum()


def of_dense(share: DenseShare, mask: DenseShare | None) -> Read:
    """The reader of a slab."""
    flat, seen = share.slab.local.reshape(-1), None if mask is None else mask.slab.local.reshape(-1)
    return lambda begin, end: (flat[begin:end], None if seen is None else seen[begin:end])


def of_sparse(share: SparseShare) -> Read:
    """The reader of a block of a sparse tensor, absent entries as zeros."""
    block = share.block.tensor
    place = torch.zeros_like(block.indices[0], dtype=torch.int64)
    for row, rows in zip(block.indices, block.shape, strict=True):
        place = place * rows + row
    place, order = torch.sort(place)
    values = block.values[order]

    def read(begin: int, end: int) -> tuple[Tensor, None]:
        first, last = torch.searchsorted(place, torch.tensor([begin, end], device=place.device)).tolist()
        entries = values.new_zeros(end - begin)
        entries[place[first:last] - begin] = values[first:last]
        return entries, None

    return read


def _cut(shape: Sequence[int], rank: int, block_entries: int) -> int:
    """The first of the modes that make a block's columns: the last mode, and more where that is short."""
    cut = len(shape) - 1
    while cut > 1 and math.prod(shape[cut:]) < ENOUGH_COLUMNS and math.prod(shape[cut - 1 :]) * rank <= block_entries:
        cut -= 1
    return cut


def _rows(factors: Sequence[Tensor], begin: int, end: int) -> tuple[Sequence[Tensor], list[Tensor]]:
    """For rows [begin, end) of the factors' Khatri-Rao product: the indices and the rows of each factor."""
    places = torch.arange(begin, end, device=factors[0].device)
    index = torch.unravel_index(places, [len(factor) for factor in factors])
    return index, [factor.index_select(0, rows) for factor, rows in zip(factors, index, strict=True)]


def _add(gradient: Sequence[Tensor], index: Sequence[Tensor], rows: Sequence[Tensor], products: Tensor) -> None:
    """Adds to each factor's gradient the products, times the rows of the factors beside it."""
    for own, own_rows, others in zip(gradient, index, products_of_others(rows), strict=True):
        own.index_add_(0, own_rows, products * others)
