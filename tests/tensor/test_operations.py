"""Operations on dense and sparse tensors give the same answers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import polyadic.tensor
from polyadic.errors import UserError
from polyadic.tensor import SparseTensor, operations
from tests.helpers.tensors import sparse

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=5)


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(0, 100))
def test_folding_undoes_unfolding(shape: list[int], seed: int) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    for mode in range(len(shape)):
        assert torch.equal(operations.fold(operations.unfold(tensor, mode), mode, shape), tensor)


@settings(max_examples=30, deadline=None)
@given(shapes, st.integers(0, 100), st.data())
def test_products_along_several_modes_agree(shape: list[int], seed: int, data: st.DataObject) -> None:
    tensor, random = sparse(shape, 0.5, seed), torch.Generator().manual_seed(seed)
    modes = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True, max_size=len(shape) - 1))
    operands = [
        torch.randn([shape[m]] if data.draw(st.booleans()) else [2, shape[m]], generator=random, dtype=torch.float64)
        for m in modes
    ]
    product = operations.multi_mode_product(tensor, operands, modes)
    dense = product.to_dense() if isinstance(product, SparseTensor) else product
    expected = operations.multi_mode_product(tensor.to_dense(), operands, modes)
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(dense, expected)


def test_mttkrp_agrees() -> None:
    tensor = sparse((5, 4, 6), 0.5)
    factors = [torch.randn(rows, 3, dtype=torch.float64) for rows in tensor.shape]
    for mode in range(3):
        product = operations.mttkrp(tensor, factors, mode)
        torch.testing.assert_close(product, operations.mttkrp(tensor.to_dense(), factors, mode))


def test_contractions_agree() -> None:
    tensor, matrix = sparse((5, 4, 6), 0.5), torch.randn(4, 3, dtype=torch.float64)
    expected = torch.einsum("ijk,jr->rik", tensor.to_dense(), matrix)
    torch.testing.assert_close(operations.contract("ijk,jr->rik", tensor, matrix), expected)
    torch.testing.assert_close(operations.contract("ijk,jr->rik", tensor.to_dense(), matrix), expected)


@pytest.mark.parametrize("modes", [[0, 0], [0]])
def test_modes_given_twice_or_too_few_are_refused(modes: list[int]) -> None:
    for tensor in (sparse((5, 4, 6), 0.5), torch.ones(5, 4, 6)):
        with pytest.raises(UserError, match="for 2 operands: give a different mode for each"):
            operations.multi_mode_product(tensor, [torch.ones(5)] * 2, modes)


def test_the_package_names_what_it_exports() -> None:
    assert all(hasattr(polyadic.tensor, name) for name in polyadic.tensor.__all__)
    assert polyadic.tensor.mttkrp is operations.mttkrp
