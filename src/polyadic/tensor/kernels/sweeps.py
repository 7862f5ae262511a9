"""Sweeps of alternating least squares over dense tensors on a CPU, by numba: whole fits of small ones in one call.

X is I_1 x ... x I_N, N >= 3; its last two modes are the tail, those before them the head. A sweep makes one pass over
X. It begins with X times the factor of one mode of the tail, which serves the head and the other mode; X times the new
factor of that one serves the first, and the next sweep, in which the two change places.

Four groups of arrays go through the kernels, as tuples.
`sizes`: the shape; the rows `edges` (N + 1) at which the factors begin in one array, one above another, with columns of
zeros up to whole vectors; flags `free`, 0 for modes that stay; a flag, 1 where the tail's modes change places.
`model`: those factors as `lean`, in the type of X, and as `stack`, the same numbers in float64, whose sums are right;
their Gram matrices (N W x W); the weights (W).
`rooms`: see `Rooms`.
`rule`: |X|, l2, 1 where factors are nonnegative, the precision of the rows, the least square of an error that sums of
squares tell, the tolerance, R.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.tensor.kernels.cpu import dense_columns, dense_rows
from polyadic.tensor.kernels.jit import jit, within
from polyadic.tensor.kernels.vectors import added, entry, load, multiplied, product, scaled, store, zeros

BLOCK_COLUMNS = 256
"""Columns of X that stay in the cache while a pass goes over its rows."""
LANES = 4
"""Numbers of float64 that are taken at a time."""
CACHED_BYTES = 2**17
"""Bytes of X of which all columns of a product are made before the next are read."""
HEADS_PER_SUM = 1024
"""Entries of the head over which a product is summed in the type of X; the sums of such groups are added in float64."""
COLUMN_PASSES = 4
"""Passes over the columns in one nonnegative update, as `nonnegative_rows` makes."""
LEAST_PIVOT = 1e-300
CONVERGED, GOING, UNTRUSTED, OVERFLOW = 0, 1, 2, 3
"""How a call ends: the error changes no more; all sweeps were made; the error is round-off; sums overflow."""


class Rooms(NamedTuple):
    """Arrays that the kernels write to.

    partials: X times the factor of the last mode, and of the one before it (the rows of the other modes x W); known: a
    flag for each that holds. right: the sums of a partial over the modes after one of the head, for all of the head;
    left: ones, and the products of the head's factors up to each mode. own: the rows of a product (the longest mode's
    x W); exact: the same in float64. small: three matrices of W x W. sums: <X, Y>, |Y|² and that of absolute values,
    over |X|².
    """

    partials: tuple[NDArray[np.floating], NDArray[np.floating]]
    known: NDArray[np.int64]
    right: NDArray[np.floating]
    left: NDArray[np.floating]
    own: NDArray[np.floating]
    exact: NDArray[np.float64]
    small: NDArray[np.float64]
    sums: NDArray[np.float64]


@jit
def contract(wide, x, factor, out, across, begin, end):
    """X times the factor of one mode of the tail, for the tasks from `begin` to `end`.

    A task is a row of X for the last mode, whose `across` is 0; for the mode before it, of `across` rows of X, it
    is one block of columns of one entry of the head.
    """
    some = max(1, CACHED_BYTES // (6 * max(1, across) * min(x.shape[1], BLOCK_COLUMNS) * x.itemsize)) * 6
    for first in range(begin, end, some):
        for column in range(0, factor.shape[1], len(wide)):
            if across:
                dense_columns(
                    wide, x, factor, out, factor[:0], factor[:0], BLOCK_COLUMNS, column, first, min(first + some, end)
                )
            else:
                dense_rows(wide, x, factor, out, factor[:0], factor[:0], column, first, min(first + some, end))


@within
def fold(wide, partial, begin, heads, lean, top, rows, out, out_begin):
    """out[p] = sum over j of partial[p, j] * lean[top + j], for `heads` entries p."""
    for p in range(heads):
        for column in range(0, lean.shape[1], len(wide)):
            sum_ = zeros(lean, wide)
            for j in range(rows):
                line = load(partial, begin + p * rows + j, column, wide)
                sum_ = multiplied(line, load(lean, top + j, column, wide), sum_)
            store(out, out_begin + p, column, sum_)


@within
def gather(wide, partial, begin, left, left_begin, heads, rows, out, exact):
    """exact[j] = sum over p of left[p] * partial[p, j], for `heads` entries p; of HEADS_PER_SUM at a time in `out`."""
    for first in range(left_begin - left_begin, heads, HEADS_PER_SUM):
        for column in range(0, out.shape[1], len(wide)):
            for j in range(rows):
                store(out, j, column, zeros(out, wide))
            for p in range(first, min(first + HEADS_PER_SUM, heads)):
                weight = load(left, left_begin + p, column, wide)
                for j in range(rows):
                    line = load(partial, begin + p * rows + j, column, wide)
                    store(out, j, column, multiplied(line, weight, load(out, j, column, wide)))
        for j in range(rows):
            for r in range(out.shape[1]):
                exact[j, r] = out[j, r] + (exact[j, r] if first else 0.0)


@within
def grow(wide, left, begin, heads, lean, top, rows, out_begin):
    """The products of the head's factors up to one mode more."""
    for p in range(heads):
        for j in range(rows):
            for column in range(0, lean.shape[1], len(wide)):
                row = product(load(left, begin + p, column, wide), load(lean, top + j, column, wide))
                store(left, out_begin + p * rows + j, column, row)


@jit
def halves(wide, x, sizes, model, rooms, rule, errors, step, stop):
    """The halves of sweeps from number `step` to that before `stop`, as long as the error changes.

    An even half updates the head, and then one mode of the tail; an odd one updates the other mode of the tail, and
    takes the error. x: (I_1 ... I_N-1) x I_N. errors: before the last sweep, and after it. Returns how it ends, and
    the next number.
    """
    shape, edges, free, turns = sizes
    modes, lean, right, left = len(shape), model[0], rooms.right, rooms.left
    last = modes - 3
    while step < stop:
        number = step // 2 * turns + step
        own, other = modes - 2 + number % 2, modes - 1 - number % 2
        partial, known = rooms.partials[modes - 1 - other], modes - 1 - other
        if not rooms.known[known] and (step % 2 == 0 or free[own]):
            across = shape[other] * known
            tasks = x.shape[0] if known == 0 else x.shape[0] // across * blocks(x.shape[1])
            contract(wide, x, lean[edges[other] : edges[other + 1]], partial, across, edges[0], tasks)
            rooms.known[known] = 1
        before, heads = len(left) - partial.shape[0] // shape[own], partial.shape[0] // shape[own]
        if step % 2 == 0:
            top = before - 1
            fold(wide, partial, edges[0], heads, lean, edges[own], shape[own], right, top)
            for k in range(last, 0, -1):
                heads //= shape[k]
                fold(wide, right, top, heads, lean, edges[k], shape[k], right, top - heads)
                top -= heads
            before, heads = edges[0], edges[0] + 1
        for k in range(last + 1 if step % 2 else edges[0], last + 2):
            mode, source, begin = (k, right, before + heads - 1) if k <= last else (own, partial, edges[0])
            if free[mode]:
                gather(wide, source, begin, left, before, heads, shape[mode], rooms.own, rooms.exact)
                if k > last:
                    rooms.known[modes - 1 - own] = 0
                if not _update(mode, sizes, model, rooms, rule):
                    return OVERFLOW, step
            if k <= last:
                grow(wide, left, before, heads, lean, edges[k], shape[k], before + heads)
                before, heads = before + heads, heads * shape[k]
        step += 1
        if step % 2 == 0:
            end = _judge(rooms.sums, rule, errors)
            if end != GOING:
                return end, step
    return GOING, step


@within
def blocks(columns):
    """The blocks into which a pass over rows of X cuts its columns."""
    return (columns + BLOCK_COLUMNS - 1) // BLOCK_COLUMNS


@within
def _judge(sums, rule, errors):
    """Takes the error of a sweep from its sums; returns how the fit goes on."""
    rest = 1.0 + sums[1] - 2.0 * sums[0]
    errors[0] = errors[1]
    if not math.isfinite(rest):
        return OVERFLOW
    if not rest >= rule[4] * max(1.0, sums[2]):
        return UNTRUSTED
    errors[1] = math.sqrt(rest)
    return CONVERGED if abs(errors[0] - errors[1]) < rule[5] else GOING


@within
def _update(mode, sizes, model, rooms, rule):
    """The new factor of a mode from its product, the rows of `exact`; False where sums overflow."""
    edges = sizes[1]
    lean, stack, grams, weights = model
    exact, small, sums = rooms.exact, rooms.small, rooms.sums
    top, rows, width = edges[mode], edges[mode + 1] - edges[mode], len(weights)
    rank, modes, scale = rule[6], len(edges) - 1, 1.0 / rule[0]
    for r in range(rank):
        for s in range(rank):
            value = 1.0
            for k in range(modes):
                if k != mode:
                    value *= grams[k * width + r, s]
            small[r, s] = value
        small[r, r] += rule[1]
        if not math.isfinite(small[r, r]):
            return False
    for i in range(rows):
        for r in range(width):
            exact[i, r] *= scale
    if rule[2]:
        _nonnegative(small, exact, stack, weights, scale, top, rows, rank)
    else:
        _solve(small, exact, stack, top, rows, rank, rule[3])
    _outer(stack, top, stack, top, rows, grams, mode * width, rank)
    for r in range(rank):
        length = math.sqrt(grams[mode * width + r, r])
        small[0, r] = 1.0 / length if length > 0.0 else 1.0
        weights[r] = rule[0] / small[0, r]
    for i in range(top, top + rows):
        for r in range(width):
            lean[i, r] = stack[i, r] * small[0, r]
            stack[i, r] = lean[i, r]
    _outer(stack, top, stack, top, rows, grams, mode * width, rank)
    _outer(stack, top, exact, top - top, rows, small, width, rank)
    sums[0], sums[1], sums[2] = 0.0, 0.0, 0.0
    for r in range(rank):
        sums[0] += small[width + r, r] / small[0, r]
        for s in range(rank):
            value = 1.0 / (small[0, r] * small[0, s])
            for k in range(modes):
                value *= grams[k * width + r, s]
            sums[1] += value
            sums[2] += abs(value)
    return True


@within
def _outer(a, a_top, b, b_top, rows, out, out_top, rank):
    """out[out_top :] = the first columns of a[a_top :], transposed, times b[b_top :]."""
    for column in range(0, a.shape[1], LANES):
        for r in range(rank):
            even, odd = zeros(out, LANES), zeros(out, LANES)
            for i in range(0, rows - 1, 2):
                even = scaled(entry(a, a_top + i, r), load(b, b_top + i, column, LANES), even)
                odd = scaled(entry(a, a_top + i + 1, r), load(b, b_top + i + 1, column, LANES), odd)
            if rows % 2:
                even = scaled(entry(a, a_top + rows - 1, r), load(b, b_top + rows - 1, column, LANES), even)
            store(out, out_top + r, column, added(even, odd))


@within
def _solve(small, exact, stack, top, rows, rank, precision):
    """stack[top :] = exact (rows x W) times the inverse of small[: R]; see `updates.NormalMatrix` for its ridge."""
    width, largest, ridge = small.shape[1], LEAST_PIVOT, 0.0
    for r in range(rank):
        largest = max(largest, small[r, r])
    weakest = _factorise(small, rank)
    while not weakest > precision * largest:
        more = max(4.0 * ridge, precision) - ridge
        for r in range(rank):
            small[r, r] += more * largest
        ridge += more
        weakest = _factorise(small, rank)
    if not weakest > math.sqrt(precision) * largest:  # The inverse would not cancel what it should.
        for i in range(rows):
            for r in range(rank):
                stack[top + i, r] = exact[i, r]
        _substitute(small, stack, top, rows, rank)
        return
    for r in range(rank):
        for s in range(width):
            small[2 * width + r, s] = 1.0 if r == s else 0.0
    _substitute(small, small, 2 * width, rank, rank)
    for column in range(0, width, LANES):
        for i in range(rows):
            row = zeros(exact, LANES)
            for r in range(rank):
                row = scaled(entry(exact, i, r), load(small, 2 * width + r, column, LANES), row)
            store(stack, top + i, column, row)


@within
def _factorise(small, rank):
    """small[W :] = L of small[: R] = L L^T, but inverses on the diagonal; returns the smallest pivot, or 0."""
    width, weakest = small.shape[1], np.inf
    for j in range(rank):
        for i in range(j, rank):
            sum_ = small[i, j]
            for k in range(j):
                sum_ -= small[width + i, k] * small[width + j, k]
            if i > j:
                small[width + i, j] = sum_ * small[width + j, j]
            elif sum_ > 0.0:
                small[width + j, j] = 1.0 / math.sqrt(sum_)
                weakest = min(weakest, sum_)
            else:
                return 0.0
    return weakest


@within
def _substitute(small, out, top, rows, rank):
    """Each of the rows of out[top :] times the inverse of L L^T, L in small[W :]."""
    width = small.shape[1]
    for i in range(top, top + rows):
        for j in range(rank):
            sum_ = out[i, j]
            for k in range(j):
                sum_ -= small[width + j, k] * out[i, k]
            out[i, j] = sum_ * small[width + j, j]
        for j in range(rank - 1, -1, -1):
            sum_ = out[i, j]
            for k in range(j + 1, rank):
                sum_ -= small[width + k, j] * out[i, k]
            out[i, j] = sum_ * small[width + j, j]


@within
def _nonnegative(small, exact, stack, weights, scale, top, rows, rank):
    """stack[top :] by coordinate descent from the rows that it holds: see `updates.nonnegative_rows`."""
    for i in range(rows):
        for r in range(rank):
            stack[top + i, r] *= weights[r] * scale
        for _ in range(COLUMN_PASSES):
            for r in range(rank):
                pull = exact[i, r]
                for s in range(rank):
                    pull -= stack[top + i, s] * small[s, r]
                if small[r, r] > 0.0:
                    stack[top + i, r] = max(0.0, stack[top + i, r] + pull / small[r, r])
