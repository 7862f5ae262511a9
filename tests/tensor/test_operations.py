"""The dictionary of operations: dense and sparse answers agree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic import tensor as operations
from polyadic.errors import UserError
from polyadic.tensor import SparseTensor
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
    found = operations.multi_mode_product(tensor, operands, modes)
    dense = found.to_dense() if isinstance(found, SparseTensor) else found
    expected = operations.multi_mode_product(tensor.to_dense(), operands, modes)
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(dense, expected)


@pytest.mark.parametrize(
    "spec",
    [
        "ijk,jr,kr->ir",
        "ijk,jr,kr->ri",
        "jr,ijk->ikr",
        "ijk,ir,jr,kr->r",
        "ijk->j",
        "ijk->",
        "ijk,ab,bj->kai",
        "ijk,i->jk",
    ],
)
def test_contractions_of_a_sparse_tensor_are_the_dense_ones(spec: str) -> None:
    tensor, random = sparse((5, 4, 6), 0.5), torch.Generator().manual_seed(0)
    sizes = {"i": 5, "j": 4, "k": 6, "r": 3, "a": 2, "b": 7}
    terms = spec.split("->")[0].split(",")
    operands = [
        tensor if term == "ijk" else torch.randn([sizes[one] for one in term], generator=random, dtype=torch.float64)
        for term in terms
    ]
    dense = [one.to_dense() if isinstance(one, SparseTensor) else one for one in operands]
    torch.testing.assert_close(operations.contract(spec, *operands), torch.einsum(spec, *dense))
    torch.testing.assert_close(operations.contract(spec, *dense), torch.einsum(spec, *dense))


def test_mttkrp_agrees() -> None:
    tensor = sparse((5, 4, 6), 0.5)
    factors = [torch.randn(rows, 3, dtype=torch.float64) for rows in tensor.shape]
    for mode in range(3):
        found = operations.mttkrp(tensor, factors, mode)
        torch.testing.assert_close(found, operations.mttkrp(tensor.to_dense(), factors, mode))


@pytest.mark.parametrize("spec", ["ijk,jr", "ijk,jr,kr->ir", "iik,jr->r", "ij,jr->r", "ijk,zr->r"])
def test_a_spec_that_does_not_fit_is_refused(spec: str) -> None:
    with pytest.raises(UserError):
        operations.contract(spec, sparse((5, 4, 6), 0.5), torch.ones(4, 3))
    with pytest.raises(UserError, match="a different mode for each"):
        operations.multi_mode_product(sparse((5, 4, 6), 0.5), [torch.ones(5)] * 2, [0, 0])
