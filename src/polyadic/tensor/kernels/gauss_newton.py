"""Damped Gauss-Newton steps for CP on a CPU, by numba: one step from Gram matrices, and whole fits of small tensors.

The factors of all modes lie in one array (S x W, float64), one above another, with columns of zeros beyond the rank up
to a multiple of LANES; `edges` (N + 1) are the rows at which they begin. The least squares problem is
|X - Y|² + l2 · sum over r of |a_r^(1)|² ... |a_r^(N)|², and J the Jacobian of what is squared: J^T J is known from the
Gram matrices A^(n)T A^(n) alone (Sorber, Van Barel and De Lathauwer, SIAM J. Optim. 2013; Singh, Ma, Yang and
Solomonik, SIAM J. Sci. Comput. 2021).

A number that is written in a call of a kernel would compile another one for it alone: `edges[0]` is the zero that does
not.
"""

from __future__ import annotations

import math

import numpy as np

from polyadic.tensor.kernels.damping import begun, ended, judged
from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import added, entry, load, multiplied, product, scaled, store, total, zeros

LANES = 4
"""Numbers of float64 that the kernels take at a time."""
TINY = 1e-300


@jit
def _times(a, a_first, rows, b, b_first, columns, out, top):
    """out[top + i] = a[a_first + i, :columns] @ b[b_first : b_first + columns] for i < rows; whole vectors of b."""
    for column in range(0, b.shape[1], LANES):
        i = 0
        while i + 6 <= rows:
            s, t, u = zeros(b, LANES), zeros(b, LANES), zeros(b, LANES)
            v, w, x = zeros(b, LANES), zeros(b, LANES), zeros(b, LANES)
            for k in range(columns):
                line = load(b, b_first + k, column, LANES)
                s, t = scaled(entry(a, a_first + i, k), line, s), scaled(entry(a, a_first + i + 1, k), line, t)
                u, v = scaled(entry(a, a_first + i + 2, k), line, u), scaled(entry(a, a_first + i + 3, k), line, v)
                w, x = scaled(entry(a, a_first + i + 4, k), line, w), scaled(entry(a, a_first + i + 5, k), line, x)
            store(out, top + i, column, s)
            store(out, top + i + 1, column, t)
            store(out, top + i + 2, column, u)
            store(out, top + i + 3, column, v)
            store(out, top + i + 4, column, w)
            store(out, top + i + 5, column, x)
            i += 6
        while i < rows:
            s = zeros(b, LANES)
            for k in range(columns):
                s = scaled(entry(a, a_first + i, k), load(b, b_first + k, column, LANES), s)
            store(out, top + i, column, s)
            i += 1


@jit
def _inner(a, a_first, b, b_first, rows, columns, out, top):
    """out[top + j] = sum over `rows` rows i of a[a_first + i, j] b[b_first + i] for the first `columns` columns j."""
    for column in range(0, b.shape[1], LANES):
        j = 0
        while j + 4 <= columns:
            s, t, u, v = zeros(b, LANES), zeros(b, LANES), zeros(b, LANES), zeros(b, LANES)
            for i in range(rows):
                line = load(b, b_first + i, column, LANES)
                s, t = scaled(entry(a, a_first + i, j), line, s), scaled(entry(a, a_first + i, j + 1), line, t)
                u, v = scaled(entry(a, a_first + i, j + 2), line, u), scaled(entry(a, a_first + i, j + 3), line, v)
            store(out, top + j, column, s)
            store(out, top + j + 1, column, t)
            store(out, top + j + 2, column, u)
            store(out, top + j + 3, column, v)
            j += 4
        while j < columns:
            s = zeros(b, LANES)
            for i in range(rows):
                s = scaled(entry(a, a_first + i, j), load(b, b_first + i, column, LANES), s)
            store(out, top + j, column, s)
            j += 1


@jit
def _gammas(stack, edges, l2, grams, gammas):
    """gammas[(n N + m) W + r] = row r of the product of the Gram matrices of all modes but n and m.

    Its diagonal is multiplied by 1 + l2. grams: (N W) x W.
    """
    modes, rank = len(edges) - 1, stack.shape[1]
    for n in range(modes):
        _inner(stack, edges[n], stack, edges[n], edges[n + 1] - edges[n], rank, grams, n * rank)
    for n in range(modes):
        for m in range(modes):
            at = (n * modes + m) * rank
            for r in range(rank):
                for s in range(rank):
                    gammas[at + r, s] = 1.0
                for k in range(modes):
                    if k not in (n, m):
                        for s in range(0, rank, LANES):
                            row = product(load(gammas, at + r, s, LANES), load(grams, k * rank + r, s, LANES))
                            store(gammas, at + r, s, row)
                gammas[at + r, r] *= 1.0 + l2


@jit
def inverse(gammas, at, damping, lower, out, top):
    """out[top :] = (gammas[at : at + W] + damping I)^-1, by Cholesky."""
    rank = gammas.shape[1]
    for j in range(rank):
        for i in range(j, rank):
            sum_ = gammas[at + i, j]
            if i == j:
                sum_ += damping
            for k in range(j):
                sum_ -= lower[i, k] * lower[j, k]
            if i == j:
                lower[j, j] = math.sqrt(max(sum_, TINY))
            else:
                lower[i, j] = sum_ / lower[j, j]
    for i in range(rank):
        for column in range(rank):
            out[top + i, column] = 0.0
        out[top + i, i] = 1.0
        for k in range(i):
            for column in range(rank):
                out[top + i, column] -= lower[i, k] * out[top + k, column]
        for column in range(rank):
            out[top + i, column] /= lower[i, i]
    for i in range(rank - 1, -1, -1):
        for k in range(i + 1, rank):
            for column in range(rank):
                out[top + i, column] -= lower[k, i] * out[top + k, column]
        for column in range(rank):
            out[top + i, column] /= lower[i, i]


@jit
def newton_step(stack, edges, free, gradient, l2, damping, most, tolerance, step):
    """step = -(J^T J + damping I)^-1 gradient (S x W) by conjugate gradients; returns (promise, iterations).

    free: ones, and zeros for what stays (S x W). gradient: half of that of the sum of squares. The preconditioner is
    the block of each mode. At most `most` iterations, until the residual's preconditioned norm is `tolerance` of the
    first one. promise: by how much the sum of squares would fall, were it quadratic.
    """
    modes, (rows, rank) = len(edges) - 1, stack.shape
    grams, gammas = np.empty((modes * rank, rank)), np.empty((modes * modes * rank, rank))
    inner, inverses = np.empty((modes * rank, rank)), np.empty((modes * rank, rank))
    mixed, rest, solved = np.empty((rank, rank)), np.empty((rows, rank)), np.empty((rows, rank))
    direction, image = np.zeros((rows, rank)), np.empty((rows, rank))
    _gammas(stack, edges, l2, grams, gammas)
    for n in range(modes):
        inverse(gammas, (n * modes + n) * rank, damping, mixed, inverses, n * rank)
        for i in range(edges[n], edges[n + 1]):
            for r in range(0, rank, LANES):
                store(step, i, r, zeros(stack, LANES))
                own = product(load(free, i, r, LANES), load(gradient, i, r, LANES))
                store(rest, i, r, scaled(-1.0, own, zeros(stack, LANES)))
    size, first, iterations, zero = 0.0, 0.0, 0, edges[0]
    while True:
        sum_ = zeros(stack, LANES)
        for n in range(modes):
            _times(rest, edges[n], edges[n + 1] - edges[n], inverses, n * rank, rank, solved, edges[n])
        for i in range(rows):
            for r in range(0, rank, LANES):
                own = product(load(free, i, r, LANES), load(solved, i, r, LANES))
                store(solved, i, r, own)
                sum_ = multiplied(load(rest, i, r, LANES), own, sum_)
        larger = total(sum_)
        if iterations == 0:
            first = larger
        if iterations == most or not larger > tolerance * tolerance * first:
            break
        turn = larger / size if iterations else 0.0
        size = larger
        for i in range(rows):
            for r in range(0, rank, LANES):
                store(direction, i, r, scaled(turn, load(direction, i, r, LANES), load(solved, i, r, LANES)))
        # J^T J v: v_n gamma_nn + A^(n) · sum over m of gamma_nm * (v_m^T A^(m)).
        for m in range(modes):
            _inner(direction, edges[m], stack, edges[m], edges[m + 1] - edges[m], rank, inner, m * rank)
        sum_ = zeros(stack, LANES)
        for n in range(modes):
            for s in range(rank):
                for r in range(0, rank, LANES):
                    cross = zeros(stack, LANES)
                    for m in range(modes):
                        if m != n:
                            row = load(gammas, (n * modes + m) * rank + s, r, LANES)
                            cross = multiplied(row, load(inner, m * rank + s, r, LANES), cross)
                    store(mixed, s, r, cross)
            count, block = edges[n + 1] - edges[n], (n * modes + n) * rank
            _times(direction, edges[n], count, gammas, block, rank, image, edges[n])
            _times(stack, edges[n], count, mixed, zero, rank, solved, edges[n])
            for i in range(edges[n], edges[n + 1]):
                for r in range(0, rank, LANES):
                    own = load(direction, i, r, LANES)
                    turned = added(load(image, i, r, LANES), scaled(damping, own, load(solved, i, r, LANES)))
                    turned = product(load(free, i, r, LANES), turned)
                    store(image, i, r, turned)
                    sum_ = multiplied(turned, own, sum_)
        curvature = total(sum_)
        if not curvature > 0.0:
            break
        length = size / curvature
        for i in range(rows):
            for r in range(0, rank, LANES):
                store(step, i, r, scaled(length, load(direction, i, r, LANES), load(step, i, r, LANES)))
                store(rest, i, r, scaled(-length, load(image, i, r, LANES), load(rest, i, r, LANES)))
        iterations += 1
    sum_ = zeros(stack, LANES)  # -2 g.d - d.(J^T J) d, in which (J^T J) d = -g - damping d - rest.
    for n in range(modes):
        for i in range(edges[n], edges[n + 1]):
            for r in range(0, rank, LANES):
                own = load(step, i, r, LANES)
                fall = scaled(damping, own, load(rest, i, r, LANES))
                fall = scaled(-1.0, load(gradient, i, r, LANES), fall)
                sum_ = multiplied(own, fall, sum_)
    return total(sum_), iterations


@jit
def _evaluate(x, shape, edges, stack, l2, left, misses, last, partial, gradient):
    """The sum of squares of a small dense tensor, and half its gradient (S x W), from the residual itself.

    x: (I_1 ... I_N-1) x I_N. left: the Khatri-Rao products of the first modes, level by level; last: the last factor
    transposed (W x I_N in whole vectors); misses: Y - X, its rows in whole vectors; partial: misses times that factor.
    """
    modes, rank, zero, top, rows = len(shape), stack.shape[1], edges[0], edges[0], shape[0]
    for i in range(rows):
        for r in range(rank):
            left[i, r] = stack[i, r]
    for k in range(1, modes - 1):
        for p in range(rows):
            for j in range(shape[k]):
                at = top + rows + p * shape[k] + j
                for r in range(0, rank, LANES):
                    row = load(left, top + p, r, LANES)
                    store(left, at, r, product(row, load(stack, edges[k] + j, r, LANES)))
        top, rows = top + rows, rows * shape[k]
    begin, columns = edges[modes - 1], shape[modes - 1]
    for q in range(columns):
        for r in range(rank):
            last[r, q] = stack[begin + q, r]
    _times(left, top, rows, last, zero, rank, misses, zero)
    squares = 0.0
    for p in range(rows):
        for q in range(columns):
            misses[p, q] -= x[p, q]
            squares += misses[p, q] * misses[p, q]
    _times(misses, zero, rows, stack, begin, columns, partial, zero)
    _inner(misses, zero, left, top, rows, columns, gradient, begin)
    for i in range(begin):
        for r in range(rank):
            gradient[i, r] = 0.0
    for k in range(modes - 2, 0, -1):
        rows //= shape[k]
        top -= rows
        for p in range(rows):
            for r in range(0, rank, LANES):
                row, sum_ = load(left, top + p, r, LANES), zeros(stack, LANES)
                for j in range(shape[k]):
                    own, at = load(partial, p * shape[k] + j, r, LANES), edges[k] + j
                    store(gradient, at, r, multiplied(own, row, load(gradient, at, r, LANES)))
                    sum_ = multiplied(own, load(stack, at, r, LANES), sum_)
                store(partial, p, r, sum_)
    for i in range(shape[0]):
        for r in range(rank):
            gradient[i, r] += partial[i, r]
    if l2 > 0.0:
        squares += l2 * lengths(stack, edges, l2, gradient)
    return squares


@jit
def lengths(stack, edges, l2, gradient):
    """The sum of the components' squared lengths; l2 times half its gradient is added to `gradient`."""
    modes, all_ = len(edges) - 1, 0.0
    for r in range(stack.shape[1]):
        square = 1.0
        for n in range(modes):
            sum_ = 0.0
            for i in range(edges[n], edges[n + 1]):
                sum_ += stack[i, r] * stack[i, r]
            square *= sum_
        all_ += square
        for n in range(modes):
            sum_ = 0.0
            for i in range(edges[n], edges[n + 1]):
                sum_ += stack[i, r] * stack[i, r]
            for i in range(edges[n], edges[n + 1]):
                gradient[i, r] += l2 * square / max(sum_, TINY) * stack[i, r]
    return all_


@jit
def _balance(stack, edges, gradient):
    """Gives a component's columns the same length in every mode, and returns the largest; the gradient follows."""
    modes, largest = len(edges) - 1, 0.0
    for r in range(stack.shape[1]):
        logarithm = 0.0
        for turn in range(2):
            for n in range(modes):
                sum_ = 0.0
                for i in range(edges[n], edges[n + 1]):
                    sum_ += stack[i, r] * stack[i, r]
                length = math.log(max(sum_, TINY)) / 2
                if turn == 0:
                    logarithm += length / modes
                else:
                    scale = math.exp(logarithm - length)
                    for i in range(edges[n], edges[n + 1]):
                        stack[i, r] *= scale
                        gradient[i, r] /= scale
        largest = max(largest, math.exp(logarithm))
    return largest


@jit
def accept(state, edges, stack, trial, gradient, coming):
    """Moves to a trial and its gradient, balanced; a damping under 0 becomes that part of J^T J's diagonal."""
    for i in range(stack.shape[0]):
        for r in range(stack.shape[1]):
            stack[i, r] = trial[i, r]
            gradient[i, r] = coming[i, r]
    longest = _balance(stack, edges, gradient)
    if state[0] < 0.0:
        state[0] = -state[0] * longest ** (2 * len(edges) - 4)


@jit
def descend(x, shape, edges, stack, l2, floor, tolerance, steps, most, cg_tolerance, state):
    """Levenberg-Marquardt steps on a small dense tensor x ((I_1 ... I_N-1) x I_N, |x| about 1), which change `stack`.

    tolerance: a step is slow if it lowers the sum of squares plus `floor` by less than this part of it. steps: at most.
    state: the damping and its growth, the squares, and the steps taken, which are added to; a damping under 0 is one
    relative to the largest number of J^T J's diagonal. Returns whether it has ended: converged, or at its precision.
    """
    modes, (rows, rank) = len(shape), stack.shape
    wide, levels = 1, 0
    for n in range(modes - 1):
        wide *= shape[n]
        levels += wide
    padded = (shape[modes - 1] + LANES - 1) // LANES * LANES
    left, misses, partial = np.empty((levels, rank)), np.zeros((wide, padded)), np.empty((wide, rank))
    last, step, trial = np.zeros((rank, padded)), np.zeros((rows, rank)), stack.copy()
    gradient, coming, free = np.zeros((rows, rank)), np.zeros((rows, rank)), np.ones((rows, rank))
    counts, promise = begun(state), 1.0
    for taken in range(steps + 1):
        found = _evaluate(x, shape, edges, trial, l2, left, misses, last, partial, coming)
        if judged(state, counts, found, promise, floor, tolerance):
            accept(state, edges, stack, trial, gradient, coming)
        if ended(state, counts, promise, floor):
            return True
        if taken < steps:
            promise, _ = newton_step(stack, edges, free, gradient, l2, state[0], most, cg_tolerance, step)
            state[3] += 1
            for i in range(rows):
                for r in range(rank):
                    trial[i, r] = stack[i, r] + step[i, r]
    return False
