"""The kernels over trees against the plain form, compressed or not, for any order, rank and precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse import mttkrp as plain_mttkrp
from polyadic.tensor.stack import Stack
from polyadic.tensor.tree import Tree
from polyadic.tensor.tree_products import entries, mttkrp
from tests.helpers.tensors import normal_factors, sparse

shapes = st.lists(st.integers(1, 6), min_size=2, max_size=6)
ranks = st.sampled_from([1, 3, 8, 9, 16, 17, 50, 130])


def entries_in_the_order_of(tree: Tree, factors: list[Tensor], tensor: SparseTensor) -> Tensor:
    """The model's entries at the nonzeros of a tensor without duplicates, in the order in which a tree has them."""
    numbers = SparseTensor(tensor.indices, torch.arange(len(tensor.values)), tensor.shape)
    indices = tensor.indices[:, Tree.of(numbers, tree.mode).values.long()].long()
    rows = [factor[mode_index] for factor, mode_index in zip(factors, indices, strict=True)]
    return torch.stack(rows).prod(0).sum(1)


@pytest.mark.slow
@pytest.mark.parametrize("nonzeros_per_fibre", [0.0, 1e9], ids=["fibres", "nonzeros"])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, rank=ranks, seed=st.integers(0, 100))
def test_in_float64_a_kernel_agrees_with_its_oracle(
    nonzeros_per_fibre: float, shape: list[int], rank: int, seed: int
) -> None:
    tensor = sparse(shape, 0.4, seed)
    factors, stack = normal_factors(shape, rank, torch.float64, seed), Stack(shape)
    for mode in range(len(shape)):
        tree = Tree.of(tensor, mode, nonzeros_per_fibre=nonzeros_per_fibre)
        torch.testing.assert_close(mttkrp(tree, stack.of(factors), rank), plain_mttkrp(tensor, factors, mode))
        expected = entries_in_the_order_of(tree, factors, tensor)
        torch.testing.assert_close(entries(tree, stack.of(factors)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("nonzeros_per_fibre", [0.0, 1e9])
def test_in_float32_a_kernel_agrees_to_its_precision(order: int, nonzeros_per_fibre: float) -> None:
    shape = [40, 30, 50, 20][:order]
    tensor = sparse(shape, 0.3, dtype=torch.float32)
    factors, stack = normal_factors(shape, 20, torch.float32), Stack(shape)
    for mode in range(order):
        tree = Tree.of(tensor, mode, nonzeros_per_fibre=nonzeros_per_fibre)
        expected = plain_mttkrp(tensor.to(torch.float64), [factor.double() for factor in factors], mode)
        product = mttkrp(tree, stack.of(factors), 20).double()
        assert (product - expected).norm() < 1e-5 * expected.norm()
        expected = entries_in_the_order_of(tree, [factor.double() for factor in factors], tensor)
        model = entries(tree, stack.of(factors)).double()
        assert (model - expected).norm() < 1e-5 * expected.norm()


def test_an_empty_block_gives_zeros() -> None:
    empty = SparseTensor(torch.empty(3, 0, dtype=torch.int32), torch.empty(0), (4, 5, 6))
    tree, stack = Tree.of(empty, 1), Stack([4, 5, 6]).of([torch.ones(rows, 2) for rows in (4, 5, 6)])
    assert torch.equal(mttkrp(tree, stack, 2), torch.zeros(5, 2))
    assert entries(tree, stack).shape == (0,)
