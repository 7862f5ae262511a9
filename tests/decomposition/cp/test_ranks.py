"""The rank that a tensor supports: consistent, and the same in halves of the data."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import find
from polyadic.decomposition.cp.ranks import Trial, congruence, halves, highest, trials
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.planted import Family
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, part_of, slab_of, some_of

FORMS = ["dense", "sparse", "gaps", "observed"]


def data_of(tensor: Tensor, form: str, world: World) -> Data:
    """A tensor as this rank has it; of `gaps` and `observed`, 80 % of the entries are known."""
    seen = some_of(tensor, 0.8)
    if form == "sparse":
        return Data.of(part_of(SparseTensor.of(tensor), world), world)
    if form == "observed":
        return Data.of(part_of(seen, world), world, observed=True)
    known = SparseTensor(seen.indices, torch.ones_like(seen.values), seen.shape).to_dense() > 0
    dense = torch.where(known, tensor, torch.nan) if form == "gaps" else tensor
    return Data.of(slab_of(dense, world.rank, world.size), world, observed=form == "gaps")


def tried(tensor: Tensor, form: str, world: World | None = None, most: int = 5) -> list[Trial]:
    found = trials(data_of(tensor, form, world or World.alone()), range(1, most + 1), l2=0.0, seed=0)
    assert found is not None
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "family",
    [Family((24, 20, 16), 3, noise=0.1), Family((30, 14, 12), 2, cosine=0.5, noise=0.3), Family((14, 12, 10, 8), 4)],
    ids=Family.title,
)
def test_the_planted_rank_is_the_highest_that_holds(family: Family, form: str) -> None:
    for seed in (0, 1):
        tensor = torch.from_numpy(family.planted(seed)[0]).double()
        found = tried(tensor, form, most=family.rank + 2)
        assert highest(found).rank == family.rank, found
        errors = [trial.relative_error for trial in found]
        assert all(after <= 1.001 * before + 1e-6 for before, after in itertools.pairwise(errors))


@pytest.mark.slow
def test_noise_that_one_half_alone_has_is_no_component() -> None:
    """A component that stands in a single row of the longest mode is consistent, and yet not in the other half."""
    tensor = torch.from_numpy(Family((24, 20, 16), 2, noise=0.05).planted(0)[0]).double()
    tensor[4] += 0.6 * torch.outer(torch.randn(20).double(), torch.randn(16).double()) / 18
    third = tried(tensor, "dense", most=3)[2]
    assert third.consistency > 80 and third.split_half is not None and third.split_half < 0.85


def on_a_rank(world: World) -> list[list[tuple[float, ...]]]:
    tensor = low_rank((16, 12, 10), 2, noise=0.1)[0]
    found = [tried(tensor, form, world, most=3) for form in FORMS]
    return [[(each.relative_error, each.consistency, each.split_half or -1.0) for each in form] for form in found]


@pytest.mark.slow
def test_any_number_of_ranks_tells_the_same() -> None:
    alone = on_a_rank(World.alone())
    for answer in on_ranks(3, on_a_rank):
        for form, expected, found in zip(FORMS, alone, answer, strict=True):
            # Of rank 3, a component of noise: other starts may end beside it.
            np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-3, err_msg=form)


@pytest.mark.parametrize("form", FORMS)
def test_halves_are_the_even_and_the_odd_rows(form: str) -> None:
    tensor = low_rank((9, 4, 5), 2, noise=0.2)[0]
    for odd, half in enumerate(halves(data_of(tensor, form, World.alone()))):
        direct: Any = data_of(tensor[odd::2], "dense", World.alone())
        assert half.share.shape == ((9 + 1 - odd) // 2, 4, 5)
        if form in ("dense", "sparse"):
            assert half.norm == pytest.approx(direct.norm)
        else:
            assert half.norm < direct.norm and half.mask is not None


def test_a_tensor_whose_odd_rows_are_zero_has_no_halves_and_a_matrix_neither() -> None:
    tensor = torch.zeros(8, 3, 4)
    tensor[::2] = torch.rand(4, 3, 4)
    assert halves(Data.of(tensor)) == []
    assert all(trial.split_half is None for trial in tried(tensor.double(), "dense", most=2))
    assert all(trial.split_half is None for trial in tried(low_rank((9, 8), 2)[0], "dense", most=2))


def test_congruence_is_of_the_best_match_whatever_the_order_and_signs() -> None:
    factors = [torch.linalg.qr(torch.randn(6, 3).double())[0] for _ in range(3)]
    one = CPTensor(torch.ones(3), factors, 0.0)
    turned = [factor[:, [2, 0, 1]] * sign for factor, sign in zip(factors, (-1.0, 1.0, -1.0), strict=True)]
    assert congruence(one, CPTensor(torch.ones(3), turned, 0.0), 0) == pytest.approx(1)
    turned[1] = turned[1][:, [1, 0, 2]]
    assert congruence(one, CPTensor(torch.ones(3), turned, 0.0), 0) == pytest.approx(0, abs=1e-9)


def test_a_component_in_two_parts_is_not_found_again() -> None:
    """Each part is near its counterpart, but no nearer than to the other part's; parts that lean are told apart."""
    random = np.random.default_rng(3)

    def compared(lean: float, rough: float) -> float:
        columns = [random.standard_normal((12, 3)) for _ in range(3)]
        for column in columns:
            column[:, 1] = lean * column[:, 0] + (1 - lean**2) ** 0.5 * column[:, 1]
        noisy = [[column + rough * random.standard_normal(column.shape) for column in columns] for _ in range(2)]
        one, other = [CPTensor(torch.ones(3), [torch.from_numpy(each) for each in half], 0.0) for half in noisy]
        return congruence(one, other, 0)

    assert compared(0.999, 0.1) == 0
    assert compared(0.9, 0.01) > 0.99
    assert compared(0.99, 0.01) > 0.99


def test_the_highest_that_holds_is_taken_and_else_where_halves_agree_most_and_else_the_first() -> None:
    some = [Trial(1, 0.5, 100.0, 0.1), Trial(2, 0.4, 99.0, 0.715), Trial(3, 0.3, 99.0, 0.72), Trial(4, 0.2, 90.0, 0.5)]
    assert highest(some).rank == 3
    assert highest([*some, Trial(5, 0.1, 85.0, 0.719), Trial(6, 0.05, 1.0, 0.8)]).rank == 5
    assert highest([Trial(2, 0.3, 10.0, None), Trial(3, 0.2, 5.0, None)]).rank == 2
    assert highest([Trial(1, 0.9, 100.0, 0.0), Trial(2, 0.8, 99.0, 0.1)]).rank == 1
    given = [Trial(1, 0.5, 100.0, 1.0), Trial(2, 0.3, 95.0, None), Trial(3, 0.2, 99.0, 0.5), Trial(4, 0.1, 10.0, 1.0)]
    assert highest(given).rank == 2 and highest(given[2:]).rank == 3


def test_what_is_dear_to_search_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "affordable", lambda *_: False)
    assert trials(Data.of(torch.rand(5, 4, 3)), [1, 2], l2=0.0, seed=0) is None
    assert find.small(Data.of(torch.rand(5, 4, 3)), 2, 0) is None
