"""Sweeps of the Tucker decomposition over a small dense tensor on a CPU, by numba: whole fits in one call.

X is J_1 x ... x J_N in float64, N >= 2, in one array; it may stand for a larger one, X ×_n U^(n) of I_1 x ... x I_N.
Tensors are flat, their last mode the one that runs fastest. Matrices of all modes stand in one array, one above another
and with columns of no meaning after the rank; rows `at[n]` to `at[n + 1]` of it are those of mode n.

`sizes`: the shape J; the ranks; the number of modes in the left half of a sweep.
`model`: the factors (J_n x R_n), their rows `at`, and the core G (R_1 ... R_N).
`cone`: None for orthonormal factors. For nonnegative ones, those of the larger tensor, A (I_n x R_n), of which the
model has U^T A; their rows; the Gram matrices of A; U (I_n x J_n); flags, 0 for a mode whose U is the identity.
`rooms`: ROOMS flat arrays of as many numbers as G, or a product of X with one factor: no rank is above its mode's J.
`small`: for nonnegative factors, three matrices of as many rows as a mode has, or a rank, and as many columns as ranks.
"""

from __future__ import annotations

import math

import numpy as np

from polyadic.tensor.kernels.jit import jit, within

POWER_STEPS = 4
"""Steps of subspace iteration in one update of an orthonormal factor."""
COLUMN_PASSES = 5
"""Passes over the columns of a nonnegative factor in one sweep."""
CORE_STEPS = 20
"""Gradient steps of a nonnegative core in one sweep."""
LOST = 1e-10
"""What is left of a column after others have been taken out of it is round-off below this part of it."""
TRUSTED = 1e-13
"""The part of |X|² below which a difference of squares is no error."""
MODE_ROOM, GRAM_ROOM, TARGET_ROOM, ROOMS = 2, 4, 6, 7
"""The first of the two rooms of products of X with all factors but one; of those of G with Gram matrices; the room of
X ×_n A^(n)T; all rooms."""
GOING, CONVERGED, UNTRUSTED = 0, 1, 2
"""How a call ends: all sweeps were made; the error changes no more; the error is round-off."""


@within
def _sides(dims, mode):
    """How many entries there are before and after an entry of a mode."""
    left, right = 1, 1
    for other in range(len(dims)):
        if other < mode:
            left *= dims[other]
        elif other > mode:
            right *= dims[other]
    return left, right


@within
def _contract(source, left, rows, right, matrix, top, columns, out):
    """out (left x columns x right) = source (left x rows x right) times a matrix (rows x columns)."""
    for before in range(left):
        first = before * columns * right
        for place in range(first, first + columns * right):
            out[place] = 0.0
        for row in range(rows):
            begin = (before * rows + row) * right
            for column in range(columns):
                weight, place = matrix[top + row, column], first + column * right
                if right == 1:
                    out[place] += weight * source[begin]
                else:
                    for after in range(right):
                        out[place + after] += weight * source[begin + after]


@within
def _project(source, dims, matrices, at, columns, begin, end, but, rooms, first):
    """The product of a tensor of shape `dims` with matrices of the modes `begin` to `end`, without that of mode `but`.

    It is written to one of the two rooms from number `first` on; `dims` becomes its shape.
    """
    room = first
    for mode in range(begin, end):  # The last one, whose products run over few numbers at a time, on the fewest.
        if mode == but:
            continue
        (left, right), out = _sides(dims, mode), rooms[room]
        _contract(source, left, dims[mode], right, matrices, at[mode], columns[mode], out)
        dims[mode] = columns[mode]
        source, room = out, 2 * first + 1 - room
    return source


@within
def _paired(one, other, left, rows, columns, right, out):
    """out (rows x columns): the sums of one (left x rows x right) times other (left x columns x right)."""
    for row in range(rows):
        for column in range(columns):
            sum_ = 0.0
            for before in range(left):
                begin, place = (before * rows + row) * right, (before * columns + column) * right
                for after in range(right):
                    sum_ += one[begin + after] * other[place + after]
            out[row, column] = sum_


@within
def _orthonormal(matrix, top, rows, columns):
    """Makes columns orthonormal in their order, by Gram and Schmidt, twice; one that is lost becomes another."""
    spare = 0
    for column in range(columns):
        before, length = 0.0, 0.0
        for row in range(rows):
            before += matrix[top + row, column] ** 2
        passes = 0
        while passes < 2:
            for other in range(column):
                sum_ = 0.0
                for row in range(rows):
                    sum_ += matrix[top + row, other] * matrix[top + row, column]
                for row in range(rows):
                    matrix[top + row, column] -= sum_ * matrix[top + row, other]
            length = 0.0
            for row in range(rows):
                length += matrix[top + row, column] ** 2
            passes += 1
            if length <= LOST**2 * before or before == 0.0:
                for row in range(rows):
                    matrix[top + row, column] = 1.0 if row == spare else 0.0
                spare, passes, before = spare + 1, 0 if spare < rows else 2, 1.0
        length = math.sqrt(length) if spare <= rows else 1.0  # More columns than rows: what is left over is zeros.
        for row in range(rows):
            matrix[top + row, column] /= length


@within
def _powers(projected, left, rows, right, columns, factors, top):
    """Subspace iteration on the unfolding of `projected` (left x rows x right), which begins at a factor's columns."""
    inner = np.empty((left * right, columns))
    for _ in range(POWER_STEPS):
        inner[:] = 0.0
        for before in range(left):
            for row in range(rows):
                begin = (before * rows + row) * right
                for after in range(right):
                    entry, place = projected[begin + after], before * right + after
                    for column in range(columns):
                        inner[place, column] += entry * factors[top + row, column]
        _orthonormal(inner, 0, left * right, columns)
        for row in range(rows):
            for column in range(columns):
                factors[top + row, column] = 0.0
            for before in range(left):
                begin = (before * rows + row) * right
                for after in range(right):
                    entry, place = projected[begin + after], before * right + after
                    for column in range(columns):
                        factors[top + row, column] += entry * inner[place, column]
    _orthonormal(factors, top, rows, columns)


@within
def _columns_in_turn(factors, top, rows, columns, target, products):
    """Lowers |X - A B|² over A >= 0, a column at a time: target = X B^T (rows x columns), products = B B^T."""
    for _ in range(COLUMN_PASSES):
        for column in range(columns):
            scale = max(products[column, column], 1e-300)
            for row in range(rows):
                misfit = target[row, column]
                for other in range(columns):
                    misfit -= factors[top + row, other] * products[other, column]
                factors[top + row, column] = max(0.0, factors[top + row, column] + misfit / scale)


@within
def _normalise(factors, top, rows, ranks, mode, core):
    """Columns of length 1, whose lengths go to the core; a column of zeros stays one."""
    left, right = _sides(ranks, mode)
    for column in range(ranks[mode]):
        length = 0.0
        for row in range(rows):
            length += factors[top + row, column] ** 2
        if length == 0.0:
            continue
        length = math.sqrt(length)
        for row in range(rows):
            factors[top + row, column] /= length
        for before in range(left):
            begin = (before * ranks[mode] + column) * right
            for place in range(begin, begin + right):
                core[place] *= length


@within
def _follow(cone, mode, model, columns):
    """What follows from a nonnegative factor A: its Gram matrix, and U^T A, which the model has."""
    (factors, at, grams, u, based), (inner, inner_at, _) = cone, model
    first = mode * grams.shape[1]
    for one in range(columns):
        for other in range(one + 1):
            sum_ = 0.0
            for row in range(at[mode], at[mode + 1]):
                sum_ += factors[row, one] * factors[row, other]
            grams[first + one, other] = grams[first + other, one] = sum_
    for row in range(inner_at[mode + 1] - inner_at[mode]):
        for column in range(columns):
            sum_ = 0.0
            if based[mode]:
                for place in range(at[mode], at[mode + 1]):
                    sum_ += u[place, row] * factors[place, column]
            else:
                sum_ = factors[at[mode] + row, column]
            inner[inner_at[mode] + row, column] = sum_


@within
def _nonnegative_factor(projected, dims, mode, ranks, model, cone, rooms, small):
    """The update of a factor by hierarchical alternating least squares, and what follows from it."""
    (factors, at, grams, u, based), core = cone, model[2]
    columns, rows, (left, right) = ranks[mode], at[mode + 1] - at[mode], _sides(dims, mode)
    narrow, target, products = small[0], small[1], small[2]
    _paired(projected, core, left, dims[mode], columns, right, narrow)
    if based[mode]:
        target[:rows, :columns] = 0.0
        for row in range(rows):
            for inner in range(dims[mode]):
                weight = u[at[mode] + row, inner]
                for column in range(columns):
                    target[row, column] += weight * narrow[inner, column]
    else:
        target[:rows, :columns] = narrow[:rows, :columns]
    around, gram_at = ranks.copy(), np.arange(len(ranks)) * grams.shape[1]
    image = _project(core, around, grams, gram_at, ranks, 0, len(ranks), mode, rooms, GRAM_ROOM)
    _paired(image, core, left, columns, columns, right, products)
    _columns_in_turn(factors, at[mode], rows, columns, target, products)
    _normalise(factors, at[mode], rows, ranks, mode, core)
    _follow(cone, mode, model, columns)


@within
def _value(core, image, target):
    """<G, G ×_n grams> / 2 - <G, target>."""
    sum_ = 0.0
    for place in range(len(core)):
        sum_ += core[place] * (image[place] / 2 - target[place])
    return sum_


@within
def _nonnegative_core(core, target, grams, ranks, rooms):
    """Lowers `_value` over G >= 0 by FISTA, which starts anew where that would grow; the value that it ends at.

    Beck and Teboulle, SIAM J. Imaging Sci. 2009, with the restart of O'Donoghue and Candès, Found. Comput. Math. 2015.
    """
    bound, gram_at = 1.0, np.arange(len(ranks)) * grams.shape[1]
    for mode in range(len(ranks)):  # The largest sum of a row is no less than the largest eigenvalue.
        largest = 0.0
        for row in range(ranks[mode]):
            sum_ = 0.0
            for column in range(ranks[mode]):
                sum_ += grams[gram_at[mode] + row, column]
            largest = max(largest, sum_)
        bound *= largest
    image = _project(core, ranks.copy(), grams, gram_at, ranks, 0, len(ranks), -1, rooms, GRAM_ROOM)
    best_image, ahead, ahead_image = image[: len(core)].copy(), core.copy(), image[: len(core)].copy()
    new, momentum, restarted, value = np.empty_like(core), 1.0, True, _value(core, image, target)
    for _ in range(CORE_STEPS):
        for place in range(len(core)):
            new[place] = max(0.0, ahead[place] - (ahead_image[place] - target[place]) / max(bound, 1e-300))
        image = _project(new, ranks.copy(), grams, gram_at, ranks, 0, len(ranks), -1, rooms, GRAM_ROOM)
        new_value = _value(new, image, target)
        if new_value > value:
            if restarted:
                break
            ahead[:], ahead_image[:], momentum, restarted = core, best_image, 1.0, True
            continue
        coming = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        push = (momentum - 1) / coming
        for place in range(len(core)):
            ahead[place] = new[place] + push * (new[place] - core[place])
            ahead_image[place] = image[place] + push * (image[place] - best_image[place])
            core[place], best_image[place] = new[place], image[place]
        value, momentum, restarted = new_value, coming, False
    return value


@jit
def sweeps(x, sizes, model, cone, rooms, small, squares, most, tolerance, errors):
    """Up to `most` sweeps over all modes, until the relative error changes by less than `tolerance`.

    squares: |X|². errors: before the last sweep, and after it. Returns how it ends, and how many sweeps were made.
    """
    (shape, ranks, cut), (factors, at, core) = sizes, model
    last = len(shape) - 1
    if cone is not None:
        for mode in range(last + 1):
            _follow(cone, mode, model, ranks[mode])
    for sweep in range(most):
        projected, dims = x, shape.copy()
        for half in range(2):
            begin, end = (0, cut) if half == 0 else (cut, last + 1)
            halved = shape.copy()
            shared = _project(x, halved, factors, at, ranks, cut - begin, last + 1 + cut - end, -1, rooms, 0)
            for mode in range(begin, end):
                dims[:] = halved
                projected = _project(shared, dims, factors, at, ranks, begin, end, mode, rooms, MODE_ROOM)
                if cone is None:
                    left, right = _sides(dims, mode)
                    _powers(projected, left, dims[mode], right, ranks[mode], factors, at[mode])
                else:
                    _nonnegative_factor(projected, dims, mode, ranks, model, cone, rooms, small)
        target, explained = rooms[TARGET_ROOM], 0.0
        _contract(projected, len(core) // ranks[last], shape[last], 1, factors, at[last], ranks[last], target)
        if cone is None:
            core[:] = target[: len(core)]
            for number in core:
                explained += number * number
        else:
            explained = -2 * _nonnegative_core(core, target, cone[2], ranks, rooms)
        left_over = squares - explained
        errors[0], errors[1] = errors[1], math.sqrt(max(0.0, left_over) / squares)
        if not left_over > TRUSTED * squares:
            return UNTRUSTED, sweep + 1
        if abs(errors[0] - errors[1]) < tolerance:
            return CONVERGED, sweep + 1
    return GOING, most
