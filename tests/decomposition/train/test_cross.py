"""TT-cross: exact trains and smooth functions from few of their values, and rows of maximal volume."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.decomposition.train.cross import VOLUME_GAIN, entries_of, maxvol, tensor_cross
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.tensor_train import TensorTrain
from tests.helpers.ranks import on_ranks


class Counted:
    """A function of indices, and how many values it was asked for."""

    def __init__(self, function: Any) -> None:
        self.function, self.count = function, 0

    def __call__(self, index: Tensor) -> Tensor:
        assert index.dtype == torch.int64 and index.ndim == 2
        self.count += len(index)
        values: Tensor = self.function(index)
        return values


def random_train(shape: tuple[int, ...], rank: int, seed: int = 0) -> TensorTrain:
    random = torch.Generator().manual_seed(seed)
    wide = [1, *([rank] * (len(shape) - 1)), 1]
    return TensorTrain(
        [torch.randn(wide[n], rows, wide[n + 1], generator=random, dtype=torch.float64) for n, rows in enumerate(shape)]
    )


@pytest.mark.parametrize(("order", "most"), [(2, 10_000), (3, 10_000), (5, 30_000), (10, 80_000)])
@pytest.mark.parametrize("rank", [1, 4, 8])
def test_an_exact_train_is_recovered_from_few_of_its_entries(order: int, most: int, rank: int) -> None:
    train = random_train((20,) * order, rank)
    function = Counted(train.at)
    found = tensor_cross(function, train.shape, max_rank=20, tol=1e-10)
    assert found.ranks == train.ranks
    assert (train - found).norm() < 1e-9 * train.norm()
    assert found.relative_error < 1e-10
    assert function.count < most


def one_over(index: Tensor) -> Tensor:
    return 1 / (1 + index.double().sum(1))


FUNCTIONS: dict[str, Any] = {
    "1 / (1 + sum)": one_over,
    "root": lambda index: (1 + index.double().square().sum(1)).sqrt(),
    "sine": lambda index: index.double().sum(1).sin(),
    "peak": lambda index: (-(index.double() - 8).square().sum(1) / 30).exp(),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize(("order", "tol"), [(3, 1e-9), (5, 1e-6), (10, 1e-4)])
def test_a_function_is_met_to_its_tolerance(name: str, order: int, tol: float) -> None:
    function = Counted(FUNCTIONS[name])
    found = tensor_cross(function, (20,) * order, max_rank=30, tol=tol)
    assert found.relative_error <= tol
    index = torch.randint(20, (5000, order), generator=torch.Generator().manual_seed(99))
    values = FUNCTIONS[name](index)
    assert (found.at(index) - values).norm() < 10 * tol * values.norm()
    assert function.count < 100_000 and max(found.ranks) < 16


def test_more_tolerance_needs_less_rank() -> None:
    ranks = [max(tensor_cross(one_over, (30,) * 4, max_rank=40, tol=tol).ranks) for tol in (1e-2, 1e-5, 1e-9)]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize("max_rank", [3, [2, 4], [1, 1]])
def test_max_rank_is_kept(max_rank: int | list[int]) -> None:
    found = tensor_cross(one_over, (20, 20, 20), max_rank=max_rank, tol=1e-12)
    limits = [max_rank] * 2 if isinstance(max_rank, int) else max_rank
    assert all(rank <= limit for rank, limit in zip(found.ranks[1:-1], limits, strict=True))
    assert 1e-12 < found.relative_error < 0.8


def test_noise_ends_after_the_passes_that_gain_nothing() -> None:
    tensor = torch.randn(12, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    passes: list[float] = []

    def after_pass(train: TensorTrain) -> bool:
        passes.append(train.relative_error)
        return True

    found = tensor_cross(
        lambda index: tensor[tuple(index.T)], (12, 12, 12), max_rank=4, sweeps=100, after_pass=after_pass
    )
    assert len(passes) < 30
    assert found.relative_error == min(passes)


def test_a_search_ends_when_told_to_or_after_its_sweeps() -> None:
    passes: list[tuple[int, ...]] = []

    def note(train: TensorTrain, most: int) -> bool:
        passes.append(train.ranks)
        return len(passes) < most

    tensor_cross(one_over, (20,) * 4, max_rank=30, tol=1e-14, after_pass=lambda train: note(train, 3))
    assert len(passes) == 3
    passes.clear()
    tensor_cross(one_over, (20,) * 4, max_rank=30, tol=1e-14, sweeps=2, after_pass=lambda train: note(train, 99))
    assert len(passes) == 4


def test_modes_of_different_lengths_and_of_one_row() -> None:
    train = random_train((1, 30, 2, 9, 1, 4), 3)
    found = tensor_cross(train.at, train.shape, max_rank=9, tol=1e-10)
    assert (train - found).norm() < 1e-9 * train.norm()


def test_a_memory_mapped_array_is_searched(tmp_path: Path) -> None:
    array = random_train((30, 40, 20), 3).full().float().numpy()
    np.save(tmp_path / "array.npy", array)
    found = tensor_cross(entries_of(np.load(tmp_path / "array.npy", mmap_mode="r")), array.shape, max_rank=10, tol=1e-4)
    assert found.ranks == (1, 3, 3, 1) and {core.dtype for core in found.cores} == {torch.float32}
    assert np.linalg.norm(found.full().numpy() - array) < 1e-4 * np.linalg.norm(array)


def test_integers_are_values() -> None:
    found = tensor_cross(lambda index: index.sum(1), (9, 9, 9), max_rank=5, tol=1e-9)
    assert found.ranks == (1, 2, 2, 1) and found.cores[0].dtype == torch.float64


def corner(index: Tensor) -> Tensor:
    """Nothing but a small block of rank 1, which random entries miss."""
    inside = (index < 3).all(1)
    return torch.where(inside, (index + 1.0).prod(1).double(), 0)


def test_where_most_is_zero_the_initial_entries_lead_to_the_rest() -> None:
    seen = torch.tensor(list(itertools.product(range(3), repeat=4)))
    with pytest.raises(UserError, match="all of 1000 entries looked at are zero: TT-cross cannot see"):
        tensor_cross(corner, (1000,) * 4, max_rank=5)
    found = tensor_cross(corner, (1000,) * 4, max_rank=5, initial=seen[:1], checks=seen)
    assert found.ranks == (1, 1, 1, 1, 1) and found.relative_error < 1e-12


def test_the_same_seed_gives_the_same_train() -> None:
    one, same, other = (tensor_cross(one_over, (20,) * 4, max_rank=9, tol=1e-4, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.cores, same.cores, strict=True))
    assert not all(torch.equal(mine, theirs) for mine, theirs in zip(one.cores, other.cores, strict=True))


@pytest.mark.parametrize(
    ("shape", "function", "limits", "message"),
    [
        ((5,), one_over, {"max_rank": 2}, "the tensor has 1 modes: a decomposition needs 2 or more"),
        ((5, 0, 2), one_over, {"max_rank": 2}, r"the tensor is empty: its shape is \(5, 0, 2\)"),
        ((5, 5), one_over, {"max_rank": 0}, "max_rank is 0: it must be a whole number, 1 or more"),
        ((5, 5), one_over, {"max_rank": 2, "tol": -1.0}, r"tol is -1\.0"),
        ((5, 5), lambda index: index[:, 0] * 0.0, {"max_rank": 2}, "entries looked at are zero"),
        ((5, 5), lambda index: 1 / index[:, 0].double(), {"max_rank": 2}, r"the entry at index \[0, \d\] is inf"),
        ((5, 5), lambda index: index.double().sum(1) * math.nan, {"max_rank": 2}, "is nan: TT-cross needs finite"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    shape: tuple[int, ...], function: Any, limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        tensor_cross(function, shape, **limits)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 1000))
def test_no_exchange_of_a_row_gains_volume(rank: int, more: int, seed: int) -> None:
    matrix = torch.randn(rank + more, rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, ratios = maxvol(matrix)
    assert len(set(rows.tolist())) == rank
    torch.testing.assert_close(ratios @ matrix[rows], matrix)
    assert float(ratios.abs().max()) <= VOLUME_GAIN + 1e-9
    volume = float(torch.linalg.det(matrix[rows]).abs())
    for place, row in itertools.product(range(rank), range(rank + more)):
        other = rows.clone()
        other[place] = row
        assert float(torch.linalg.det(matrix[other]).abs()) <= (VOLUME_GAIN + 1e-9) * volume


def search_on_each_rank(world: World, shape: tuple[int, ...]) -> TensorTrain:
    """Each rank holds a part of the tensor: its entries are sums over the ranks."""
    tensor = random_train(shape, 4).full()
    mine = tensor * (torch.arange(shape[0]) % world.size == world.rank)[:, None, None]
    return tensor_cross(lambda index: world.sum_(mine[tuple(index.T)]), shape, max_rank=6, tol=1e-10, world=world)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_any_number_of_ranks_equals_one(ranks: int) -> None:
    """A mode of three rows leaves a rank of four without any."""
    expected = search_on_each_rank(World.alone(), (3, 9, 8))
    for train in on_ranks(ranks, search_on_each_rank, (3, 9, 8)):
        assert train.ranks == expected.ranks
        for mine, other in zip(train.cores, expected.cores, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-8)
