"""Core consistency: 100 where the rank is right, low where it is too high."""

from __future__ import annotations

import pytest
import torch

from polyadic.decomposition.cp.consistency import core_consistency
from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, slab_of, some_of


def consistency_by_hand(tensor: torch.Tensor, model: CPTensor) -> float:
    """From the core by pseudo-inverses of the factors."""
    factors = [*model.factors[:-1], model.factors[-1] * model.weights]
    first, second, third = (torch.linalg.pinv(factor) for factor in factors)
    core = torch.einsum("ijk,ri,sj,tk->rst", tensor, first, second, third)
    core[(torch.arange(model.rank),) * 3] -= 1
    return 100 * (1 - float(core.square().sum()) / model.rank)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_consistency_is_that_of_the_core(form: str) -> None:
    tensor = low_rank((8, 7, 6), 2, noise=0.2)[0]
    model = cp(tensor, 3, max_iterations=20)
    data = Data.of(tensor if form == "dense" else SparseTensor.of(tensor))
    assert core_consistency(data, model) == pytest.approx(consistency_by_hand(tensor, model), rel=1e-6)


def test_the_right_rank_is_consistent_and_one_too_many_is_not() -> None:
    tensor = low_rank((8, 7, 6), 2, seed=5, noise=0.01)[0]
    data = Data.of(tensor)
    values = [core_consistency(data, cp(tensor, rank, init="svd", max_iterations=300)) for rank in (2, 3)]
    assert values[0] > 99 and values[1] < 80


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_entries_that_were_not_observed_are_the_models(form: str) -> None:
    tensor = low_rank((8, 7, 6), 2)[0]
    seen = some_of(tensor, 0.7)
    holes = torch.where(seen.to_dense() != 0, tensor, torch.nan)
    data = Data.of(seen if form == "sparse" else holes, observed=True)
    model = cp(data, 2, max_iterations=500, stop_tol=1e-12)
    assert core_consistency(data, model) > 99.9


def consistency_on_each_rank(world: World) -> float:
    tensor = low_rank((8, 7, 6), 2, noise=0.2)[0]
    model = cp(tensor, 3, max_iterations=20)
    return core_consistency(Data.of(slab_of(tensor, world.rank, world.size), world), model)


def test_two_ranks_equal_one() -> None:
    assert on_ranks(2, consistency_on_each_rank) == pytest.approx([consistency_on_each_rank(World.alone())] * 2)
