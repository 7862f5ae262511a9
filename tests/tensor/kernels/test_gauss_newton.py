"""The kernels of Gauss-Newton steps against the Jacobian itself, and against the same sums by numpy."""

from __future__ import annotations

import itertools
import math
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from polyadic.tensor.kernels import gauss_newton

Array = NDArray[np.float64]
SHAPES = [(7, 5), (5, 4, 6), (3, 4, 2, 5), (2, 3, 2, 3, 2)]


def problem(shape: tuple[int, ...], rank: int, seed: int = 0) -> tuple[Array, Array, NDArray[np.int64]]:
    """A tensor of norm 1, a stack of factors in whole registers, and its edges."""
    random = np.random.default_rng(seed)
    edges = np.concatenate([[0], np.cumsum(shape)])
    stack = np.zeros((sum(shape), math.ceil(rank / gauss_newton.LANES) * gauss_newton.LANES))
    stack[:, :rank] = random.standard_normal((sum(shape), rank)) / 2
    tensor = random.standard_normal(shape)
    return tensor / np.linalg.norm(tensor), stack, edges


def model(stack: Array, edges: NDArray[np.int64]) -> Array:
    """The tensor of a stack."""
    factors = [stack[begin:end] for begin, end in itertools.pairwise(edges)]
    rows = reduce(lambda a, b: (a[:, None] * b).reshape(-1, stack.shape[1]), factors)
    return np.asarray(rows.sum(1).reshape([len(factor) for factor in factors]))


def residuals(tensor: Array, stack: Array, edges: NDArray[np.int64], l2: float) -> Array:
    """What is squared: the misfit, and the length of each component times the root of l2."""
    lengths = [np.linalg.norm(stack[begin:end], axis=0) for begin, end in itertools.pairwise(edges)]
    return np.concatenate([(model(stack, edges) - tensor).ravel(), math.sqrt(l2) * reduce(np.multiply, lengths)])


def jacobian(tensor: Array, stack: Array, edges: NDArray[np.int64], l2: float) -> Array:
    """The derivatives of the misfit and of the components, whose squared lengths l2 multiplies, by differences.

    For l2 the components themselves take the place of their lengths: the sum of squares is the same.
    """

    def values(flat: Array) -> Array:
        moved = flat.reshape(stack.shape)
        factors = [moved[begin:end] for begin, end in itertools.pairwise(edges)]
        rows = reduce(lambda a, b: (a[:, None] * b).reshape(-1, stack.shape[1]), factors)
        return np.concatenate([rows.sum(1) - tensor.ravel(), math.sqrt(l2) * rows.ravel()])

    columns, step = [], 1e-6
    for place in range(stack.size):
        shift = np.zeros(stack.size)
        shift[place] = step
        columns.append((values(stack.ravel() + shift) - values(stack.ravel() - shift)) / (2 * step))
    return np.stack(columns, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 4])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_step_solves_the_damped_normal_equations(shape: tuple[int, ...], rank: int, l2: float) -> None:
    tensor, stack, edges = problem(shape, rank)
    derivatives = jacobian(tensor, stack, edges, l2)
    normal, damping = derivatives.T @ derivatives, 0.2
    gradient = np.random.default_rng(1).standard_normal(stack.shape)
    gradient[:, rank:] = 0
    expected = -np.linalg.solve(normal + damping * np.eye(len(normal)), gradient.ravel())
    step = np.empty_like(stack)
    promise, iterations = gauss_newton.newton_step(
        stack, edges, np.ones_like(stack), gradient, l2, damping, 500, 1e-12, step
    )
    np.testing.assert_allclose(step.ravel(), expected, rtol=1e-6, atol=1e-8)
    assert promise == pytest.approx(-2 * gradient.ravel() @ expected - expected @ normal @ expected, rel=1e-6)
    assert 0 < iterations < 500


def test_modes_that_are_held_do_not_move() -> None:
    tensor, stack, edges = problem((5, 4, 6), 3)
    derivatives = jacobian(tensor, stack, edges, 0.0).reshape(-1, *stack.shape)
    moving = np.r_[0:5, 9:15]
    own = derivatives[:, moving].reshape(len(derivatives), -1)
    gradient, step = np.random.default_rng(1).standard_normal(stack.shape), np.empty_like(stack)
    gradient[:, 3:] = 0
    free = np.ones_like(stack)
    free[5:9] = 0
    gauss_newton.newton_step(stack, edges, free, gradient, 0.0, 0.1, 500, 1e-12, step)
    expected = -np.linalg.solve(own.T @ own + 0.1 * np.eye(own.shape[1]), gradient[moving].ravel())
    assert not step[5:9].any()
    np.testing.assert_allclose(step[moving].ravel(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_descent_begins_at_the_sum_of_squares_and_lowers_it(shape: tuple[int, ...], l2: float) -> None:
    tensor, stack, edges = problem(shape, 3)
    squares = [float((residuals(tensor, stack, edges, l2) ** 2).sum())]
    flat, sizes = tensor.reshape(-1, shape[-1]), np.array(shape)
    for steps in (0, 1, 1, 5, 2000):
        state = np.array([-0.1, 2.0, 0.0, 0.0])
        ended = gauss_newton.descend(flat, sizes, edges, stack, l2, 0.0, 1e-9, steps, 100, 1e-6, state)
        squares.append(float((residuals(tensor, stack, edges, l2) ** 2).sum()))
        assert state[2] == pytest.approx(squares[-1], rel=1e-9)
        assert squares[-1] <= squares[-2] * (1 + 1e-12) and state[3] <= steps
        assert ended or steps < 2000
    # At its end the gradient, by differences of the sum of squares, is zero.
    for place in ((0, 0), (edges[1], 1), (edges[-1] - 1, 2)):
        moved = []
        for sign in (1, -1):
            other = stack.copy()
            other[place] += sign * 1e-4
            moved.append(float((residuals(tensor, other, edges, l2) ** 2).sum()))
        assert moved[0] - moved[1] == pytest.approx(0, abs=1e-6)


def test_an_exact_tensor_is_met_to_the_last_digit() -> None:
    _, planted, edges = problem((6, 5, 4), 3, seed=3)
    tensor = model(planted, edges)
    tensor /= np.linalg.norm(tensor)
    stack, state = problem((6, 5, 4), 3, seed=4)[1], np.array([-0.1, 2.0, 0.0, 0.0])
    assert gauss_newton.descend(
        tensor.reshape(-1, 4), np.array([6, 5, 4]), edges, stack, 0.0, 0.0, 1e-6, 300, 50, 1e-2, state
    )
    assert state[2] < 1e-24 and state[3] < 100
