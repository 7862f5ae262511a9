"""Products of a large dense array with a matrix of few columns, on a CPU: the library is slow at these."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyadic.tensor import cpu_kernels
from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.threads import even, in_parallel

KERNELS_UP_TO = 32
"""Columns beyond which the library's matrix product is as fast as our kernels: docs/decisions.md."""
WIDTH, BLOCK = 16, 256


def skinny_product(x: Tensor, columns: Tensor, left: int, right: int) -> Tensor:
    """X (left x K x right) times columns (K x R, padded by `aligned`): (left · right) x R."""
    factor, width = columns.numpy(), columns.shape[1]
    out = x.new_empty(left * right, width)
    for column, wide in pieces(width, x.dtype, WIDTH):
        if right == 1:
            arrays = (x.reshape(left, -1).numpy(), factor, out.numpy())
            in_parallel(cpu_kernels.dense_rows(wide), even(left, 6), *arrays, column)
        else:
            arrays = (x.reshape(-1, right).numpy(), factor, out.numpy())
            tasks = left * math.ceil(right / BLOCK)
            in_parallel(cpu_kernels.dense_columns(wide), even(tasks), *arrays, BLOCK, column)
    return out


def aligned(factor: Tensor) -> Tensor:
    """The factor with columns of zeros up to whole registers."""
    width = padded(factor.shape[1], factor.dtype)
    return torch.nn.functional.pad(factor, (0, width - factor.shape[1])).contiguous()
