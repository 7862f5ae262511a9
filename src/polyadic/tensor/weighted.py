"""The last step of an MTTKRP: what one pass over the tensor left, summed over the other modes with their factors."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from polyadic.tensor import kernels
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import even, in_parallel
from polyadic.tensor.skinny import BLOCK_COLUMNS, HEADS_PER_PART, PANEL_COLUMNS, aligned

LEAST_PART_NUMBERS = 2**17
"""Numbers that a thread must read for its start to be worth it."""


def weighted(partial: Tensor, factors: list[Tensor], keep: int) -> Tensor:
    """The sum of partial (J_1 x ... x J_k x R) times its modes' factors over every mode but `keep`: J_keep x R.

    factors: J_i x R, one per mode of `partial`; the columns of `partial` and of the result are padded.
    """
    for factor in reversed(factors[keep + 1 :]):
        partial = _over_last(partial, factor)
    for factor in factors[:keep]:
        partial = _over_first(partial, factor)
    return partial


def _over_last(partial: Tensor, factor: Tensor) -> Tensor:
    """The sum over the last mode: J_1 x ... x J_{k-1} x R."""
    if partial.device.type != "cpu" or not partial.numel():
        return (partial[..., : factor.shape[1]] * factor).sum(-2)
    width, (*rest, rows) = partial.shape[-1], partial.shape[:-1]
    out = partial.new_empty(math.prod(rest), width)
    arrays = (partial.reshape(-1, width).numpy(), aligned(factor).numpy(), out.numpy())
    for column, wide in pieces(width, partial.dtype, PANEL_COLUMNS):
        in_parallel(kernels.cpu.weighted_rows(wide), even(len(out), _fewest_tasks(rows * wide)), *arrays, column)
    return out.reshape(*rest, width)


def _over_first(partial: Tensor, factor: Tensor) -> Tensor:
    """The sum over the first mode: J_2 x ... x J_k x R.

    Threads divide the first mode's rows where these are many; else they divide the columns of what is left.
    """
    if partial.device.type != "cpu" or not partial.numel():
        shape = [len(factor), *[1] * (partial.ndim - 2), factor.shape[1]]
        return (partial[..., : factor.shape[1]] * factor.reshape(shape)).sum(0)
    width, rest = partial.shape[-1], partial.shape[1:-1]
    flat, weights, columns = partial.reshape(-1, width).numpy(), aligned(factor).numpy(), math.prod(rest)
    edges, blocks = even(len(factor), _fewest_tasks(columns * width)), math.ceil(columns / BLOCK_COLUMNS)
    by_rows = len(factor) >= HEADS_PER_PART * (len(edges) - 1)
    part = {begin: number for number, begin in enumerate(edges)}
    sums = partial.new_empty(len(edges) - 1 if by_rows else 1, columns, width)
    own_sums = sums.numpy()

    def run(kernel: Any, column: int, begin: int, end: int) -> None:
        lines = flat[begin * columns : end * columns]
        kernel(lines, weights[begin:end], own_sums[part[begin]], BLOCK_COLUMNS, column, 0, blocks)

    for column, wide in pieces(width, partial.dtype, PANEL_COLUMNS):
        kernel = kernels.cpu.weighted_columns(wide)
        if by_rows:
            in_parallel(run, edges, kernel, column)
        else:
            block_edges = even(blocks, _fewest_tasks(len(factor) * wide * BLOCK_COLUMNS))
            in_parallel(kernel, block_edges, flat, weights, own_sums[0], BLOCK_COLUMNS, column)
    return (sums.sum(0) if by_rows else sums[0]).reshape(*rest, width)


def _fewest_tasks(numbers: int) -> int:
    """How many tasks, each of which reads so many numbers, are worth a thread's start."""
    return max(1, LEAST_PART_NUMBERS // max(1, numbers))
