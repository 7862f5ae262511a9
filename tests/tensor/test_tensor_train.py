"""Trains from their cores alone against the full tensor; TensorLy as the oracle."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorly
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_ranks import feasible_ranks
from tests.helpers.tensors import random_train

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5)
ranks = st.integers(1, 4)
seeds = st.integers(0, 1000)
few = settings(max_examples=30, deadline=None)


def by_einsum(train: TensorTrain) -> Tensor:
    bonds, modes = "abcdefg", "tuvwxyz"
    order = len(train.cores)
    terms = ",".join(f"{bonds[n]}{modes[n]}{bonds[n + 1]}" for n in range(order))
    return torch.einsum(f"{terms}->{modes[:order]}", *train.cores)


def every_index(shape: Sequence[int]) -> Tensor:
    return torch.tensor(list(np.ndindex(*shape)))


@few
@given(shapes, ranks, seeds)
def test_the_full_tensor_is_the_product_of_the_matrices(shape: list[int], rank: int, seed: int) -> None:
    train = random_train(shape, rank, seed)
    assert train.shape == tuple(shape)
    assert train.ranks == (1, *[rank] * (len(shape) - 1), 1)
    torch.testing.assert_close(train.full(), by_einsum(train))
    torch.testing.assert_close(train.at(every_index(shape)).reshape(shape), by_einsum(train))


def test_many_entries_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    train = random_train((4, 5, 6), 3)
    monkeypatch.setattr("polyadic.tensor.tensor_train.WORK_NUMBERS", 60)
    torch.testing.assert_close(train.at(every_index((4, 5, 6))).reshape(4, 5, 6), train.full())
    assert train.at(torch.zeros(0, 3, dtype=torch.int64)).shape == (0,)


@few
@given(shapes, ranks, seeds, st.data())
def test_a_slice_keeps_the_modes_of_its_nulls(shape: list[int], rank: int, seed: int, data: st.DataObject) -> None:
    train = random_train(shape, rank, seed)
    index = [data.draw(st.none() | st.integers(0, rows - 1)) for rows in shape]
    expected = by_einsum(train)[tuple(builtins.slice(None) if row is None else row for row in index)]
    torch.testing.assert_close(train.slice(index), expected)


def test_a_slice_of_a_large_tensor_makes_no_more_than_itself() -> None:
    train = random_train((10**5, 3, 10**5, 4), 2)
    assert train.slice([7, None, 5, None]).shape == (3, 4)
    assert train.slice([None, 0, 5, 1]).shape == (10**5,)
    expected = train.at(torch.tensor([[7, 2, 5, 1]]))[0]
    torch.testing.assert_close(train.slice([7, None, 5, 1])[2], expected)


@few
@given(shapes, ranks, ranks, seeds)
def test_norm_and_inner_product_are_the_full_tensors(shape: list[int], rank: int, other: int, seed: int) -> None:
    first, second = random_train(shape, rank, seed), random_train(shape, other, seed + 1)
    size = float(first.full().norm() * second.full().norm())
    assert first.norm() == pytest.approx(float(first.full().norm()), rel=1e-10)
    assert first.inner(second) == pytest.approx(float((first.full() * second.full()).sum()), abs=1e-10 * size)
    assert first.inner(first) == pytest.approx(first.norm() ** 2, rel=1e-10)


@few
@given(shapes, ranks, ranks, seeds, st.floats(-5, 5))
def test_sums_and_multiples_are_the_full_tensors(
    shape: list[int], rank: int, other: int, seed: int, number: float
) -> None:
    first, second = random_train(shape, rank, seed), random_train(shape, other, seed + 1)
    torch.testing.assert_close((first + second).full(), first.full() + second.full())
    torch.testing.assert_close((first - second).full(), first.full() - second.full())
    torch.testing.assert_close((number * first).full(), number * first.full())
    torch.testing.assert_close((first * number).full(), number * first.full())
    assert (first + second).ranks[1:-1] == tuple([rank + other] * (len(shape) - 1))


def test_the_norm_of_a_small_difference_is_not_drowned() -> None:
    """By the inner product it would be 1e-8 |X| or more."""
    train = random_train((5, 6, 7), 3)
    other = TensorTrain([train.cores[0] + 1e-13, *train.cores[1:]])
    exact = TensorTrain([torch.full_like(train.cores[0], 1e-13), *train.cores[1:]]).norm()
    assert (train - other).norm() == pytest.approx(exact, rel=1e-2)


@few
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(1, 6), seeds, st.floats(1e-10, 0.9))
@example([2, 4, 1, 2, 2], 4, 45, 0.25)
def test_rounding_stays_under_its_tolerance(shape: list[int], rank: int, seed: int, tol: float) -> None:
    train = random_train(shape, rank, seed)
    rounded = train.round(tol=tol)
    assert (train - rounded).norm() <= (tol + 1e-14) * train.norm()
    assert all(low <= high for low, high in zip(rounded.ranks, train.ranks, strict=True))
    assert rounded.ranks == (1, *feasible_ranks(shape, rounded.ranks[1:-1], None), 1)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("limits", [{"tol": 1e-9}, {"max_rank": 9}, {"tol": 0.0}])
def test_rounding_finds_the_ranks_of_a_sum_with_itself(dtype: torch.dtype, tol: float, limits: dict[str, Any]) -> None:
    train = random_train((6, 7, 8, 5), 3, dtype=dtype)
    rounded = (train + train).round(**limits)
    assert rounded.ranks == train.ranks
    assert (rounded - 2 * train).norm() <= tol * rounded.norm()
    assert rounded.cores[0].dtype == dtype


def test_rounding_to_ranks_leaves_out_the_least() -> None:
    """Of a matrix, the truncated SVD."""
    train = random_train((8, 9), 6)
    rounded = train.round(max_rank=2)
    values = torch.linalg.svdvals(train.full())
    assert (train - rounded).norm() == pytest.approx(float(values[2:].norm()))
    assert rounded.ranks == (1, 2, 1)
    assert random_train((4, 5, 6), 4).round(max_rank=[2, 3]).ranks == (1, 2, 3, 1)


def test_rounding_is_the_same_whatever_the_signs() -> None:
    train = random_train((5, 6, 7), 3)
    other = TensorTrain([-train.cores[0], train.cores[1], -train.cores[2]])
    for mine, theirs in zip(train.round(max_rank=3).cores, other.round(max_rank=3).cores, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_zero_rounds_to_rank_1() -> None:
    rounded = (0 * random_train((4, 5, 6), 3)).round(tol=0.1)
    assert rounded.ranks == (1, 1, 1, 1) and rounded.norm() == 0


def slabs_of(tensor: Tensor, mode: int) -> Tensor:
    return tensor.movedim(mode, 0)


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_a_slab_of_the_tensor_is_embedded_as_its_own_matrix(mode: int, gaps: float) -> None:
    train = random_train((5, 6, 4, 7), 3)
    slabs = slabs_of(train.full(), mode).clone()
    slabs[torch.rand(slabs.shape, generator=torch.Generator().manual_seed(1)) < gaps] = math.nan
    embedding, rest = train.embed(mode, slabs)
    torch.testing.assert_close(embedding, train.cores[mode].transpose(0, 1).flatten(1))
    assert rest.max() < 1e-12


@pytest.mark.parametrize("mode", range(3))
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_an_embedding_is_the_least_squares_one(mode: int, gaps: float) -> None:
    train, random = random_train((5, 6, 4), 2), torch.Generator().manual_seed(2)
    shape = [rows for n, rows in enumerate(train.shape) if n != mode]
    slabs = torch.randn(3, *shape, generator=random, dtype=torch.float64)
    slabs[torch.rand(slabs.shape, generator=random) < gaps] = math.nan
    embedding, rest = train.embed(mode, slabs)
    width = embedding.shape[1]
    basis = torch.stack([extended(train, mode, unit).flatten() for unit in torch.eye(width, dtype=torch.float64)], 1)
    for number, slab in enumerate(slabs.flatten(1)):
        seen = ~slab.isnan()
        expected = torch.linalg.lstsq(basis[seen], slab[seen, None], driver="gelsd")
        torch.testing.assert_close(embedding[number], expected.solution[:, 0])
        miss = (slab[seen] - basis[seen] @ embedding[number]).norm() / slab[seen].norm()
        assert float(rest[number]) == pytest.approx(float(miss))


def extended(train: TensorTrain, mode: int, matrix: Tensor) -> Tensor:
    """The slab whose matrix in a mode is the given one."""
    core = train.cores[mode]
    cores = [*train.cores[:mode], matrix.reshape(core.shape[0], 1, core.shape[2]), *train.cores[mode + 1 :]]
    return TensorTrain(cores).full().squeeze(mode)


def test_a_slab_without_an_entry_has_no_residual_and_one_of_zeros_has_none_left() -> None:
    train = random_train((5, 6, 4), 2)
    slabs = torch.stack([torch.full((6, 4), math.nan), torch.zeros(6, 4)]).double()
    embedding, rest = train.embed(0, slabs)
    assert not embedding.any()
    assert rest[0].isnan() and rest[1] == 0
    assert train.embed(1, torch.zeros(0, 5, 4))[0].shape == (0, 4)


def test_an_embedding_where_the_other_cores_are_deficient_is_the_shortest() -> None:
    train = random_train((5, 6, 4), 2)
    double = TensorTrain([train.cores[0], train.cores[1], train.cores[2][:1].repeat(2, 1, 1)])
    slab = slabs_of(double.full(), 0)
    embedding, rest = double.embed(0, slab)
    assert rest.max() < 1e-12 and embedding.isfinite().all()


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_a_train_goes_to_tensorly_and_back(backend: str) -> None:
    train = random_train((4, 5, 6), 3)
    with tensorly.backend_context(backend):
        theirs = train.to_tensorly()
        assert isinstance(theirs, tensorly.tt_tensor.TTTensor)
        assert tuple(theirs.rank) == train.ranks
        np.testing.assert_allclose(tensorly.to_numpy(theirs.to_tensor()), train.full().numpy())
        back = TensorTrain.from_tensorly(theirs)
    assert all(torch.equal(mine, other) for mine, other in zip(train.cores, back.cores, strict=True))
    assert math.isnan(back.relative_error)


def test_trains_of_different_shapes_are_refused() -> None:
    train, other = random_train((2, 3), 1), random_train((3, 2), 1)
    for attempt in (train.inner, train.__add__, train.__sub__):
        with pytest.raises(UserError, match=r"the trains have shapes \(2, 3\) and \(3, 2\)"):
            attempt(other)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "neither tol nor max_rank is given: set tol"),
        ({"tol": -0.1}, r"tol is -0\.1: it must be a relative error, 0 or more"),
        ({"tol": math.nan}, "tol is nan"),
        ({"max_rank": 0}, "max_rank is 0: it must be a whole number, 1 or more"),
        ({"max_rank": [2]}, r"max_rank is \[2\]: give one number, or a list of 2"),
        ({"max_rank": [2, 0]}, r"max_rank\[1\] is 0"),
    ],
)
def test_limits_that_say_nothing_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        random_train((2, 3, 4), 2).round(**limits)
