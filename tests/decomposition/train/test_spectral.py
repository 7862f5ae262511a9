"""Cores of singular vectors: near the train from few entries, the same on every rank, none where they would be many."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.decomposition.train import spectral
from polyadic.decomposition.train.completion import complete_tensor_train
from polyadic.decomposition.train.spectral import spectral_cores
from polyadic.distributed import World
from polyadic.tensor.tensor_train import TensorTrain
from tests.helpers.ranks import on_ranks


def train(shape: tuple[int, ...], ranks: list[int], seed: int) -> Tensor:
    """A tensor of random cores, of norm 1."""
    random, bonds = torch.Generator().manual_seed(seed), [1, *ranks, 1]
    cores = [torch.randn(bonds[n], rows, bonds[n + 1], generator=random).double() for n, rows in enumerate(shape)]
    whole = TensorTrain(cores).full()
    unit: Tensor = whole / whole.norm()
    return unit


def entries(tensor: Tensor, part: float, seed: int) -> tuple[Tensor, Tensor]:
    seen = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed)) < part
    return seen.nonzero().T, tensor[seen]


@pytest.mark.parametrize(
    ("shape", "ranks"), [((9, 8), [2]), ((7, 6, 5), [2, 3]), ((5, 4, 3, 4), [2, 4, 2]), ((3, 2, 3, 2, 3), [2, 3, 3, 2])]
)
def test_all_entries_give_the_train_itself(shape: tuple[int, ...], ranks: list[int]) -> None:
    tensor = train(shape, ranks, 1)
    cores = spectral_cores(*entries(tensor, 2.0, 0), shape, ranks, 0, World.alone())
    assert cores is not None
    assert [tuple(core.shape) for core in cores] == [
        (before, rows, after) for (before, after), rows in zip(itertools.pairwise([1, *ranks, 1]), shape, strict=True)
    ]
    torch.testing.assert_close(TensorTrain(cores).full(), tensor, rtol=0, atol=1e-9)
    for core in cores[1:]:
        rows = core.reshape(len(core), -1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(core), dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_fits_from_few_entries_of_a_high_order_end_at_the_train() -> None:
    """From random cores, two of ten such fits do: the others stay at an error of 0.7."""
    for seed in range(5):
        tensor = train((10,) * 6, [3] * 5, seed)
        index, values = entries(tensor, 0.01, seed)
        assert complete_tensor_train(index, values, tensor.shape, 3).relative_error < 1e-4, seed


def of_rank(world: World) -> list[Tensor]:
    tensor = train((6, 5, 4), [2, 2], 3)
    index, values = entries(tensor, 2.0, 1)
    cores = spectral_cores(
        index[:, world.rank :: world.size], values[world.rank :: world.size], (6, 5, 4), [2, 2], 0, world
    )
    assert cores is not None
    return cores


def test_every_rank_has_the_same_cores() -> None:
    alone = of_rank(World.alone())
    for cores in on_ranks(3, of_rank):
        for mine, other in zip(cores, alone, strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_fewer_entries_than_ranks_give_cores_of_the_right_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "ENTRIES_PER_NUMBER", 0)
    index, values = torch.tensor([[0, 1], [1, 2], [3, 0]]), torch.tensor([1.0, 2.0])
    cores = spectral_cores(index, values, (6, 5, 4), [3, 3], 0, World.alone())
    assert cores is not None and [core.shape for core in cores] == [(1, 6, 3), (3, 5, 3), (3, 4, 1)]
    assert all(bool(core.isfinite().all()) for core in cores)


@pytest.mark.parametrize(("name", "limit"), [("MOST_NUMBERS", 10), ("ENTRIES_PER_NUMBER", 3.0)])
def test_sides_that_are_too_long_have_none_and_are_fitted_from_random_cores(
    name: str, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectral, name, limit)
    tensor = train((6, 5, 4), [2, 2], 3)
    index, values = entries(tensor, 0.8, 1)
    assert spectral_cores(index, values, tensor.shape, [2, 2], 0, World.alone()) is None
    fit = complete_tensor_train(index, values, tensor.shape, 2)
    assert fit.relative_error < 0.5 and math.isfinite(float(np.sum(fit.full().numpy())))
