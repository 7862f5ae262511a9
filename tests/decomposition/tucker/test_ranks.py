"""Tucker on several ranks, some without a row, gives what it gives on one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.tucker.fit import tucker
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, share
from polyadic.tensor.tucker_tensor import TuckerTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tucker_cases import low_rank, whole

JOBS: list[dict[str, Any]] = [
    {"ranks": (2, 3, 2), "range_finder": "gram"},
    {"ranks": (2, 3, 2), "range_finder": "randomized", "seed": 5},
    {"tol": 0.4},
    {"tol": 1e-9},
    {"ranks": (2, 3, 2), "method": "hooi", "stop_tol": 0.0, "max_iterations": 6},
    {"ranks": (2, 3, 2), "method": "nonnegative", "stop_tol": 0.0, "max_iterations": 6},
]
FIELDS: list[tuple[tuple[int, ...], int, torch.dtype]] = [
    ((16, 18, 15), 1, torch.float64),
    ((16, 18, 15), 2, torch.float64),
    ((16, 18, 15), 1, torch.float32),
    ((7, 4, 60), 1, torch.float64),
    ((2, 30, 40), 0, torch.float64),
]


def slab_of(tensor: Tensor, mode: int, rank: int, ranks: int) -> Slab:
    """A rank's rows; the last of four ranks has none."""
    holders = min(3, ranks)
    first, last = share(tensor.shape[mode], rank, holders) if rank < holders else (0, 0)
    return Slab(tensor.narrow(mode, first, last - first).contiguous(), tuple(tensor.shape), mode, first)


def fit_all(world: World) -> list[TuckerTensor]:
    """Every way to fit, over slabs of the longest mode and of others."""
    models = []
    for shape, mode, dtype in FIELDS:
        tensor = low_rank(shape, [min(4, rows) for rows in shape], 0.3, positive=True)[0].to(dtype)
        slab = slab_of(tensor, mode, world.rank, world.size)
        for how in JOBS:
            if dtype == torch.float64 or how.get("tol", 1) > 1e-5:
                models.append(tucker(slab, world=world, **how))
    return models


@pytest.fixture(scope="module")
def alone() -> list[TuckerTensor]:
    return fit_all(World.alone())


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_any_number_of_ranks_equals_one(ranks: int, alone: list[TuckerTensor]) -> None:
    answers = on_ranks(ranks, fit_all)
    for models in answers:
        for model, expected, same in zip(models, alone, answers[0], strict=True):
            assert model.relative_error == same.relative_error
            assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-5)
            assert model.core.shape == expected.core.shape
            assert float((whole(model) - whole(expected)).norm() / whole(expected).norm()) < 1e-5
            if math.prod(model.core.shape) < 100:  # Beyond the noise, directions are free.
                fine = 1e-5 if model.core.dtype == torch.float64 else 1e-3
                torch.testing.assert_close(model.core, expected.core, atol=fine * float(expected.core.max()), rtol=0)
                for mine, other in zip(model.factors, expected.factors, strict=True):
                    torch.testing.assert_close(mine, other, atol=fine, rtol=0)
            assert torch.equal(model.core, same.core) and all(map(torch.equal, model.factors, same.factors))


def refuse_on_each_rank(world: World) -> list[str]:
    """What one rank alone can see."""
    said = []
    how: dict[str, Any] = {"ranks": (1, 1), "method": "nonnegative"}
    for value in (-1.0, math.nan, math.inf):
        local = torch.ones(2, 3)
        if world.rank == 1:
            local[0, 0] = value
        try:
            tucker(Slab(local, (2 * world.size, 3), 0, 2 * world.rank), world=world, **how)
        except UserError as error:
            said.append(str(error))
    return said


def test_every_rank_says_the_same_of_bad_data() -> None:
    for said in on_ranks(2, refuse_on_each_rank):
        assert "negative" in said[0] and "NaN" in said[1] and "infinite" in said[2]
