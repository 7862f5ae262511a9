"""What every decomposition promises: it takes a dense tensor, tells its relative error, and is the same on 2 ranks.

The decompositions are those of `polyadic.decomposition.__all__`: a new one needs a case here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import polyadic.decomposition as decomposition
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, part_of, slab_of

SHAPE, RANK = (9, 8, 7), 2


def dense_tensor() -> Tensor:
    """A positive tensor of low rank with some noise, float64."""
    return low_rank(SHAPE, RANK, noise=0.05, positive=True)[0].abs()


def slab(function: Any, world: World, *arguments: Any, **settings: Any) -> Any:
    """A decomposition of this rank's rows of the tensor."""
    return function(slab_of(dense_tensor(), world.rank, world.size), *arguments, world=world, **settings)


def complete(function: Any, world: World) -> Any:
    """A completion in which every entry was observed, and each rank has some of them."""
    part = part_of(SparseTensor.of(dense_tensor()), world)
    return function(part.indices, part.values, SHAPE, RANK, max_iterations=5, world=world)


def look_up(function: Any, world: World) -> Any:
    """A search among entries of which each rank has some, and zeros for the others."""
    own = part_of(SparseTensor.of(dense_tensor()), world).to_dense()
    return function(lambda index: world.sum_(own[tuple(index.T)]), SHAPE, max_rank=3, sweeps=3, world=world)


def sample(function: Any, world: World) -> Any:
    """A decomposition of the nonzeros, of which each rank has some."""
    part = part_of(SparseTensor.of(dense_tensor()), world)
    return function(part, RANK, samples=30, max_iterations=8, world=world)


CASES: dict[str, Callable[[Any, World], Any]] = {
    "complete_tensor_train": complete,
    "cp": lambda function, world: slab(function, world, RANK, max_iterations=8),
    "gcp": lambda function, world: slab(function, world, RANK, "poisson", max_iterations=8),
    "gcp_stochastic": lambda function, world: slab(
        function, world, RANK, "poisson", samples=60, iterations=20, epochs=3, learning_rate=0.05
    ),
    "sampled_cp": sample,
    "tensor_cross": look_up,
    "tensor_train": lambda function, world: slab(function, world, max_rank=3),
    "tucker": lambda function, world: slab(function, world, (2, 2, 2), method="hooi", max_iterations=5),
}


def answers_of(world: World) -> dict[str, tuple[float, Tensor]]:
    """The relative error of each decomposition, and all entries of its model."""
    index = torch.cartesian_prod(*(torch.arange(rows) for rows in SHAPE))
    answers = {}
    for name, case in CASES.items():
        model = case(getattr(decomposition, name), world)
        answers[name] = (model.relative_error, model.at(index).reshape(SHAPE))
    return answers


@pytest.fixture(scope="module")
def alone() -> dict[str, tuple[float, Tensor]]:
    return answers_of(World.alone())


@pytest.fixture(scope="module")
def two_ranks() -> list[dict[str, tuple[float, Tensor]]]:
    return on_ranks(2, answers_of)


def test_every_decomposition_has_a_case() -> None:
    assert set(CASES) == set(decomposition.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", decomposition.__all__)
def test_the_relative_error_is_that_of_the_entries(name: str, alone: dict[str, tuple[float, Tensor]]) -> None:
    error, entries = alone[name]
    tensor = dense_tensor()
    assert 0 < error < 0.5
    # Of cross it is taken from random entries.
    tolerance = 0.05 if name == "tensor_cross" else 1e-6
    assert error == pytest.approx(float((entries - tensor).norm() / tensor.norm()), abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", decomposition.__all__)
def test_two_ranks_equal_one(
    name: str, alone: dict[str, tuple[float, Tensor]], two_ranks: list[dict[str, tuple[float, Tensor]]]
) -> None:
    error, entries = alone[name]
    for answers in two_ranks:
        assert answers[name][0] == pytest.approx(error, rel=1e-5)
        assert float((answers[name][1] - entries).norm() / entries.norm()) < 1e-5
