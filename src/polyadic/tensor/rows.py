"""A factor's rows times a small matrix, and their Gram matrix, with one pass over them where a kernel can."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.kernels import cpu as cpu_kernels
from polyadic.tensor.kernels.threads import in_parallel

ROWS_A_PART = 8192
"""Rows that a thread takes at a time: they stay in its cache from one kernel to the next."""
FEW = 2048
"""Rows under which the library's products, which take less to begin, are as fast."""
Sums = tuple[Tensor, Tensor]
"""The Gram matrix of rows (R x R), and the inner products of their columns with those of the MTTKRP (R); float64."""


def times(product: Tensor, inverse: Tensor) -> tuple[Tensor, Sums]:
    """product (J x R) times a matrix (R x R): J x R, and its sums."""
    width, rank = padded(product.shape[1], product.dtype), product.shape[1]
    if product.device.type != "cpu" or len(product) < FEW or len(pieces(width, product.dtype)) > 1:
        rows = product @ inverse
        return rows, ((rows.T @ rows).double(), (product * rows).sum(0).double())
    whole = _rows_of(product)
    if whole.shape[1] != width:
        whole = torch.nn.functional.pad(product, (0, width - rank))
    out, edges = torch.empty_like(whole), in_parts([0, len(product)])
    multiply = Multiply(inverse, edges)
    in_parallel(partial(multiply, whole.numpy(), out.numpy()), edges)
    return out[:, :rank], multiply.sums()


class Multiply:
    """Rows of a factor times a matrix (R x R), in the parts that `edges` make, and the sums over all rows so made."""

    def __init__(self, inverse: Tensor, edges: Sequence[int]) -> None:
        rank, width = len(inverse), padded(len(inverse), inverse.dtype)
        self._matrix = torch.nn.functional.pad(inverse, (0, width - rank)).contiguous().numpy()
        self._kernel = cpu_kernels.rows_and_gram(
            width, rank, min(width, padded(padded(1, inverse.dtype) + 1, inverse.dtype))
        )
        self._part = {begin: number for number, begin in enumerate(edges)}
        self._room = np.empty((len(edges), rank + 9, width), self._matrix.dtype)
        self._sums = np.zeros((len(edges), rank + 1, rank))

    def __call__(self, product: Any, out: Any, begin: int, end: int) -> None:
        """Rows [begin, end) of `product`, padded to whole registers, into those of `out`, which may be `product`."""
        part = self._part[begin]
        self._kernel(product, self._matrix, out, self._room[part], self._sums[part], begin, end)

    def sums(self) -> Sums:
        """Added up in the order of the rows, whichever thread had them."""
        total = torch.from_numpy(self._sums.sum(0))
        return total[:-1], total[-1]


def in_parts(edges: Sequence[int]) -> list[int]:
    """Edges of rows with more between them, so that no part has more than ROWS_A_PART rows."""
    inner = range(edges[0] + ROWS_A_PART, edges[-1], ROWS_A_PART)
    return sorted({*edges, *inner})


def scale_(rows: Tensor, scale: Tensor) -> Tensor:
    """Rows (J x R) times a number a column (R), in place, also in what pads them."""
    width, rank = padded(rows.shape[1], rows.dtype), rows.shape[1]
    whole = _rows_of(rows)
    if rows.device.type != "cpu" or whole.shape[1] != width or len(pieces(width, rows.dtype)) > 1:
        return rows.mul_(scale)
    line = torch.nn.functional.pad(scale.to(rows.dtype), (0, width - rank)).reshape(1, width)
    in_parallel(cpu_kernels.scaled_rows(width), in_parts([0, len(rows)]), whole.numpy(), line.numpy())
    return rows


def _rows_of(product: Tensor) -> Tensor:
    """Rows that lie one behind another, with what pads them where they are a view of padded ones."""
    if product.is_contiguous():
        return product
    if product.stride(1) == 1 and product.storage_offset() == 0 and len(product):
        wide = product.stride(0)
        if product.untyped_storage().nbytes() >= len(product) * wide * product.element_size():
            return product.as_strided((len(product), wide), (wide, 1))
    return product.contiguous()
