"""The kernels of a CPU, by numba, for a sample of S columns of an unfolding.

A call does the work for the samples from `begin` to `end`, which one thread takes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from polyadic.tensor.kernels.hashing import HASH_BITS, HASH_FACTOR
from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import load, prefetch, product, scaled, store, zeros

PREFETCH_SAMPLES = 8
"""Samples between asking for a cache line and reading it."""


@cache
def drawn() -> Any:
    """index[s] = the first k with cumulative[k] > uniform[s] · (the last of them); chance[s] *= probabilities[k].

    uniform (S), on [0, 1); cumulative and probabilities (I); index and chance (S). guide[g] is the k of the number
    g / len(guide): the search starts from it and takes a step or two.
    """

    @jit
    def kernel(uniform, cumulative, guide, probabilities, index, chance, begin, end):
        last, cells = len(cumulative) - 1, len(guide)
        for s in range(begin, end):
            target = uniform[s] * cumulative[last]
            k = guide[min(int(uniform[s] * cells), cells - 1)]
            while k < last and cumulative[k] <= target:
                k += 1
            index[s] = k
            chance[s] *= probabilities[k]

    return kernel


@cache
def places() -> Any:
    """place[s, 0] = where the column of indices index[:, s] stands among the hashed keys, which rise; -1 if nowhere.

    index (N - 1 x S), shape (N - 1), keys (C x 1), place (S x 1). start (2^b + 1 x 1): start[h] is the place of the
    first key whose first b bits, those before `shift`, are h. What a sample will read is prefetched some samples
    before, in two steps.
    """

    @jit
    def kernel(index, shape, keys, start, shift, place, begin, end):
        for s in range(begin, end + 2 * PREFETCH_SAMPLES):
            if s < end:
                key = 0
                for m in range(len(shape)):
                    key = key * shape[m] + index[m, s]
                key = (key * HASH_FACTOR) & ((1 << HASH_BITS) - 1)
                place[s, 0] = key
                prefetch(start, key >> shift, 0)
            if begin <= s - PREFETCH_SAMPLES < end:
                prefetch(keys, start[place[s - PREFETCH_SAMPLES, 0] >> shift, 0], 0)
            if begin <= s - 2 * PREFETCH_SAMPLES < end:
                key, match = place[s - 2 * PREFETCH_SAMPLES, 0], -1
                for k in range(start[key >> shift, 0], start[(key >> shift) + 1, 0]):
                    if keys[k, 0] >= key:
                        if keys[k, 0] == key:
                            match = k
                        break
                place[s - 2 * PREFETCH_SAMPLES, 0] = match

    return kernel


@cache
def khatri_rao_rows(width: int, modes: int) -> Any:
    """out[s] = scale[s] · the product over the other modes m of stack[start[m] + index[m, s]].

    index (N - 1 x S), start (N - 1), stack (rows x R), scale (S), out (S x R).
    """

    @jit
    def kernel(index, start, stack, scale, out, column, begin, end):
        for s in range(begin, end):
            row = scaled(scale[s], load(stack, start[0] + index[0, s], column, width), zeros(stack, width))
            for m in range(1, modes):
                row = product(row, load(stack, start[m] + index[m, s], column, width))
            store(out, s, column, row)

    return kernel


@cache
def scattered(width: int) -> Any:
    """out[row] += value · scale[s] · sampled[s] over the nonzeros of the column at place[s], for every s.

    place (S), -1 where a column has no nonzeros; scale (S); starts (C + 1): where each column's nonzeros begin; rows
    and values (M); sampled (S x R); out (I x R). Threads take columns of `out`, since they would share rows.
    """

    @jit
    def kernel(place, scale, starts, rows, values, sampled, out, column):
        for s in range(len(place)):
            if place[s] >= 0:
                weight = load(sampled, s, column, width)
                for k in range(starts[place[s]], starts[place[s] + 1]):
                    sum_ = load(out, rows[k], column, width)
                    store(out, rows[k], column, scaled(values[k] * scale[s], weight, sum_))

    return kernel
