"""Tensors at the edges of what CP is for: every method fits them, or says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import entries, find
from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.nls import NewtonProgress
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.ranks import trials
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, slab_of, true_error

METHODS = ["auto", "als", "nls"]


def single(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """One entry of 1, the others zero."""
    tensor = torch.zeros(shape, dtype=dtype)
    tensor[(0,) * len(shape)] = 1
    return tensor


def gaps_but_one(shape: tuple[int, ...]) -> Tensor:
    """One entry of 2, the others unknown."""
    tensor = torch.full(shape, torch.nan)
    tensor[(1,) * len(shape)] = 2
    return tensor


CASES: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "one entry": (single((2, 2, 2)), {}),
    "one entry, nonnegative": (single((2, 2, 2)), {"nonnegative": True}),
    "negative, nonnegative": (-torch.ones(4, 4, 4, dtype=torch.float64), {"nonnegative": True}),
    "one known": (gaps_but_one((3, 2, 3)), {"observed": True}),
    "zeros and a gap": (torch.where(single((9, 9, 9)).flip(0) > 0, torch.nan, single((9, 9, 9))), {"observed": True}),
    "tiny numbers and a gap": (single((3, 3, 3), torch.float32) * 1e-39, {"observed": True}),
    "a mode of one row": (low_rank((6, 1, 5), 1)[0], {"nonnegative": True}),
    "a matrix with gaps": (torch.where(torch.eye(6) > 0, torch.nan, torch.ones(6, 6)), {"observed": True}),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_every_method_fits_what_there_is(name: str, rank: int, method: Any) -> None:
    tensor, options = CASES[name]
    if "tiny" in name:
        tensor = tensor.clone()
        tensor[2, 2, 2] = torch.nan
    model = cp(tensor, rank, method=method, max_iterations=50, **options)
    assert 0 <= model.relative_error <= 1 + 1e-6
    assert all(bool(factor.isfinite().all()) for factor in model.factors) and bool(model.weights.isfinite().all())
    if options.get("nonnegative"):
        assert all(bool((factor >= 0).all()) for factor in model.factors)


def test_a_sample_of_zeros_alone_is_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.zeros(40, 40, 40)
    tensor[3, 4, 5], tensor[0, 0, 1] = 1, torch.nan
    data = Data.of(tensor, observed=True)
    monkeypatch.setattr(entries, "ENTRIES_PER_NUMBER", 1)
    assert find.small(data, 1, 0) is None
    assert cp(tensor, 1, observed=True).relative_error <= 1


def test_nonnegative_steps_leave_fixed_modes_as_they_are() -> None:
    factors = low_rank((9, 8, 7), 3)[1]
    start = [factors[0], *(factor.abs() for factor in factors[1:])]
    target = torch.einsum("ir,jr,kr->ijk", *start)
    rough = [start[0], *(factor + 0.1 * torch.rand_like(factor) for factor in start[1:])]
    init = CPTensor(torch.ones(3, dtype=torch.float64), rough, 0.0)
    model = cp(target, 3, method="nls", nonnegative=True, fixed=[0], init=init, max_iterations=200, stop_tol=1e-10)
    assert model.relative_error < 1e-6 and bool((model.factors[0] < 0).any())
    assert model.relative_error == pytest.approx(true_error(model, target), abs=1e-9)


def test_a_nonnegative_fit_goes_on_as_if_it_had_not_stopped() -> None:
    """It remembers the error of the best factors of any sign, and so whether it needs other starts."""
    tensor = torch.einsum("ir,jr,kr->ijk", *(torch.rand(rows, 3).double() for rows in (12, 10, 8)))
    tensor += 0.02 * torch.rand(tensor.shape)
    whole, kept = NewtonProgress(), NewtonProgress()
    seen: list[int] = []

    def stop(state: Progress) -> bool:
        seen.append(state.iteration)
        return len(seen) != 1

    straight = cp(tensor, 3, nonnegative=True, progress=whole, after_sweep=lambda _: True)
    cp(tensor, 3, nonnegative=True, progress=kept, after_sweep=stop)
    resumed = cp(tensor, 3, nonnegative=True, progress=kept, after_sweep=stop)
    assert kept.least_error == whole.least_error > 0
    assert resumed.relative_error == straight.relative_error and kept.iteration == whole.iteration


@pytest.mark.parametrize("l2", [0.1, 0.01])
def test_the_error_of_a_search_is_without_its_ridge(l2: float) -> None:
    tensor = low_rank((9, 8, 7), 3, noise=0.01)[0]
    found = trials(Data.of(tensor), [3], l2=l2, seed=0)
    assert found is not None
    assert next(found).relative_error == pytest.approx(cp(tensor, 3, l2=l2).relative_error, rel=0.02)


@pytest.mark.parametrize(("shape", "rank"), [((3, 3, 3), 2), ((2, 2, 2), 2), ((3, 3, 3), 3)])
def test_halves_too_small_for_factors_of_their_own_do_not_speak(shape: tuple[int, ...], rank: int) -> None:
    found = trials(Data.of(low_rank(shape, rank)[0]), [rank], l2=0.0, seed=0)
    assert found is not None
    trial = next(found)
    assert trial.split_half is None and trial.holds


def on_a_rank(world: World) -> list[float]:
    gaps = low_rank((2, 2, 2), 1)[0]
    gaps[1, 1, 1] = torch.nan
    part = slab_of(gaps, world.rank, world.size)
    model = cp(part, 1, observed=True, method="nls", world=world)
    data = Data.of(slab_of(low_rank((2, 3, 2), 1)[0], world.rank, world.size), world)
    found = trials(data, [1], l2=0.0, seed=0)
    assert found is not None
    return [model.relative_error, next(found).relative_error, cp(part, 1, observed=True, world=world).relative_error]


@pytest.mark.slow
def test_ranks_without_rows_take_part_in_everything() -> None:
    for errors in on_ranks(3, on_a_rank):
        np.testing.assert_allclose(errors, 0, atol=1e-5)
