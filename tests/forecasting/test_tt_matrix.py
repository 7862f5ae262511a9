"""Matrices as tensor trains: their factors, their dense form, their products."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.forecasting.tt_matrix import TensorTrainMatrix, factors


@given(st.integers(1, 5000), st.integers(1, 6))
def test_factors_are_nearly_equal_and_hardly_more_than_the_number(number: int, order: int) -> None:
    found = factors(number, order)
    assert len(found) == order and max(found) - min(found) <= 1
    assert math.prod(found) >= number
    assert order == 1 or math.prod(sorted(found)[:-1]) * (max(found) - 1) < number or set(found) == {1}


@pytest.mark.parametrize(
    ("rows", "columns", "order", "rank"), [(12, 5, 1, 3), (64, 16, 2, 3), (30, 7, 3, 2), (1, 1, 4, 5)]
)
def test_a_product_is_that_of_the_dense_matrix(rows: int, columns: int, order: int, rank: int) -> None:
    torch.manual_seed(0)
    matrix, x = TensorTrainMatrix(rows, columns, order, rank, 1.0), torch.randn(4, columns)
    dense = matrix.dense()
    assert dense.shape == (rows, columns)
    torch.testing.assert_close(matrix(x), x @ dense.T, atol=1e-4, rtol=1e-4)


def test_an_entry_is_the_product_of_its_cores_matrices() -> None:
    matrix = TensorTrainMatrix(6, 4, 2, 3, 1.0)
    first, second = matrix.cores
    assert first.shape == (1, 3, 2, 3) and second.shape == (3, 2, 2, 1)
    torch.testing.assert_close(matrix.dense()[5, 2], (first[:, 2, 1] @ second[:, 1, 0])[0, 0])


@pytest.mark.parametrize(("order", "rank"), [(1, 1), (2, 4), (3, 3)])
def test_entries_have_the_deviation_asked_for(order: int, rank: int) -> None:
    torch.manual_seed(1)
    spreads = [float(TensorTrainMatrix(128, 125, order, rank, 0.1).dense().std().detach()) for _ in range(40)]
    assert sum(spreads) / len(spreads) == pytest.approx(0.1, rel=0.15)
