"""A factor's rows times a small matrix, and their Gram matrix, with one pass over them where a kernel can."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.tensor import cpu_kernels
from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.threads import in_parallel

ROWS_A_SUM = 4096
"""Rows whose squares are added up in the factor's own precision; such sums, a thread's work, are added in float64."""


def times(product: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """product (J x R) times a matrix (R x R): J x R, and the Gram matrix of that (R x R, float64)."""
    width, rank = padded(product.shape[1], product.dtype), product.shape[1]
    if product.device.type != "cpu" or len(pieces(width, product.dtype)) > 1:
        rows = product @ inverse
        return rows, (rows.T @ rows).double()
    matrix = torch.nn.functional.pad(inverse, (0, width - rank)).contiguous()
    out = product.new_empty(len(product), width)
    parts = max(1, len(product) // ROWS_A_SUM)
    edges = [len(product) * part // parts for part in range(parts + 1)]
    grams = product.new_zeros(parts, rank, width)
    # A view of padded rows: the kernel asks for its columns alone.
    arrays = (_rows_of(product).numpy(), matrix.numpy(), out.numpy())
    kernel = cpu_kernels.rows_and_gram(width, rank)

    def some(begin: int, end: int) -> None:
        for part in range(begin, end):
            kernel(*arrays, grams[part].numpy(), edges[part], edges[part + 1])

    in_parallel(some, list(range(parts + 1)))
    return out[:, :rank], grams.sum(0, dtype=torch.float64)[:, :rank]


def scale_(rows: Tensor, scale: Tensor) -> Tensor:
    """Rows (J x R) times a number a column (R), in place, also in what pads them."""
    width, rank = padded(rows.shape[1], rows.dtype), rows.shape[1]
    whole = _rows_of(rows)
    if rows.device.type != "cpu" or whole.shape[1] != width or len(pieces(width, rows.dtype)) > 1:
        return rows.mul_(scale)
    line = torch.nn.functional.pad(scale.to(rows.dtype), (0, width - rank)).reshape(1, width)
    parts = max(1, len(rows) // ROWS_A_SUM)
    edges = [len(rows) * part // parts for part in range(parts + 1)]
    in_parallel(cpu_kernels.scaled_rows(width), edges, whole.numpy(), line.numpy())
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
