"""A factor's rows times a small matrix, and their Gram matrix, in one pass over the rows where a kernel can."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from polyadic.tensor import kernels
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import in_parallel

ROWS_PER_PART = 8192
"""Rows that a thread takes at a time: they stay in its cache from one kernel to the next."""
FEW_ROWS = 2048
"""Rows under which torch's products, which take less time to begin, are as fast."""
Sums: TypeAlias = tuple[Tensor, Tensor]
"""The Gram matrix of rows (R x R), and the inner products of their columns with those of the MTTKRP (R); float64."""


def times(product: Tensor, inverse: Tensor) -> tuple[Tensor, Sums]:
    """The rows product · inverse, J x R, and their sums; product is J x R, inverse R x R, both of one real type."""
    width, rank = padded(product.shape[1], product.dtype), product.shape[1]
    if product.device.type != "cpu" or len(product) < FEW_ROWS or len(pieces(width, product.dtype)) > 1:
        rows = product @ inverse
        return rows, ((rows.T @ rows).double(), (product * rows).sum(0).double())
    whole = _with_padding(product)
    if whole.shape[1] != width:
        whole = torch.nn.functional.pad(product, (0, width - rank))
    out, edges = torch.empty_like(whole), in_parts([0, len(product)])
    multiply = Multiply(inverse, edges)
    in_parallel(partial(multiply, whole.numpy(), out.numpy()), edges)
    return out[:, :rank], multiply.sums()


class Multiply:
    """Multiplies rows by a matrix (R x R), in the parts that `edges` make, and sums over all rows of the result."""

    def __init__(self, inverse: Tensor, edges: Sequence[int]) -> None:
        rank, width = len(inverse), padded(len(inverse), inverse.dtype)
        cache_line = padded(padded(1, inverse.dtype) + 1, inverse.dtype)
        self._matrix = torch.nn.functional.pad(inverse, (0, width - rank)).contiguous().numpy()
        self._kernel = kernels.cpu.rows_and_gram(width, rank, min(width, cache_line))
        self._part = {begin: number for number, begin in enumerate(edges)}
        self._room = np.empty((len(edges), rank + 9, width), self._matrix.dtype)
        self._sums = np.zeros((len(edges), rank + 1, rank))

    def __call__(self, product: Any, out: Any, begin: int, end: int) -> None:
        """Writes rows [begin, end) of `product` times the matrix to those of `out`, which may be `product`.

        product and out: numpy arrays, J x R padded to whole registers; begin: one of the edges.
        """
        part = self._part[begin]
        self._kernel(product, self._matrix, out, self._room[part], self._sums[part], begin, end)

    def sums(self) -> Sums:
        """The sums over all rows, added up in the order of the rows, whichever thread had them."""
        total = torch.from_numpy(self._sums.sum(0))
        return total[:-1], total[-1]


def in_parts(edges: Sequence[int]) -> list[int]:
    """The edges of rows with further edges between them, so that no part has more than ROWS_PER_PART rows."""
    inner = range(edges[0] + ROWS_PER_PART, edges[-1], ROWS_PER_PART)
    return sorted({*edges, *inner})


def scale_(rows: Tensor, scale: Tensor) -> Tensor:
    """Multiplies rows (J x R) by one number per column (R), in place, and also the columns that pad them."""
    width, rank = padded(rows.shape[1], rows.dtype), rows.shape[1]
    whole = _with_padding(rows)
    if rows.device.type != "cpu" or whole.shape[1] != width or len(pieces(width, rows.dtype)) > 1:
        return rows.mul_(scale)
    line = torch.nn.functional.pad(scale.to(rows.dtype), (0, width - rank)).reshape(1, width)
    in_parallel(kernels.cpu.scaled_rows(width), in_parts([0, len(rows)]), whole.numpy(), line.numpy())
    return rows


def _with_padding(rows: Tensor) -> Tensor:
    """The rows as one contiguous array: with the columns that pad them, where they are a view of a padded array."""
    if rows.is_contiguous():
        return rows
    if rows.stride(1) == 1 and rows.storage_offset() == 0 and len(rows):
        wide = rows.stride(0)
        if rows.untyped_storage().nbytes() >= len(rows) * wide * rows.element_size():
            return rows.as_strided((len(rows), wide), (wide, 1))
    return rows.contiguous()
