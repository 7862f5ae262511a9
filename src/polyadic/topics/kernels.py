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
from polyadic.tensor.kernels.vectors import (
    added,
    largest,
    load,
    multiplied,
    prefetch,
    product,
    scaled,
    store,
    total,
    widened,
    zeros,
)

AHEAD = 12
"""How many words ahead of its work a kernel asks for their rows, which lie anywhere."""
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

    columns (V x K): the probability of each word in the topics; prior (1 x K): the Dirichlet's parameters; room (3 + N
    x K, N the most words of a document): a document's weights and its new counts, a token's shares, and the shares of
    the tokens of each of the document's words. The first pass weighs a token by the whole document, the later ones by
    its other tokens. The last pass also adds to sums (V x K), the expected counts of words, and to likelihood (1), the
    tokens' log-likelihood, and writes absent (D x K, or no rows), the probability that none of a document's tokens is
    of a topic.
    """

    @jit
    def kernel(
        offsets, words, counts, columns, theta, prior, sums, likelihood, absent, room, passes, begin, end
    ):  # fmt: skip
        width, one = theta.shape[1], np.float32(1)
        for d in range(begin, end):
            for n in range(passes):
                last, weight = n == passes - 1, zeros(theta, piece)
                for column in range(0, width, piece):
                    part = added(load(theta, d, column, piece), load(prior, 0, column, piece))
                    store(room, 0, column, part)
                    store(theta, d, column, zeros(theta, piece))
                    weight = added(weight, part)
                for k in range(offsets[d], offsets[d + 1]):
                    ahead = words[min(k + AHEAD, len(words) - 1)]  # Also of documents to come: they may be short.
                    for column in range(0, width, piece):
                        if not n:
                            prefetch(columns, ahead, column)
                        if last:
                            prefetch(sums, ahead, column)
                    own, itself = 2 + k - offsets[d], min(one, counts[k]) if n else np.float32(0)
                    whole = zeros(theta, piece)
                    for column in range(0, width, piece):
                        others = load(room, 0, column, piece)
                        if n:
                            others = scaled(-itself, load(room, own, column, piece), others)
                            others = largest(others, load(prior, 0, column, piece))
                        part = product(load(columns, words[k], column, piece), others)
                        store(room, 1, column, part)
                        whole = added(whole, part)
                    chance = total(whole)
                    share = one / chance if chance > 0 else np.float32(0)  # A word that no topic has says nothing.
                    if last and chance > 0:
                        likelihood[0] += counts[k] * math.log(chance / (total(weight) - itself))
                    for column in range(0, width, piece):
                        part = scaled(share, load(room, 1, column, piece), zeros(theta, piece))
                        store(room, own, column, part)
                        store(theta, d, column, scaled(counts[k], part, load(theta, d, column, piece)))
                        if last:
                            sum_ = load(sums, words[k], column, piece)
                            store(sums, words[k], column, scaled(counts[k], part, sum_))
            if len(absent):
                absent[d] = one
                for k in range(offsets[d], offsets[d + 1]):
                    for column in range(width):
                        rest = one - room[2 + k - offsets[d], column]
                        absent[d, column] *= rest if counts[k] == one else rest ** counts[k]

    return kernel


@cache
def filtered(piece: int) -> Any:
    """out[d] += the mixture of document d (D x K) by assumed-density filtering, `piece` columns at a time.

    columns (V x K): the probability of each word in the topics; prior (1 x K): the Dirichlet's parameters; room (2 x
    K): those of the document so far, and a token's shares; all float64. The tokens come word after word, in rounds,
    forward and then backward; a document of more than `most` tokens is taken as one of so many.

    A token that belongs to topic j by the share p_j makes of a Dirichlet, with the parameters g and their sum s, a
    mixture of Dirichlets g + e_j. The Dirichlet that comes next has its means (g + p) / (s + 1), and a sum by which
    its variances have the same sum over topics: Minka and Lafferty, UAI 2002, section 3.
    """

    @jit
    def kernel(offsets, words, counts, columns, prior, out, room, most, begin, end):
        width = out.shape[1]
        for d in range(begin, end):
            first, size = offsets[d], offsets[d + 1] - offsets[d]
            tokens = highest = 0.0
            for k in range(first, first + size):
                tokens += counts[k]
                highest = max(highest, counts[k])
            scale = min(1.0, most / tokens) if tokens > 0 else 1.0
            rounds, stride = math.ceil(highest * scale), _stride(size)
            for backward in range(2):
                sum_ = 0.0
                for column in range(width):
                    room[0, column] = prior[0, column]
                    sum_ += prior[0, column]
                place, step = (size - stride, size - stride) if backward else (0, stride)
                for visited in range(rounds):
                    before = rounds - 1 - visited if backward else visited
                    for _ in range(size):
                        weight = min(1.0, counts[first + place] * scale - before)
                        word = words[first + place]
                        place += step if place + step < size else step - size
                        if not weight > 0:
                            continue
                        whole = squares = products = chances = zeros(columns, piece)
                        for column in range(0, width, piece):
                            parameter = load(room, 0, column, piece)
                            part = product(load(columns, word, column, piece), parameter)
                            store(room, 1, column, part)
                            whole = added(whole, part)
                            squares = multiplied(parameter, parameter, squares)
                            products = multiplied(parameter, part, products)
                            chances = multiplied(part, part, chances)
                        chance, more = total(whole), sum_ + 1
                        if not chance > 0:  # A word that no topic has says nothing.
                            continue
                        square, both, own = total(squares), total(products) / chance, total(chances) / (chance * chance)
                        # The sums over topics of squared means, and of variances, both times (s + 1)².
                        means = square + 2 * both + own
                        spread = (sum_ * more - square + sum_ - 2 * both) / (sum_ + 2) + 1 - own
                        rest = more * more - means - spread
                        matched = rest / spread if spread > 1e-15 * more * more and rest > 0 else more
                        moved = weight * matched / more
                        for column in range(0, width, piece):
                            kept = scaled(1 - weight + moved, load(room, 0, column, piece), zeros(columns, piece))
                            store(room, 0, column, scaled(moved / chance, load(room, 1, column, piece), kept))
                        sum_ += weight * (matched - sum_)
                for column in range(width):
                    out[d, column] += 0.5 * room[0, column] / sum_

    return kernel


@jit
def _stride(size):  # type: ignore[no-untyped-def]
    """A number that has no factor in common with `size`, and about the golden section of it."""
    step = max(1, round(0.618 * size))
    while math.gcd(step, size) > 1:
        step += 1
    return step
