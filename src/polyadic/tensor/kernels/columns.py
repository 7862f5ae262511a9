"""The kernels of a CPU for a sample of the columns of an unfolding, by numba: one thread's part of the work each."""

from __future__ import annotations

from functools import cache
from typing import Any

from polyadic.tensor.kernels.cpu import jit
from polyadic.tensor.kernels.vectors import load, prefetch, product, scaled, store, zeros

ODD = 0x1E3779B97F4A7C15
BITS = 62
SOON = 8
"""A key times ODD, modulo 2^BITS, is another number for each key, and its first bits are spread evenly (Knuth's
multiplicative hashing, with the golden ratio)."""


@cache
def drawn() -> Any:
    """index[s] = the first k with cumulative[k] > uniform[s] · (the last of them); chance[s] *= probabilities[k].

    guide[g] is that k for uniform g / len(guide), from which the search goes on: a step or two.
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
    """place[s, 0] = where among the hashed keys, which rise, column index[:, s] stands, or -1.

    start[b] is the first of those whose first bits, the ones before `shift`, are b. Both are columns, for `prefetch`:
    what a sample will read is asked for some samples before, in two steps.
    """

    @jit
    def kernel(index, shape, keys, start, shift, place, begin, end):
        for s in range(begin, end + 2 * SOON):
            if s < end:
                key = 0
                for m in range(len(shape)):
                    key = key * shape[m] + index[m, s]
                key = (key * ODD) & ((1 << BITS) - 1)
                place[s, 0] = key
                prefetch(start, key >> shift, 0)
            if begin <= s - SOON < end:
                prefetch(keys, start[place[s - SOON, 0] >> shift, 0], 0)
            if begin <= s - 2 * SOON < end:
                key, found = place[s - 2 * SOON, 0], -1
                for k in range(start[key >> shift, 0], start[(key >> shift) + 1, 0]):
                    if keys[k, 0] >= key:
                        if keys[k, 0] == key:
                            found = k
                        break
                place[s - 2 * SOON, 0] = found

    return kernel


@cache
def khatri_rao_rows(width: int, modes: int) -> Any:
    """out[s] = scale[s] · the product over the other modes of stack[start[m] + index[m, s]]."""

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
    """out[row] += value · scale[s] · sampled[s] over the nonzeros of the column at place[s], for every s."""

    @jit
    def kernel(place, scale, ends, rows, values, sampled, out, column):
        for s in range(len(place)):
            if place[s] >= 0:
                weight = load(sampled, s, column, width)
                for k in range(ends[place[s]], ends[place[s] + 1]):
                    sum_ = load(out, rows[k], column, width)
                    store(out, rows[k], column, scaled(values[k] * scale[s], weight, sum_))

    return kernel
