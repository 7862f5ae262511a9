"""A ridge on the weight of mapped samples is the penalty on differences that it stands for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyadic.regression import Product, tensor_regression
from polyadic.regression.smoothing import mapped, smoothed, smoothing, unmapped
from polyadic.regression.weights import WEIGHTS
from tests.regression.cases import drawn_weight

SHAPE = (17, 3, 20)
STRENGTH = 5.0


def operator(rows: int) -> torch.Tensor:
    """1 + s D'D by its entries."""
    matrix = torch.eye(rows, dtype=torch.float64)
    for row in range(rows - 1):
        matrix[row, row] += STRENGTH
        matrix[row + 1, row + 1] += STRENGTH
        matrix[row, row + 1] -= STRENGTH
        matrix[row + 1, row] -= STRENGTH
    return matrix


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_the_norm_is_that_of_differences_and_scores_stay(name: str) -> None:
    weight = drawn_weight(name, SHAPE)
    maps = smoothing(SHAPE, STRENGTH)
    assert list(maps) == [0, 2]  # A mode of 3 rows stays.
    full, x = weight.full()[..., 0].double(), torch.randn(40, *SHAPE, dtype=torch.float64)
    expected = torch.einsum("abc,ax,cz,xbz->", full, operator(17), operator(20), full)
    scores = weight.scores(x)
    mapped(weight, maps)
    assert weight.norm_squared() == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(weight.scores(smoothed(x, maps)), scores)
    unmapped(weight, maps)
    torch.testing.assert_close(weight.full()[..., 0].double(), full)


def test_a_vector_has_the_ridge_of_its_differences() -> None:
    """Of one mode the fit is a linear system that can be written down."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 25, generator=generator, dtype=torch.float64)
    label = x @ torch.sin(torch.arange(25.0, dtype=torch.float64) / 4) + torch.randn(30, generator=generator).double()
    found = tensor_regression(x, label, 1, wd=0.1, smoothness=STRENGTH).weight.full()[:, 0]
    centred = x - x.mean(0)
    # wd is measured in the mean square of the mapped samples.
    size = smoothed(x, smoothing((25,), STRENGTH)).square().mean()
    system = centred.T @ centred / 30 + 0.1 * size * operator(25)
    torch.testing.assert_close(found, torch.linalg.solve(system, centred.T @ label / 30), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_small_differences_weigh_more_where_there_are_edges(name: str) -> None:
    weight = drawn_weight(name, SHAPE)
    unfolded = weight.full()[..., 0].double().movedim(2, 0).reshape(20, -1)
    squares = torch.diff(unfolded, dim=0).square().sum(1)
    each = 1 / (squares / squares.max() + 0.03**2)
    differences = torch.diff(torch.eye(20, dtype=torch.float64), dim=0)
    expected = torch.eye(20, dtype=torch.float64) + STRENGTH * differences.T @ torch.diag(each) @ differences
    found = torch.linalg.inv(smoothing(SHAPE, STRENGTH, weight)[2])
    torch.testing.assert_close(found @ found, expected, rtol=1e-4, atol=1e-4)
    nothing = WEIGHTS[name].of_tensors({key: torch.zeros_like(part) for key, part in weight.tensors().items()})
    even = smoothing(SHAPE, STRENGTH, nothing)
    assert all(torch.equal(even[mode], own) for mode, own in smoothing(SHAPE, STRENGTH).items())


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_edges_come_out_sharp_and_a_stop_ends_the_rounds(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    full = torch.zeros(20, 18)
    full[5:12, 4:11] = 1
    x = torch.randn(250, 20, 18, generator=generator)
    label = x.flatten(1) @ full.flatten() + torch.randn(250, generator=generator)
    sweeps = 0

    def counted(_: object) -> bool:
        nonlocal sweeps
        sweeps += 1
        return sweeps != 3

    options: dict[str, Any] = {"weight": name, "wd": 0.1, "smoothness": 16.0}
    errors = [
        float((tensor_regression(x, label, 1, edges=edges, **options).weight.full()[..., 0] - full).norm())
        for edges in (False, True)
    ]
    assert errors[1] < 0.5 * errors[0]
    tensor_regression(x, label, 1, edges=True, restarts=1, after_sweep=counted, **options)
    assert sweeps == 3


def test_a_fit_goes_on_where_it_ended() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 16, 4, generator=generator)
    label = x[:, 3, 1] + x[:, 4, 1]
    first = tensor_regression(x, label, 1, wd=0.01, smoothness=3.0)
    again = tensor_regression(x, label, 1, wd=0.01, smoothness=3.0, init=first.weight, max_sweeps=1)
    assert again.objective[-1] == pytest.approx(first.objective[-1], rel=1e-3)


def test_products_and_no_strength_are_left_alone() -> None:
    parts = tuple(torch.randn(50, 20, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    label = parts[0][:, 0] * parts[1][:, 0]
    fits = [tensor_regression(Product(parts), label, 1, smoothness=strength) for strength in (0.0, 9.0)]
    torch.testing.assert_close(fits[0].weight.full(), fits[1].weight.full())
    assert smoothing(SHAPE, 0.0) == {}
