"""Products of a large dense array with a matrix of few columns, on a CPU: torch is slow at these."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyadic.tensor import kernels
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import even, in_parallel

MOST_KERNEL_COLUMNS = 32
"""Columns beyond which torch's matrix product is as fast as our kernels: docs/decisions.md."""
PANEL_COLUMNS = 16
"""Columns, in float32, that a kernel takes at a time."""
BLOCK_COLUMNS = 256
"""Columns of a dense array that stay in the cache while a kernel passes over its rows."""
ROWS_PER_SUM = 4096
"""Rows over which a Gram matrix is summed in the array's own precision."""
HEADS_PER_PART = 4
"""Weighted rows that a thread needs at least, or its own sums would take much memory for little work."""
ROWS_OF_MISSES = 4096
"""Rows whose misses a thread sums at least: fewer take less time than to wake another."""
CACHED_BYTES = 2**17
"""Bytes of rows that a thread passes over several times."""


def skinny_product(
    x: Tensor, columns: Tensor, left: int, right: int, weights: Tensor | None = None, room: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """X (left x K x right) times columns (K x R, padded by `aligned`): (left · right) x R.

    Also, where there are weights (H x R, padded) and H divides `left`: the product seen as
    H x (left / H · right) x R, times the weights and summed over H. It is None where H is so small that the sums of
    each thread would take much memory.
    room: memory for the product, left · right · R numbers or more; fresh memory costs as much time as a pass over it.
    """
    factor, width = columns.numpy(), columns.shape[1]
    room = x.new_empty(left * right * width) if room is None else room[: left * right * width]
    out = room.view(left * right, width)
    edges = even(left, 6) if right == 1 else even(left * math.ceil(right / BLOCK_COLUMNS))
    parts = len(edges) - 1
    if weights is None or len(weights) < HEADS_PER_PART * parts:
        weights = columns[:0]
    rows = len(out) // len(weights) if len(weights) else 0
    sums = x.new_zeros(parts, rows, width)
    part = {begin: number for number, begin in enumerate(edges)}
    arrays, own_sums = (factor, out.numpy(), weights.numpy()), sums.numpy()

    def run(kernel: Any, wide: tuple[int, ...], flat: Any, *rest: int) -> None:
        begin = rest[-2]
        kernel(wide, flat, *arrays, own_sums[part[begin]], *rest)

    for column, wide in pieces(width, x.dtype, PANEL_COLUMNS):
        if right == 1:
            in_parallel(run, edges, kernels.cpu.dense_rows, (0,) * wide, x.reshape(left, -1).numpy(), column)
        else:
            flat = x.reshape(-1, right).numpy()
            in_parallel(run, edges, kernels.cpu.dense_columns, (0,) * wide, flat, BLOCK_COLUMNS, column)
    return out, sums.sum(0) if len(weights) else None


def squared_misses(x: Tensor, left: Tensor, last: Tensor) -> float:
    """|X - left @ last|² for X of P x Q, left P x R and last R x Q, both float64; X contiguous."""
    edges = even(len(x), ROWS_OF_MISSES)
    part = {begin: number for number, begin in enumerate(edges)}
    arrays, out = (x.contiguous().numpy(), left.numpy(), last.contiguous().numpy()), np.zeros(len(edges))

    def run(begin: int, end: int) -> None:
        kernels.cpu.squared_misses(*arrays, out, part[begin], begin, end)

    in_parallel(run, edges)
    return float(out.sum())


def gram_of_columns(x: Tensor) -> Tensor:
    """X^T X for X of P x Q, Q of PANEL_COLUMNS or more: Q x Q, float64.

    Sums over ROWS_PER_SUM rows are in X's own precision, sums of these in float64.
    """
    columns, array = x.shape[1], x.numpy()
    firsts = range(0, columns, PANEL_COLUMNS)
    block = max(6, CACHED_BYTES // (6 * columns * x.element_size()) * 6)
    parts = max(1, math.ceil(len(x) / ROWS_PER_SUM))
    edges = [len(x) * part // parts for part in range(parts + 1)]
    sums = {begin: x.new_zeros(len(firsts), columns, PANEL_COLUMNS) for begin in edges[:-1]}

    def run(begin: int, end: int) -> None:
        out = sums[begin].view(-1, PANEL_COLUMNS).numpy()
        kernels.cpu.gram_of_rows(PANEL_COLUMNS)(array, out, block, begin, end)

    in_parallel(run, edges)
    gram = x.new_zeros(columns, columns, dtype=torch.float64)
    for first, panel in zip(firsts, torch.stack(list(sums.values())).sum(0, dtype=torch.float64), strict=True):
        gram[:, first : first + PANEL_COLUMNS] = panel[:, first - min(first, columns - PANEL_COLUMNS) :]
    return gram.triu() + gram.triu(1).T


def aligned(factor: Tensor) -> Tensor:
    """The factor (... x R) with columns of zeros up to whole registers; itself where it has whole registers."""
    more = padded(factor.shape[-1], factor.dtype) - factor.shape[-1]
    return torch.nn.functional.pad(factor, (0, more)) if more else factor.contiguous()
