"""Damped Gauss-Newton steps for CP on the observed entries of a tensor alone, on a CPU, by numba.

The factors of all modes lie in one array (S x W, float64), one above another, as in `gauss_newton`; `places` (M x N)
are the rows of each entry's N numbers in it. The least squares problem is the sum over the M entries of (x - y)² plus
l2 · sum over r of |a_r^(1)|² ... |a_r^(N)|²; J^T J has a block R x R for each row, and is never formed as a whole:
Tomasi and Bro, Chemometrics and Intelligent Laboratory Systems 2005; Acar, Dunlavy, Kolda and Mørup, Chemometrics and
Intelligent Laboratory Systems 2011.
"""

from __future__ import annotations

import numpy as np

from polyadic.tensor.kernels.damping import begun, ended, judged
from polyadic.tensor.kernels.gauss_newton import LANES, accept, inverse, lengths
from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import added, entry, load, multiplied, product, scaled, store, total, zeros


@jit
def _others(places, at, stack, others):
    """others[n] = the product of entry `at`'s rows of all modes but n (N x W); returns the model there."""
    modes, model = places.shape[1], zeros(stack, LANES)
    for r in range(0, stack.shape[1], LANES):
        before = load(stack, places[at, 0], r, LANES)
        for n in range(1, modes):
            store(others, n, r, before)
            before = product(before, load(stack, places[at, n], r, LANES))
        model = added(model, before)
        after = load(stack, places[at, modes - 1], r, LANES)
        for n in range(modes - 2, 0, -1):
            store(others, n, r, product(load(others, n, r, LANES), after))
            after = product(after, load(stack, places[at, n], r, LANES))
        store(others, 0, r, after)
    return total(model)


@jit
def _evaluate(places, values, edges, stack, l2, others, gradient):
    """The sum of squares, and half its gradient (S x W)."""
    rank, squares = stack.shape[1], 0.0
    for i in range(stack.shape[0]):
        for r in range(rank):
            gradient[i, r] = 0.0
    for at in range(len(values)):
        miss = _others(places, at, stack, others) - values[at]
        squares += miss * miss
        for n in range(places.shape[1]):
            i = places[at, n]
            for r in range(0, rank, LANES):
                store(gradient, i, r, scaled(miss, load(others, n, r, LANES), load(gradient, i, r, LANES)))
    if l2 > 0.0:
        squares += l2 * lengths(stack, edges, l2, gradient)
    return squares


@jit
def _ridge(stack, edges, l2, ridge):
    """ridge[n, r] = l2 times the squared lengths of column r in all modes but n (N x W).

    It is the diagonal of l2's part of J^T J, which stands for the whole part: steps may be too bold for that, and are
    then refused.
    """
    modes = len(edges) - 1
    for r in range(stack.shape[1]):
        for n in range(modes):
            square = l2
            for m in range(modes):
                if m != n:
                    sum_ = 0.0
                    for i in range(edges[m], edges[m + 1]):
                        sum_ += stack[i, r] * stack[i, r]
                    square *= sum_
            ridge[n, r] = square


@jit
def _inverses(places, stack, edges, ridge, damping, others, blocks, lower, inverses):
    """The inverse of each row's own block of J^T J + damping: (S W) x W, as `blocks` is."""
    rows, rank = stack.shape
    for i in range(rows * rank):
        for r in range(0, rank, LANES):
            store(blocks, i, r, zeros(stack, LANES))
    for at in range(len(places)):
        _others(places, at, stack, others)
        for n in range(places.shape[1]):
            block = places[at, n] * rank
            for s in range(rank):
                number = entry(others, n, s)
                if number == 0.0:
                    continue  # A column beyond the rank.
                for r in range(0, rank, LANES):
                    row = load(blocks, block + s, r, LANES)
                    store(blocks, block + s, r, scaled(number, load(others, n, r, LANES), row))
    for n in range(places.shape[1]):
        for i in range(edges[n], edges[n + 1]):
            for r in range(rank):
                blocks[i * rank + r, r] += ridge[n, r]
            inverse(blocks, i * rank, damping, lower, inverses, i * rank)


@jit
def _image(places, stack, edges, ridge, damping, others, direction, image):
    """image = (J^T J + damping) direction (S x W); returns their inner product."""
    rank = stack.shape[1]
    for n in range(places.shape[1]):
        for i in range(edges[n], edges[n + 1]):
            for r in range(rank):
                image[i, r] = (damping + ridge[n, r]) * direction[i, r]
    if places.shape[1] == 3:
        _image_of_three(places, stack, direction, image)
        return _inner(direction, image)
    for at in range(len(places)):
        _others(places, at, stack, others)
        sum_ = zeros(stack, LANES)
        for n in range(places.shape[1]):
            for r in range(0, rank, LANES):
                sum_ = multiplied(load(direction, places[at, n], r, LANES), load(others, n, r, LANES), sum_)
        change = total(sum_)
        for n in range(places.shape[1]):
            i = places[at, n]
            for r in range(0, rank, LANES):
                store(image, i, r, scaled(change, load(others, n, r, LANES), load(image, i, r, LANES)))
    return _inner(direction, image)


@jit
def _image_of_three(places, stack, direction, image):
    """Adds J^T J direction to image, for tensors of order 3: half of the time of the general way."""
    rank = stack.shape[1]
    for at in range(len(places)):
        i, j, k = places[at, 0], places[at, 1], places[at, 2]
        sum_ = zeros(stack, LANES)
        for r in range(0, rank, LANES):
            a, b, c = load(stack, i, r, LANES), load(stack, j, r, LANES), load(stack, k, r, LANES)
            sum_ = multiplied(load(direction, i, r, LANES), product(b, c), sum_)
            sum_ = multiplied(load(direction, j, r, LANES), product(a, c), sum_)
            sum_ = multiplied(load(direction, k, r, LANES), product(a, b), sum_)
        change = total(sum_)
        for r in range(0, rank, LANES):
            a, b, c = load(stack, i, r, LANES), load(stack, j, r, LANES), load(stack, k, r, LANES)
            store(image, i, r, scaled(change, product(b, c), load(image, i, r, LANES)))
            store(image, j, r, scaled(change, product(a, c), load(image, j, r, LANES)))
            store(image, k, r, scaled(change, product(a, b), load(image, k, r, LANES)))


@jit
def _inner(left, right):
    """The sum of left * right."""
    sum_ = zeros(left, LANES)
    for i in range(left.shape[0]):
        for r in range(0, left.shape[1], LANES):
            sum_ = multiplied(load(left, i, r, LANES), load(right, i, r, LANES), sum_)
    return total(sum_)


@jit
def newton_step(places, stack, edges, gradient, l2, damping, most, tolerance, step):
    """step = -(J^T J + damping I)^-1 gradient (S x W), as that of `gauss_newton`; returns (promise, iterations)."""
    (rows, rank), modes = stack.shape, len(edges) - 1
    others, ridge, lower = np.empty((modes, rank)), np.empty((modes, rank)), np.empty((rank, rank))
    blocks, inverses = np.empty((rows * rank, rank)), np.empty((rows * rank, rank))
    rest, solved = np.empty((rows, rank)), np.empty((rows, rank))
    direction, image = np.zeros((rows, rank)), np.empty((rows, rank))
    _ridge(stack, edges, l2, ridge)
    _inverses(places, stack, edges, ridge, damping, others, blocks, lower, inverses)
    for i in range(rows):
        for r in range(rank):
            step[i, r], rest[i, r] = 0.0, -gradient[i, r]
    size, first, iterations = 0.0, 0.0, 0
    while True:
        for i in range(rows):
            for r in range(0, rank, LANES):
                sum_ = zeros(stack, LANES)
                for s in range(rank):
                    sum_ = scaled(entry(rest, i, s), load(inverses, i * rank + s, r, LANES), sum_)
                store(solved, i, r, sum_)
        larger = _inner(rest, solved)
        if iterations == 0:
            first = larger
        if iterations == most or not larger > tolerance * tolerance * first:
            break
        turn = larger / size if iterations else 0.0
        size = larger
        for i in range(rows):
            for r in range(0, rank, LANES):
                store(direction, i, r, scaled(turn, load(direction, i, r, LANES), load(solved, i, r, LANES)))
        curvature = _image(places, stack, edges, ridge, damping, others, direction, image)
        if not curvature > 0.0:
            break
        length = size / curvature
        for i in range(rows):
            for r in range(0, rank, LANES):
                store(step, i, r, scaled(length, load(direction, i, r, LANES), load(step, i, r, LANES)))
                store(rest, i, r, scaled(-length, load(image, i, r, LANES), load(rest, i, r, LANES)))
        iterations += 1
    # -2 g.d - d.(J^T J) d, in which (J^T J) d = -g - damping d - rest.
    return _inner(step, rest) - _inner(step, gradient) + damping * _inner(step, step), iterations


@jit
def descend(places, values, edges, stack, l2, floor, tolerance, steps, most, cg_tolerance, state):
    """Levenberg-Marquardt steps on observed entries (|values| about 1), which change `stack`.

    Everything else, and what is returned, is as in `gauss_newton.descend`.
    """
    modes, shape = len(edges) - 1, stack.shape
    others, step, trial = np.empty((modes, shape[1])), np.zeros(shape), stack.copy()
    gradient, coming = np.zeros(shape), np.zeros(shape)
    counts, promise = begun(state), 1.0
    for taken in range(steps + 1):
        found = _evaluate(places, values, edges, trial, l2, others, coming)
        if judged(state, counts, found, promise, floor, tolerance):
            accept(state, edges, stack, trial, gradient, coming)
        if ended(state, counts, promise, floor):
            return True
        if taken < steps:
            promise, _ = newton_step(places, stack, edges, gradient, l2, state[0], most, cg_tolerance, step)
            state[3] += 1
            for i in range(shape[0]):
                for r in range(shape[1]):
                    trial[i, r] = stack[i, r] + step[i, r]
    return False
