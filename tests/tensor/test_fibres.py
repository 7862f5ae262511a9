"""The kernels over trees against the plain form, compressed or not, for any order, rank and precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.tensor.fibres import COMPRESSED_FROM, Stack, entries, mttkrp, padded, pieces, plant
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse import mttkrp as plain
from tests.helpers.tensors import sparse

shapes = st.lists(st.integers(1, 6), min_size=2, max_size=6)
ranks = st.sampled_from([1, 3, 8, 9, 16, 17, 50, 130])


def factors_for(shape: list[int], rank: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, rank, generator=random, dtype=torch.float64).to(dtype) for rows in shape]


@pytest.mark.parametrize("compressed_from", [0.0, 1e9], ids=["fibres", "nonzeros"])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, rank=ranks, seed=st.integers(0, 100))
def test_in_float64_a_kernel_agrees_with_its_oracle(
    compressed_from: float, shape: list[int], rank: int, seed: int
) -> None:
    tensor = sparse(shape, 0.4, seed)
    factors, stack = factors_for(shape, rank, torch.float64, seed), Stack(shape)
    for mode in range(len(shape)):
        tree = plant(tensor, mode, compressed_from=compressed_from)
        torch.testing.assert_close(mttkrp(tree, stack.of(factors), rank), plain(tensor, factors, mode))
        model = entries(tree, stack.of(factors))
        inner = (plain(tensor, factors, mode) * factors[mode]).sum()
        torch.testing.assert_close((model * tree.values).sum(), inner, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("compressed_from", [0.0, 1e9])
def test_in_float32_a_kernel_agrees_to_its_precision(order: int, compressed_from: float) -> None:
    shape = [40, 30, 50, 20][:order]
    tensor = sparse(shape, 0.3, dtype=torch.float32)
    factors, stack = factors_for(shape, 20, torch.float32), Stack(shape)
    for mode in range(order):
        tree = plant(tensor, mode, compressed_from=compressed_from)
        expected = plain(tensor.to(torch.float64), [factor.double() for factor in factors], mode)
        found = mttkrp(tree, stack.of(factors), 20).double()
        assert (found - expected).norm() < 1e-5 * expected.norm()


def test_entries_are_the_models_at_each_nonzero() -> None:
    shape = [5, 6, 7]
    tensor, factors = sparse(shape, 0.3), factors_for([5, 6, 7], 4, torch.float64)
    whole = torch.einsum("ir,jr,kr->ijk", *factors)
    for mode in range(3):
        tree = plant(tensor, mode)
        ones = tree.with_values(torch.ones_like(tree.values))
        assert entries(ones, Stack(shape).of(factors)).sum().item() == pytest.approx(
            whole[tuple(tensor.indices.long())].sum().item()
        )


def test_fibres_are_compressed_where_they_are_long() -> None:
    long = plant(SparseTensor.of(torch.ones(3, 4, 9)), 0)
    assert long.ends is not None and len(long.others) == 12 and COMPRESSED_FROM < 9
    short = plant(sparse([30, 40, 50], 0.01), 0)
    assert short.ends is None and len(short.others) == len(short.values)
    assert long.bytes < short.bytes * len(long.values) / len(short.values)


def test_rows_are_divided_by_nonzeros() -> None:
    dense = torch.zeros(50, 20, 20)
    dense[7] = 1
    dense[:, 0, 0] = 1
    tree = plant(SparseTensor.of(dense), 0)
    assert tree.edges[0] == 0 and tree.edges[-1] == 50 and tree.edges == sorted(tree.edges)
    assert tree.edges[1] in (7, 8), "row 7 holds most of the nonzeros"


def test_an_empty_block_gives_zeros() -> None:
    empty = SparseTensor(torch.empty(3, 0, dtype=torch.int32), torch.empty(0), (4, 5, 6))
    tree, stack = plant(empty, 1), Stack([4, 5, 6]).of([torch.ones(n, 2) for n in (4, 5, 6)])
    assert torch.equal(mttkrp(tree, stack, 2), torch.zeros(5, 2))
    assert entries(tree, stack).shape == (0,)


def test_a_stack_copies_what_is_new_alone() -> None:
    stack, factors = Stack([2, 3]), factors_for([2, 3], 2, torch.float32)
    first = stack.of(factors).clone()
    factors[0].mul_(2)
    assert torch.equal(stack.of(factors), first), "the same object is taken to be unchanged"
    factors[1] = factors[1] * 3
    assert torch.equal(stack.of(factors)[2:, :2], factors[1])
    assert stack.of(factors_for([2, 3], 9, torch.float32)).shape == (5, 16)


@given(st.integers(1, 300), st.sampled_from([torch.float32, torch.float64]))
def test_pieces_cover_every_column_once(rank: int, dtype: torch.dtype) -> None:
    width, at = padded(rank, dtype), 0
    for column, wide in pieces(width, dtype):
        assert column == at and wide & (wide - 1) == 0
        at += wide
    assert at == width >= rank
