"""Sums over the modes of a partial product, weighted by their factors: what is left of an MTTKRP after one pass."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from polyadic.tensor.fibres import pieces
from polyadic.tensor.kernels import cpu as cpu_kernels
from polyadic.tensor.kernels.threads import even, in_parallel
from polyadic.tensor.skinny import HEADS_A_PART, WIDTH, aligned

BLOCK = 256


def weighted(partial: Tensor, factors: list[Tensor], keep: int) -> Tensor:
    """Sums partial (J_1 x ... x J_k x R), times their factors, over every mode but `keep`: J_keep x R."""
    for factor in reversed(factors[keep + 1 :]):
        partial = _over_last(partial, factor)
    for factor in factors[:keep]:
        partial = _over_first(partial, factor)
    return partial


def _over_last(partial: Tensor, factor: Tensor) -> Tensor:
    if partial.device.type != "cpu" or not partial.numel():
        return (partial[..., : factor.shape[1]] * factor).sum(-2)
    width, (*rest, rows) = partial.shape[-1], partial.shape[:-1]
    out = partial.new_empty(math.prod(rest), width)
    arrays = (partial.reshape(-1, width).numpy(), aligned(factor).numpy(), out.numpy())
    for column, wide in pieces(width, partial.dtype, WIDTH):
        in_parallel(cpu_kernels.weighted_rows(wide), even(len(out), _enough(rows * wide)), *arrays, column)
    return out.reshape(*rest, width)


def _over_first(partial: Tensor, factor: Tensor) -> Tensor:
    """By parts of the rows, one after another in memory, where they are many; else by blocks of columns."""
    if partial.device.type != "cpu" or not partial.numel():
        shape = [len(factor), *[1] * (partial.ndim - 2), factor.shape[1]]
        return (partial[..., : factor.shape[1]] * factor.reshape(shape)).sum(0)
    width, rest = partial.shape[-1], partial.shape[1:-1]
    flat, weights, columns = partial.reshape(-1, width).numpy(), aligned(factor).numpy(), math.prod(rest)
    edges, blocks = even(len(factor), _enough(columns * width)), math.ceil(columns / BLOCK)
    by_rows = len(factor) >= HEADS_A_PART * (len(edges) - 1)
    part = {begin: number for number, begin in enumerate(edges)}
    sums = partial.new_empty(len(edges) - 1 if by_rows else 1, columns, width)
    own = sums.numpy()

    def some(kernel: Any, column: int, begin: int, end: int) -> None:
        lines = flat[begin * columns : end * columns]
        kernel(lines, weights[begin:end], own[part[begin]], BLOCK, column, 0, blocks)

    for column, wide in pieces(width, partial.dtype, WIDTH):
        kernel = cpu_kernels.weighted_columns(wide)
        if by_rows:
            in_parallel(some, edges, kernel, column)
        else:
            at_once = even(blocks, _enough(len(factor) * wide * BLOCK))
            in_parallel(kernel, at_once, flat, weights, own[0], BLOCK, column)
    return (sums.sum(0) if by_rows else sums[0]).reshape(*rest, width)


def _enough(work: int) -> int:
    """Tasks of so much work each that are worth a thread's start."""
    return max(1, 2**17 // max(1, work))
