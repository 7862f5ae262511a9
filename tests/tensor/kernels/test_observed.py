"""Gauss-Newton steps on observed entries: against the dense normal equations, and against those of whole tensors."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from polyadic.decomposition.cp.newton import stacked
from polyadic.tensor.kernels import gauss_newton, observed
from tests.tensor.kernels.test_gauss_newton import Array, problem

SHAPES = [(5, 4), (5, 4, 6), (3, 4, 2, 5), (2, 3, 2, 2, 3)]


def entries(shape: tuple[int, ...], part: float) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Places of a part of the entries in factors one above another, and their indices (M x N)."""
    index = np.argwhere(np.random.default_rng(1).random(shape) < part)
    return np.ascontiguousarray(index + np.concatenate([[0], np.cumsum(shape)])[:-1], np.int32), index


def model(stack: Array, places: NDArray[np.int32]) -> Array:
    return np.asarray(reduce(np.multiply, [stack[column] for column in places.T]).sum(1))


def jacobian(stack: Array, places: NDArray[np.int32]) -> Array:
    """The derivatives of the model's entries by every number of the stack, by differences."""
    columns, step = [], 1e-6
    for place in range(stack.size):
        shift = np.zeros(stack.size)
        shift[place] = step
        both = [model(stack + sign * shift.reshape(stack.shape), places) for sign in (1, -1)]
        columns.append((both[0] - both[1]) / (2 * step))
    return np.stack(columns, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 5])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_step_solves_the_damped_normal_equations(shape: tuple[int, ...], rank: int, l2: float) -> None:
    _, stack, edges = problem(shape, rank)
    places, _ = entries(shape, 0.6)
    derivatives, damping = jacobian(stack, places), 0.2
    ridge = np.empty((len(shape), stack.shape[1]))
    observed._ridge(stack, edges, l2, ridge)
    diagonal = np.concatenate([np.repeat(row[None], rows, 0) for row, rows in zip(ridge, shape, strict=True)])
    normal = derivatives.T @ derivatives + np.diag(diagonal.ravel())
    gradient = np.random.default_rng(2).standard_normal(stack.shape)
    gradient[:, rank:] = 0
    expected = -np.linalg.solve(normal + damping * np.eye(len(normal)), gradient.ravel())
    step = np.empty_like(stack)
    promise, iterations = observed.newton_step(places, stack, edges, gradient, l2, damping, 500, 1e-12, step)
    np.testing.assert_allclose(step.ravel(), expected, rtol=1e-6, atol=1e-8)
    assert promise == pytest.approx(-2 * gradient.ravel() @ expected - expected @ normal @ expected, rel=1e-6)
    assert 0 < iterations < 500


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_where_a_descent_on_the_whole_tensor_ends_one_on_every_entry_does(shape: tuple[int, ...], l2: float) -> None:
    tensor, stack, edges = problem(shape, 2)
    places, index = entries(shape, 2.0)
    values, flat, squares = tensor[tuple(index.T)], tensor.reshape(-1, shape[-1]), []
    for steps in (2000, 0):  # The second one tells the squares of where the first has ended.
        state = np.array([-0.1, 2.0, 0.0, 0.0])
        gauss_newton.descend(flat, np.array(shape), edges, stack, l2, 0.0, 1e-14, steps, 100, 1e-6, state)
        squares.append(float(state[2]))
    for steps in (0, 100):
        state = np.array([-0.1, 2.0, 0.0, 0.0])
        observed.descend(places, values, edges, stack, l2, 0.0, 1e-14, steps, 100, 1e-6, state)
        squares.append(float(state[2]))
    assert squares == pytest.approx([squares[0]] * 4, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_planted_is_found_from_a_part_of_the_entries(shape: tuple[int, ...]) -> None:
    """And every descent lowers the sum of squares."""
    random, edges = np.random.default_rng(3), np.concatenate([[0], np.cumsum(shape)])
    planted = stacked([random.standard_normal((rows, 1)) for rows in shape])[0]
    places, _ = entries(shape, 0.8)
    values = model(planted, places)
    values /= np.linalg.norm(values)
    least = []
    for _ in range(5):
        stack = stacked([random.standard_normal((rows, 1)) / rows**0.5 for rows in shape])[0]
        state, squares = np.array([-0.1, 2.0, 0.0, 0.0]), [np.inf]
        for _ in range(30):
            observed.descend(places, values, edges, stack, 0.0, 0.0, 1e-4, 10, 50, 1e-2, state)
            squares.append(float(((model(stack, places) - values) ** 2).sum()))
            assert state[2] == pytest.approx(squares[-1], rel=1e-6, abs=1e-20)
        assert all(after <= before + 1e-15 for before, after in itertools.pairwise(squares))
        least.append(squares[-1])
    assert min(least) < 1e-12


def test_rows_without_an_entry_stay_near_where_they_are() -> None:
    _, stack, edges = problem((5, 4, 6), 3)
    places, _ = entries((5, 4, 6), 2.0)
    places = places[places[:, 0] != 2]
    step, gradient = np.empty_like(stack), np.zeros_like(stack)
    gradient[3] = 0.1
    observed.newton_step(places, stack, edges, gradient, 0.0, 0.1, 100, 1e-9, step)
    assert not step[2].any() and step[3].any() and np.isfinite(step).all()
