"""Sparse tensors against their dense forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.tensor import dense
from polyadic.tensor.sparse import SparseTensor, mode_product, mttkrp, sorting, unfold
from tests.helpers.tensors import sparse

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=5)
seeds = st.integers(0, 1000)


@settings(max_examples=30, deadline=None)
@given(shapes, seeds)
def test_a_sparse_tensor_is_its_dense_form(shape: list[int], seed: int) -> None:
    tensor = sparse(shape, 0.5, seed)
    assert torch.equal(SparseTensor.of(tensor.to_dense()).to_dense(), tensor.to_dense())
    for mode in range(len(shape)):
        assert torch.equal(unfold(tensor, mode).to_dense(), dense.unfold(tensor.to_dense(), mode))


@settings(max_examples=30, deadline=None)
@given(shapes, seeds)
def test_products_equal_the_dense_ones(shape: list[int], seed: int) -> None:
    tensor, random = sparse(shape, 0.5, seed), torch.Generator().manual_seed(seed)
    factors = [torch.randn(rows, 3, generator=random, dtype=torch.float64) for rows in shape]
    for mode, rows in enumerate(shape):
        torch.testing.assert_close(mttkrp(tensor, factors, mode), dense.mttkrp(tensor.to_dense(), factors, mode))
        matrix = torch.randn(2, rows, generator=random, dtype=torch.float64)
        expected = torch.tensordot(matrix, tensor.to_dense(), dims=([1], [mode])).movedim(0, mode)
        found = mode_product(tensor, matrix, mode)
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found, expected)
        if len(shape) > 2:
            vector = mode_product(tensor, matrix[0], mode)
            assert isinstance(vector, SparseTensor)
            torch.testing.assert_close(vector.to_dense(), expected.select(mode, 0))


def test_nonzeros_of_one_place_are_summed_and_counted() -> None:
    index = torch.tensor([[1, 0, 1, 1], [2, 0, 2, 0]], dtype=torch.int32)
    tensor, fewer = SparseTensor(index, torch.tensor([1.0, 2.0, 3.0, 4.0]), (2, 3)).coalesce()
    assert fewer == 1
    assert tensor.indices.tolist() == [[0, 1, 1], [0, 0, 2]] and tensor.values.tolist() == [2, 4, 4]


def test_sorting_is_stable_and_takes_the_first_mode_slowest() -> None:
    index = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0]], dtype=torch.int32)
    assert sorting(index, [0, 1]).tolist() == [3, 1, 0, 2]
    assert sorting(index, [1, 0]).tolist() == [3, 0, 2, 1]


@pytest.mark.parametrize(
    ("index", "values", "shape", "message"),
    [
        ([[0, 3]], [1.0, 2.0], (3,), "mode 0 has indices from 0 to 3: they must be from 0 to 2"),
        ([[0], [-1]], [1.0], (3, 3), "mode 1 has indices from -1 to -1"),
        ([[0], [1]], [1.0, 2.0], (3, 3), r"indices are \(2, 1\): for 2 values of a tensor of order 2 they must be"),
        ([[0], [1]], [1.0], (3, 2**31), "a mode has 2147483648 rows: 2147483647 at most"),
    ],
)
def test_what_is_no_sparse_tensor_is_refused(
    index: list[list[int]], values: list[float], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        SparseTensor(torch.tensor(index, dtype=torch.int32), torch.tensor(values), shape)


def test_an_unfolding_or_product_too_large_is_refused() -> None:
    index = torch.zeros(4, 1, dtype=torch.int32)
    tensor = SparseTensor(index, torch.ones(1), (2, 2**22, 2**22, 2**20))
    with pytest.raises(UserError, match="18446744073709551616 columns"):
        unfold(tensor, 0)
    with pytest.raises(UserError, match="is dense"):
        mode_product(tensor, torch.ones(3, 2), 0)
