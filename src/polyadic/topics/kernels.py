"""The kernels of a CPU over documents, by numba: one thread's documents each, `piece` columns at a time."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import added, load, multiplied, product, scaled, store, total, widened, zeros

PIECE = 8
"""Columns of a product that are taken at a time: a register of float32."""


@cache
def gathered() -> Any:
    """out[d] = sum of count · matrix[word] over the document."""

    @jit
    def kernel(offsets, words, counts, matrix, out, begin, end):
        for d in range(begin, end):
            for column in range(0, out.shape[1], PIECE):
                sum_ = zeros(out, PIECE)
                for k in range(offsets[d], offsets[d + 1]):
                    sum_ = scaled(counts[k], load(matrix, words[k], column, PIECE), sum_)
                store(out, d, column, sum_)

    return kernel


@cache
def spread() -> Any:
    """out[word] += count · rows[d] over the words of the documents, out in float64."""

    @jit
    def kernel(offsets, words, counts, rows, out, begin, end):
        for d in range(begin, end):
            for column in range(0, out.shape[1], PIECE):
                mine = widened(load(rows, d, column, PIECE))
                for k in range(offsets[d], offsets[d + 1]):
                    sum_ = load(out, words[k], column, PIECE)
                    store(out, words[k], column, scaled(np.float64(counts[k]), mine, sum_))

    return kernel


@cache
def expected_counts(piece: int) -> Any:
    """Updates theta (D x width) of documents [begin, end), `passes` times; the last time words are counted too.

    columns (V x width): each word's probability in the topics; prior: the Dirichlet's parameters; room: three rows, for
    a document's weights, its new counts, and a token's shares. A document is done earlier when its counts move by less
    than the square root of `still`, as a share of its tokens.
    """

    @jit
    def kernel(
        offsets, words, counts, columns, theta, prior, sums, likelihood, room, passes, still, counting, begin, end
    ):
        width = theta.shape[1]
        minus = np.float32(-1)
        for d in range(begin, end):
            length = counts[offsets[d] : offsets[d + 1]].sum()
            for n in range(passes):
                last = n == passes - 1
                for column in range(0, width, piece):
                    store(room, 0, column, added(load(theta, d, column, piece), load(prior, 0, column, piece)))
                    store(room, 1, column, zeros(theta, piece))
                for k in range(offsets[d], offsets[d + 1]):
                    whole = zeros(theta, piece)
                    for column in range(0, width, piece):
                        part = product(load(columns, words[k], column, piece), load(room, 0, column, piece))
                        store(room, 2, column, part)
                        whole = added(whole, part)
                    chance = total(whole)
                    if not chance > 0:  # A word that no topic has says nothing.
                        continue
                    share = counts[k] / chance
                    if last and counting:
                        likelihood[0] += counts[k] * math.log(chance)
                    for column in range(0, width, piece):
                        part = load(room, 2, column, piece)
                        store(room, 1, column, scaled(share, part, load(room, 1, column, piece)))
                        if last and counting:
                            sum_ = load(sums, words[k], column, piece)
                            store(sums, words[k], column, scaled(share, part, sum_))
                change = zeros(theta, piece)
                for column in range(0, width, piece):
                    new = load(room, 1, column, piece)
                    moved = scaled(minus, load(theta, d, column, piece), new)
                    change = multiplied(moved, moved, change)
                    store(theta, d, column, new)
                if total(change) <= still * length * length:
                    break

    return kernel
