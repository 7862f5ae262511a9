"""The kernels of a CPU, by numba, for the products of sparse and dense tensors with factors.

A call does the work from `begin` to `end` (of rows, blocks or other tasks), which one thread takes; it holds no lock of
the interpreter. It takes `width` columns of the factors, a compile-time constant, from `column` on; where other kernels
call one, the constant is the length of a tuple of integers, `wide`: what a kernel closes over may be no kernel, or
numba would not find it on disk again. The factors of a
sparse tensor lie in one array, `stack`, one above another; indices are rows of it.
Arrays are contiguous by rows, their columns padded to whole registers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import (
    added,
    entry,
    load,
    multiplied,
    prefetch,
    product,
    scaled,
    store,
    subtracted,
    total,
    widened,
    zeros,
)

CACHE_LINE = 64
"""Bytes between two prefetches."""
ROWS_PER_SUM = 1024
"""Rows whose squares are added up in the factor's own precision; the sums of such groups are added in float64."""


@cache
def sparse_rows(width: int, order: int) -> Any:
    """MTTKRP without compressed fibres: out[i] = sum over row i's nonzeros of value · (the row of each other mode).

    row_starts (I + 1), others (M x order - 1), values (M), stack (S x W), out (I x W).
    """

    @jit
    def kernel(row_starts, others, values, stack, out, column, begin, end):
        for row in range(begin, end):
            sum_ = zeros(stack, width)
            for k in range(row_starts[row], row_starts[row + 1]):
                term = load(stack, entry(others, k, 0), column, width)
                for m in range(1, order - 1):
                    term = product(term, load(stack, entry(others, k, m), column, width))
                sum_ = scaled(values[k], term, sum_)
            store(out, row, column, sum_)

    return kernel


@cache
def sparse_fibres(width: int, order: int) -> Any:
    """MTTKRP over compressed fibres, whose nonzeros differ in their last index alone.

    out[i] = sum over the fibres of row i of (rows of the inner modes) * sum over the fibre of value · (its last row).
    row_starts (I + 1), fibre_starts (F + 1), inner (F x order - 2), leaves (M), values (M), stack (S x W), out (I x W).
    """

    @jit
    def kernel(row_starts, fibre_starts, inner, leaves, values, stack, out, column, begin, end):
        for row in range(begin, end):
            sum_ = zeros(stack, width)
            for f in range(row_starts[row], row_starts[row + 1]):
                fibre = zeros(stack, width)
                for k in range(fibre_starts[f], fibre_starts[f + 1]):
                    fibre = scaled(values[k], load(stack, leaves[k], column, width), fibre)
                for m in range(order - 3):
                    fibre = product(fibre, load(stack, entry(inner, f, m), column, width))
                sum_ = multiplied(fibre, load(stack, entry(inner, f, order - 3), column, width), sum_)
            store(out, row, column, sum_)

    return kernel


@cache
def sparse_entries(width: int, order: int) -> Any:
    """out[k] += the model's entry at nonzero k: the sum over the columns of the product of its rows.

    own_start: the row of the stack at which the factor of the tree's mode begins; out (M); the rest as in sparse_rows.
    """

    @jit
    def kernel(row_starts, others, own_start, stack, out, column, begin, end):
        for row in range(begin, end):
            own_row = load(stack, own_start + row, column, width)
            for k in range(row_starts[row], row_starts[row + 1]):
                term = own_row
                for m in range(order - 1):
                    term = product(term, load(stack, entry(others, k, m), column, width))
                out[k] += total(term)

    return kernel


@cache
def fibre_entries(width: int, order: int) -> Any:
    """As sparse_entries, over compressed fibres; shapes as in sparse_fibres."""

    @jit
    def kernel(row_starts, fibre_starts, inner, leaves, own_start, stack, out, column, begin, end):
        for row in range(begin, end):
            own_row = load(stack, own_start + row, column, width)
            for f in range(row_starts[row], row_starts[row + 1]):
                shared = own_row
                for m in range(order - 2):
                    shared = product(shared, load(stack, entry(inner, f, m), column, width))
                for k in range(fibre_starts[f], fibre_starts[f + 1]):
                    out[k] += total(product(shared, load(stack, leaves[k], column, width)))

    return kernel


@cache
def rows_and_gram(width: int, rank: int, piece: int) -> Any:
    """out = product @ inverse (R x R); sums (R + 1 x R) += out^T out, and below it the column sums of product * out.

    product and out are J x width, inverse is R x width; `out` may be `product`. One pass takes four rows at a time and
    `piece` columns at a time, so that their sums stay in registers. Sums over ROWS_PER_SUM rows are in the rows' own
    precision, sums of these in float64. `room` (R + 9 x width) holds the former and the four rows before and after.
    """
    old, new = rank + 1, rank + 5

    @jit
    def kernel(product, inverse, out, room, sums, begin, end):
        for first in range(begin, end, ROWS_PER_SUM):
            last = min(first + ROWS_PER_SUM, end)
            for r in range(rank + 9):
                store(room, r, 0, zeros(out, width))
            for i in range(first, last, 4):
                for row in range(4):
                    if i + row < last:
                        store(room, old + row, 0, load(product, i + row, 0, width))
                    else:
                        store(room, old + row, 0, zeros(out, width))
                for column in range(0, width, piece):
                    a, b, c, d = zeros(out, piece), zeros(out, piece), zeros(out, piece), zeros(out, piece)
                    for r in range(rank):
                        line = load(inverse, r, column, piece)
                        a, b = scaled(entry(room, old, r), line, a), scaled(entry(room, old + 1, r), line, b)
                        c, d = scaled(entry(room, old + 2, r), line, c), scaled(entry(room, old + 3, r), line, d)
                    dots = multiplied(load(room, old, column, piece), a, load(room, rank, column, piece))
                    dots = multiplied(load(room, old + 1, column, piece), b, dots)
                    dots = multiplied(load(room, old + 2, column, piece), c, dots)
                    store(room, rank, column, multiplied(load(room, old + 3, column, piece), d, dots))
                    store(room, new, column, a)
                    store(room, new + 1, column, b)
                    store(room, new + 2, column, c)
                    store(room, new + 3, column, d)
                    for r in range(min(column + piece, rank)):  # The Gram matrix is symmetric.
                        sum_ = scaled(entry(room, new, r), a, load(room, r, column, piece))
                        sum_ = scaled(entry(room, new + 1, r), b, sum_)
                        sum_ = scaled(entry(room, new + 2, r), c, sum_)
                        store(room, r, column, scaled(entry(room, new + 3, r), d, sum_))
                for row in range(min(4, last - i)):
                    store(out, i + row, 0, load(room, new + row, 0, width))
            for r in range(rank):
                for column in range(r, rank):
                    sums[r, column] += room[r, column]
                sums[rank, r] += room[rank, r]
        for r in range(rank):
            for column in range(r):
                sums[r, column] = sums[column, r]

    return kernel


@cache
def scaled_rows(width: int) -> Any:
    """x[i] *= scale, one number per column: x (J x width), scale (1 x width)."""

    @jit
    def kernel(x, scale, begin, end):
        factor = load(scale, 0, 0, width)
        for i in range(begin, end):
            store(x, i, 0, product(load(x, i, 0, width), factor))

    return kernel


@jit
def dense_rows(wide, x, factor, out, weights, sums, column, begin, end):
    """out = X @ factor for x (P x Q), factor (Q x R), out (P x R): six rows of X at a time, their sums in registers.

    Where there are `weights` (H x R), also sums (P / H x R) += sum over h of weights[h] * out[h], with out seen as
    H x (P / H) x R, while its rows are still in the cache.
    """
    p, columns = begin, x.shape[1]
    while p + 6 <= end:
        a, b, c = zeros(x, wide), zeros(x, wide), zeros(x, wide)
        d, e, f = zeros(x, wide), zeros(x, wide), zeros(x, wide)
        for line in range(0, columns, CACHE_LINE // x.itemsize):
            for row in range(p + 6, p + 12):
                prefetch(x, row, line)
            for q in range(line, min(line + CACHE_LINE // x.itemsize, columns)):
                k = load(factor, q, column, wide)
                a, b = scaled(entry(x, p, q), k, a), scaled(entry(x, p + 1, q), k, b)
                c, d = scaled(entry(x, p + 2, q), k, c), scaled(entry(x, p + 3, q), k, d)
                e, f = scaled(entry(x, p + 4, q), k, e), scaled(entry(x, p + 5, q), k, f)
        store(out, p, column, a)
        store(out, p + 1, column, b)
        store(out, p + 2, column, c)
        store(out, p + 3, column, d)
        store(out, p + 4, column, e)
        store(out, p + 5, column, f)
        if len(weights):
            for row in range(p, p + 6):
                head, rest = row // len(sums), row % len(sums)
                term, weight = load(out, row, column, wide), load(weights, head, column, wide)
                store(sums, rest, column, multiplied(term, weight, load(sums, rest, column, wide)))
        p += 6
    while p < end:
        a = zeros(x, wide)
        for q in range(columns):
            a = scaled(entry(x, p, q), load(factor, q, column, wide), a)
        store(out, p, column, a)
        if len(weights):
            head, rest = p // len(sums), p % len(sums)
            store(
                sums,
                rest,
                column,
                multiplied(a, load(weights, head, column, wide), load(sums, rest, column, wide)),
            )
        p += 1


@jit
def squared_misses(x, left, last, out, part, begin, end):
    """out[part] = |X - left @ last|² over rows `begin` to `end` of X (P x Q): left P x R, last R x Q, float64."""
    columns, rank, sums, p = x.shape[1], left.shape[1], 0.0, begin
    while p < end:
        some = min(4, end - p)
        i, j, k = p + min(1, some - 1), p + min(2, some - 1), p + min(3, some - 1)
        sum_, q = zeros(last, 8), 0
        while q + 8 <= columns:
            a, b, c, d = zeros(last, 8), zeros(last, 8), zeros(last, 8), zeros(last, 8)
            for r in range(rank):
                line = load(last, r, q, 8)
                a, b = scaled(entry(left, p, r), line, a), scaled(entry(left, i, r), line, b)
                c, d = scaled(entry(left, j, r), line, c), scaled(entry(left, k, r), line, d)
            a = subtracted(widened(load(x, p, q, 8)), a)
            sum_ = multiplied(a, a, sum_)
            if some == 4:
                b = subtracted(widened(load(x, i, q, 8)), b)
                c = subtracted(widened(load(x, j, q, 8)), c)
                d = subtracted(widened(load(x, k, q, 8)), d)
                sum_ = multiplied(d, d, multiplied(c, c, multiplied(b, b, sum_)))
            q += 8
        sums += total(sum_)
        p += 4 if some == 4 else 1
    for p in range(begin, end):
        for q in range(columns // 8 * 8, columns):
            y = 0.0
            for r in range(rank):
                y += left[p, r] * last[r, q]
            sums += (x[p, q] - y) * (x[p, q] - y)
    out[part] = sums


@jit
def dense_columns(wide, x, factor, out, weights, sums, block, column, begin, end):
    """out[l] = X[l]^T @ factor for X of L x M x Q: six rows of X[l] at a time, a block of columns in the cache.

    A task is one block of `block` columns of one l; x is (L · M) x Q, factor M x R, out (L · Q) x R. `weights` (H x R)
    and `sums` (L · Q / H x R) are as in `dense_rows`.
    """
    rows, columns = len(factor), x.shape[1]
    blocks = (columns + block - 1) // block
    for task in range(begin, end):
        top, left = task // blocks * rows, task % blocks * block
        right, base = min(left + block, columns), task // blocks * columns
        for q in range(left, right):
            store(out, base + q, column, zeros(x, wide))
        m = 0
        while m + 6 <= rows:
            p = top + m
            a, b = load(factor, m, column, wide), load(factor, m + 1, column, wide)
            c, d = load(factor, m + 2, column, wide), load(factor, m + 3, column, wide)
            e, f = load(factor, m + 4, column, wide), load(factor, m + 5, column, wide)
            for line in range(left, right, CACHE_LINE // x.itemsize):
                for row in range(p + 6, p + 12):
                    prefetch(x, row, line)
                for q in range(line, min(line + CACHE_LINE // x.itemsize, right)):
                    sum_ = load(out, base + q, column, wide)
                    sum_ = scaled(entry(x, p, q), a, sum_)
                    sum_ = scaled(entry(x, p + 1, q), b, sum_)
                    sum_ = scaled(entry(x, p + 2, q), c, sum_)
                    sum_ = scaled(entry(x, p + 3, q), d, sum_)
                    sum_ = scaled(entry(x, p + 4, q), e, sum_)
                    sum_ = scaled(entry(x, p + 5, q), f, sum_)
                    store(out, base + q, column, sum_)
            m += 6
        while m < rows:
            a = load(factor, m, column, wide)
            for q in range(left, right):
                store(out, base + q, column, scaled(entry(x, top + m, q), a, load(out, base + q, column, wide)))
            m += 1
        if len(weights):
            weight, rest = load(weights, base // len(sums), column, wide), base % len(sums)
            for q in range(left, right):
                term = load(out, base + q, column, wide)
                store(sums, rest + q, column, multiplied(term, weight, load(sums, rest + q, column, wide)))


@cache
def gram_of_rows(width: int) -> Any:
    """out += X^T X over rows [begin, end) of X (P x Q), in panels of `width` columns, each down to the diagonal.

    out is (panels · Q) x width; panel p begins with column min(p · width, Q - width). A block of `block` rows stays in
    the cache while all panels pass over it, six rows at a time.
    """

    @jit
    def kernel(x, out, block, begin, end):
        columns = x.shape[1]
        panels = (columns + width - 1) // width
        for top in range(begin, end, block):
            bottom = min(top + block, end)
            for panel in range(panels):
                column, base = min(panel * width, columns - width), panel * columns
                p = top
                while p + 6 <= bottom:
                    a, b = load(x, p, column, width), load(x, p + 1, column, width)
                    c, d = load(x, p + 2, column, width), load(x, p + 3, column, width)
                    e, f = load(x, p + 4, column, width), load(x, p + 5, column, width)
                    for q in range(column + width):
                        sum_ = load(out, base + q, 0, width)
                        sum_ = scaled(entry(x, p, q), a, sum_)
                        sum_ = scaled(entry(x, p + 1, q), b, sum_)
                        sum_ = scaled(entry(x, p + 2, q), c, sum_)
                        sum_ = scaled(entry(x, p + 3, q), d, sum_)
                        sum_ = scaled(entry(x, p + 4, q), e, sum_)
                        sum_ = scaled(entry(x, p + 5, q), f, sum_)
                        store(out, base + q, 0, sum_)
                    p += 6
                while p < bottom:
                    a = load(x, p, column, width)
                    for q in range(column + width):
                        store(out, base + q, 0, scaled(entry(x, p, q), a, load(out, base + q, 0, width)))
                    p += 1

    return kernel


@cache
def weighted_rows(width: int) -> Any:
    """out[l] = sum over m of partial[l, m] * factor[m]: partial (L · M) x R, factor M x R, out L x R.

    A task is one l.
    """

    @jit
    def kernel(partial, factor, out, column, begin, end):
        rows = len(factor)
        for task in range(begin, end):
            even, odd, p = zeros(partial, width), zeros(partial, width), task * rows
            for m in range(0, rows - 1, 2):
                even = multiplied(load(partial, p + m, column, width), load(factor, m, column, width), even)
                odd = multiplied(load(partial, p + m + 1, column, width), load(factor, m + 1, column, width), odd)
            if rows % 2:
                last = rows - 1
                even = multiplied(load(partial, p + last, column, width), load(factor, last, column, width), even)
            store(out, task, column, added(even, odd))

    return kernel


@cache
def weighted_columns(width: int) -> Any:
    """out[q] = sum over m of partial[m, q] * factor[m]: partial (M · Q) x R, factor M x R, out Q x R.

    A task is one block of `block` rows q.
    """

    @jit
    def kernel(partial, factor, out, block, column, begin, end):
        for task in range(begin, end):
            left, right = task * block, min(task * block + block, len(out))
            for q in range(left, right):
                store(out, q, column, zeros(partial, width))
            for m in range(len(factor)):
                weight = load(factor, m, column, width)
                for q in range(left, right):
                    term = load(partial, m * len(out) + q, column, width)
                    store(out, q, column, multiplied(term, weight, load(out, q, column, width)))

    return kernel
