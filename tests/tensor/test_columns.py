"""Sampled columns of an unfolding against the dense unfolding, and draws against their distribution."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.columns import Columns, Rows, khatri_rao_at
from polyadic.tensor.dense import unfold
from polyadic.tensor.layout import distribute
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.stack import Stack
from tests.helpers.tensors import sparse


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(7, 5, 6), (4, 5, 3, 6), (40, 1, 9)])
@pytest.mark.parametrize("rank", [1, 8, 20, 50, 70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_product_is_that_of_the_dense_columns(shape: tuple[int, ...], rank: int, dtype: torch.dtype) -> None:
    tensor = sparse(shape, 0.3)
    tensor = SparseTensor(tensor.indices, tensor.values.to(dtype), shape)
    block, random = distribute(tensor, World.alone()), torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random, dtype=torch.float64).to(dtype) for rows in shape]
    stack = Stack(shape)
    for mode in range(len(shape)):
        others = [m for m in range(len(shape)) if m != mode]
        index = torch.stack([torch.randint(shape[m], (3000,), generator=random) for m in others])
        scale = torch.rand(3000, generator=random, dtype=torch.float64).to(dtype)
        sampled = khatri_rao_at(index, stack.of(factors), [stack.start[m] for m in others], scale)
        rows = torch.stack([factors[m][some] for m, some in zip(others, index, strict=True)]).prod(0)
        torch.testing.assert_close(sampled[:, :rank], scale[:, None] * rows)
        found = Columns.of(block, mode).product(index, scale, sampled, shape[mode])[:, :rank]
        column = torch.zeros(3000, dtype=torch.int64)
        for m, some in zip(others, index, strict=True):
            column = column * shape[m] + some
        expected = unfold(tensor.to_dense(), mode)[:, column].double() @ (scale[:, None] * sampled)[:, :rank].double()
        assert (found - expected).norm() <= (1e-4 if dtype == torch.float32 else 1e-12) * expected.norm()


def test_columns_without_nonzeros_add_nothing() -> None:
    empty = SparseTensor(torch.zeros(3, 0, dtype=torch.int32), torch.zeros(0), (3, 4, 5))
    columns = Columns.of(distribute(empty, World.alone()), 0)
    assert not columns.product(torch.tensor([[0, 3], [4, 0]]), torch.ones(2), torch.ones(2, 8), 3).any()


@settings(deadline=None)  # The first call compiles.
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30).filter(lambda one: sum(one) > 0.01), st.integers(0, 99))
def test_a_draw_is_the_first_row_whose_cumulative_probability_is_larger(weights: list[float], seed: int) -> None:
    probabilities = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    uniform = torch.rand(200, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    uniform[:2] = torch.tensor([0.0, 1 - 2**-53])
    chance = torch.full((200,), 2.0, dtype=torch.float64)
    drawn = Rows(probabilities).draw(uniform, chance)
    cumulative = probabilities.cumsum(0)
    expected = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(weights) - 1)
    assert torch.equal(drawn, expected)
    assert torch.equal(chance, 2 * probabilities[expected])


def test_more_columns_than_keys_can_count_are_refused() -> None:
    huge = SparseTensor(torch.zeros(4, 1, dtype=torch.int32), torch.ones(1), (3, 2**21, 2**21, 2**21))
    with pytest.raises(UserError, match=r"2\^62 columns or more.*Use method als"):
        Columns.of(distribute(huge, World.alone()), 0)
