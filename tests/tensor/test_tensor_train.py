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
from polyadic.tensor.dense import Slab
from polyadic.tensor.tensor_train import TensorTrain, enough, feasible_ranks, positive, residual

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5)
ranks = st.integers(1, 4)
seeds = st.integers(0, 1000)
few = settings(max_examples=30, deadline=None)


def random_train(shape: Sequence[int], rank: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> TensorTrain:
    random = torch.Generator().manual_seed(seed)
    wide = [1, *([rank] * (len(shape) - 1)), 1]
    cores = [
        torch.randn(wide[n], rows, wide[n + 1], generator=random, dtype=torch.float64) for n, rows in enumerate(shape)
    ]
    return TensorTrain([core.to(dtype) for core in cores])


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


def test_entries_are_found_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    train = random_train((4, 5, 6), 3)
    monkeypatch.setattr("polyadic.tensor.tensor_train.AT_ONCE", 60)
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
    one, two = random_train(shape, rank, seed), random_train(shape, other, seed + 1)
    size = float(one.full().norm() * two.full().norm())
    assert one.norm() == pytest.approx(float(one.full().norm()), rel=1e-10)
    assert one.inner(two) == pytest.approx(float((one.full() * two.full()).sum()), abs=1e-10 * size)
    assert one.inner(one) == pytest.approx(one.norm() ** 2, rel=1e-10)


@few
@given(shapes, ranks, ranks, seeds, st.floats(-5, 5))
def test_sums_and_multiples_are_the_full_tensors(
    shape: list[int], rank: int, other: int, seed: int, number: float
) -> None:
    one, two = random_train(shape, rank, seed), random_train(shape, other, seed + 1)
    torch.testing.assert_close((one + two).full(), one.full() + two.full())
    torch.testing.assert_close((one - two).full(), one.full() - two.full())
    torch.testing.assert_close((number * one).full(), number * one.full())
    torch.testing.assert_close((one * number).full(), number * one.full())
    assert (one + two).ranks[1:-1] == tuple([rank + other] * (len(shape) - 1))


def test_the_norm_of_a_small_difference_is_not_drowned() -> None:
    """The inner product would say some 1e-8 |X| at best."""
    one = random_train((5, 6, 7), 3)
    other = TensorTrain([one.cores[0] + 1e-13, *one.cores[1:]])
    exact = TensorTrain([torch.full_like(one.cores[0], 1e-13), *one.cores[1:]]).norm()
    assert (one - other).norm() == pytest.approx(exact, rel=1e-2)


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
    basis = torch.stack([extended(train, mode, one).flatten() for one in torch.eye(width, dtype=torch.float64)], 1)
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


@few
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), ranks, seeds, st.data())
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
    monkeypatch.setattr("polyadic.tensor.tensor_train.TILE", 1500)
    torch.testing.assert_close(residual(Slab.whole(tensor), train.cores), (tensor - train.full()).square().sum())


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


def test_without_tensorly_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorly", None)
    with pytest.raises(UserError, match="TensorLy is not installed here: pip install tensorly"):
        random_train((2, 2), 1).to_tensorly()


def test_trains_of_different_shapes_are_refused() -> None:
    one, other = random_train((2, 3), 1), random_train((3, 2), 1)
    for attempt in (one.inner, one.__add__, one.__sub__):
        with pytest.raises(UserError, match=r"the trains have shapes \(2, 3\) and \(3, 2\)"):
            attempt(other)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "neither tol nor max_rank is given: set tol"),
        ({"tol": -0.1}, r"tol is -0\.1: it must be a relative error, 0 or more"),
        ({"tol": math.nan}, "tol is nan"),
        ({"max_rank": 0}, "max_rank is 0: it must be 1 or more, or a list of 2 such numbers for a tensor of 3 modes"),
        ({"max_rank": [2]}, r"max_rank is \[2\]: it must be 1 or more, or a list of 2"),
        ({"max_rank": [2, 0]}, r"max_rank is \[2, 0\]"),
    ],
)
def test_limits_that_say_nothing_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        random_train((2, 3, 4), 2).round(**limits)


def test_ranks_are_capped_by_the_shape() -> None:
    assert feasible_ranks((3, 4, 5), 100, None) == [3, 5]
    assert feasible_ranks((2, 3, 50, 3), [100, 100, 100], None) == [2, 6, 3]
    assert feasible_ranks((9, 3, 9), [1, 9], None) == [1, 3]
    assert feasible_ranks((9, 3, 9), [9, 1], None) == [3, 1]
    assert feasible_ranks((3, 4, 5), None, 0.1) == [3, 5]


def test_enough_is_the_least_whose_rest_is_allowed() -> None:
    squares = torch.tensor([4.0, 2.0, 1.0, 0.0])
    assert [enough(squares, allowed, 9) for allowed in (0, 0.9, 1, 2.9, 3, 6.9, 7, 100)] == [3, 3, 2, 2, 1, 1, 1, 1]
    assert enough(squares, 0, 2) == 2
    assert enough(torch.zeros(3), 0, 2) == 1


def test_signs_make_the_largest_entry_positive() -> None:
    columns = torch.tensor([[1.0, -3.0, 0.0], [-2.0, 1.0, 0.0]])
    assert positive(columns).tolist() == [-1, -1, 1]
