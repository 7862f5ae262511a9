"""Products of neighbouring cores against the full tensor."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.tensor.dense import Slab
from polyadic.tensor.train_cores import left_interface, left_rows, residual, right_interface, right_rows, whole
from tests.helpers.tensors import random_train


def test_interfaces_are_the_products_at_every_index() -> None:
    cores = random_train((3, 4, 2, 5), 3).cores
    full = torch.einsum("aib,bjc,ckd,dle->ijkl", *cores)
    torch.testing.assert_close(whole(cores), full)
    for cut in range(1, 4):
        left, right = left_interface(cores[:cut]), right_interface(cores[cut:])
        assert left.shape[1] == right.shape[0] == 3
        torch.testing.assert_close((left @ right).reshape(full.shape), full)


def test_rows_are_those_of_the_interfaces() -> None:
    cores = random_train((3, 4, 2, 5), 3).cores
    index = torch.tensor([[2, 1, 0, 4], [0, 3, 1, 2]])
    left, right = left_interface(cores[:2]), right_interface(cores[2:])
    torch.testing.assert_close(left_rows(cores[:2], index), left[index[:, 0] * 4 + index[:, 1]])
    torch.testing.assert_close(right_rows(cores[2:], index), right.T[index[:, 2] * 5 + index[:, 3]])
    assert torch.equal(left_rows([], index), torch.ones(2, 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 4), st.integers(0, 1000), st.data())
def test_the_residual_of_a_slab_is_that_of_the_reconstruction(
    shape: list[int], rank: int, seed: int, data: st.DataObject
) -> None:
    train = random_train(shape, rank, seed)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mode = data.draw(st.integers(0, len(shape) - 1))
    first = data.draw(st.integers(0, shape[mode]))
    count = data.draw(st.integers(0, shape[mode] - first))
    slab = Slab(tensor.narrow(mode, first, count).contiguous(), tuple(shape), mode, first)
    expected = (slab.local - train.full().narrow(mode, first, count)).square().sum()
    torch.testing.assert_close(residual(slab, train.cores), expected)


def test_the_residual_is_taken_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    train = random_train((30, 40, 20), 2)
    tensor = torch.ones(30, 40, 20, dtype=torch.float64)
    monkeypatch.setattr("polyadic.tensor.train_cores.TILE_NUMBERS", 1500)
    torch.testing.assert_close(residual(Slab.whole(tensor), train.cores), (tensor - train.full()).square().sum())
