"""The kernels of a CPU, by numba, over the documents of a corpus.

A call does the work for documents [begin, end), which one thread takes, some columns at a time. offsets (D + 1), words
and counts (M) are those of a Corpus; the columns of other arrays are padded to whole registers.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import added, load, multiplied, product, scaled, store, total, widened, zeros

PIECE_COLUMNS = 8
"""Columns of a product that are taken at a time: those of a register of float32."""


@cache
def gathered() -> Any:
    """out[d] = sum of count · matrix[word] over document d: matrix V x K, out D x K."""

    @jit
    def kernel(offsets, words, counts, matrix, out, begin, end):
        for d in range(begin, end):
            for column in range(0, out.shape[1], PIECE_COLUMNS):
                sum_ = zeros(out, PIECE_COLUMNS)
                for k in range(offsets[d], offsets[d + 1]):
                    sum_ = scaled(counts[k], load(matrix, words[k], column, PIECE_COLUMNS), sum_)
                store(out, d, column, sum_)

    return kernel


@cache
def spread() -> Any:
    """out[word] += count · rows[d] over the words of every document d: rows D x K, out V x K in float64."""

    @jit
    def kernel(offsets, words, counts, rows, out, begin, end):
        for d in range(begin, end):
            for column in range(0, out.shape[1], PIECE_COLUMNS):
                row = widened(load(rows, d, column, PIECE_COLUMNS))
                for k in range(offsets[d], offsets[d + 1]):
                    sum_ = load(out, words[k], column, PIECE_COLUMNS)
                    store(out, words[k], column, scaled(np.float64(counts[k]), row, sum_))

    return kernel


@cache
def expected_counts(piece: int) -> Any:
    """Updates theta, the documents' expected counts of topics (D x K), `passes` times, `piece` columns at a time.

    columns (V x K): the probability of each word in the topics; prior (1 x K): the Dirichlet's parameters; room (3 x
    K): a document's weights, its new counts, and a token's shares. With `counting`, the last pass also adds to sums
    (V x K), the expected counts of words, and to likelihood (1), the tokens' log-likelihood. A document's passes end
    when its counts move by less than the square root of `still` times its tokens.
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
