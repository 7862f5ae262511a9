"""Products of a large dense array with a matrix of few columns, on a CPU: the library is slow at these."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.kernels import cpu as cpu_kernels
from polyadic.tensor.kernels.threads import even, in_parallel

KERNELS_UP_TO = 32
"""Columns beyond which the library's matrix product is as fast as our kernels: docs/decisions.md."""
WIDTH, BLOCK = 16, 256
ROWS_A_SUM = 4096
HEADS_A_PART = 4
IN_CACHE = 2**17
"""Bytes of rows that a thread passes over several times."""


def skinny_product(
    x: Tensor, columns: Tensor, left: int, right: int, weights: Tensor | None = None, room: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """X (left x K x right) times columns (K x R, padded by `aligned`): (left · right) x R.

    Beside it, where there are weights (H x R, padded) and H divides `left`: the product as H x (left / H · right) x R,
    times the weights, summed over H. None where H is so small that the threads' own sums would take much memory.
    The first product takes `room` (that many numbers or more): fresh memory costs the system as much as a pass over it.
    """
    factor, width = columns.numpy(), columns.shape[1]
    room = x.new_empty(left * right * width) if room is None else room[: left * right * width]
    out = room.view(left * right, width)
    edges = even(left, 6) if right == 1 else even(left * math.ceil(right / BLOCK))
    parts = len(edges) - 1
    if weights is None or len(weights) < HEADS_A_PART * parts:
        weights = columns[:0]
    rows = len(out) // len(weights) if len(weights) else 0
    sums = x.new_zeros(parts, rows, width)
    part = {begin: number for number, begin in enumerate(edges)}
    arrays, own = (factor, out.numpy(), weights.numpy()), sums.numpy()

    def some(kernel: Any, flat: Any, *rest: int) -> None:
        kernel(flat, *arrays, own[part[rest[-2]]], *rest)

    for column, wide in pieces(width, x.dtype, WIDTH):
        if right == 1:
            in_parallel(some, edges, cpu_kernels.dense_rows(wide), x.reshape(left, -1).numpy(), column)
        else:
            in_parallel(some, edges, cpu_kernels.dense_columns(wide), x.reshape(-1, right).numpy(), BLOCK, column)
    return out, sums.sum(0) if len(weights) else None


def gram_of_columns(x: Tensor) -> Tensor:
    """X^T X for X of P x Q, Q of WIDTH or more: Q x Q, float64; sums over ROWS_A_SUM rows are in X's own precision."""
    columns, array = x.shape[1], x.numpy()
    firsts = range(0, columns, WIDTH)
    block = max(6, IN_CACHE // (6 * columns * x.element_size()) * 6)
    parts = max(1, math.ceil(len(x) / ROWS_A_SUM))
    edges = [len(x) * part // parts for part in range(parts + 1)]
    sums = {begin: x.new_zeros(len(firsts), columns, WIDTH) for begin in edges[:-1]}

    def some(begin: int, end: int) -> None:
        out = sums[begin].view(-1, WIDTH).numpy()
        cpu_kernels.gram_of_rows(WIDTH)(array, out, block, begin, end)

    in_parallel(some, edges)
    gram = x.new_zeros(columns, columns, dtype=torch.float64)
    for first, panel in zip(firsts, torch.stack(list(sums.values())).sum(0, dtype=torch.float64), strict=True):
        gram[:, first : first + WIDTH] = panel[:, first - min(first, columns - WIDTH) :]
    return gram.triu() + gram.triu(1).T


def aligned(factor: Tensor) -> Tensor:
    """The factor with columns of zeros up to whole registers; itself where it has them."""
    more = padded(factor.shape[-1], factor.dtype) - factor.shape[-1]
    return torch.nn.functional.pad(factor, (0, more)) if more else factor.contiguous()
