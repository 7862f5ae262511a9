"""TT completion: what was not observed is recovered; least squares by hand as the oracle; any number of ranks."""

from __future__ import annotations

import itertools
import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.train import completion, regression
from polyadic.decomposition.train.completion import Progress, complete_tensor_train, random_cores
from polyadic.decomposition.train.regression import ModeEntries, best_core
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_ranks import feasible_ranks
from tests.helpers.ranks import on_ranks


def observed(
    shape: tuple[int, ...], rank: int, part: float, noise: float = 0.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """A tensor of that rank, and the indices and values of a part of its entries."""
    random = torch.Generator().manual_seed(seed)
    wide = [1, *feasible_ranks(shape, rank, None), 1]
    cores = [
        torch.randn(wide[n], rows, wide[n + 1], generator=random, dtype=torch.float64) for n, rows in enumerate(shape)
    ]
    tensor = TensorTrain(cores).full()
    seen = torch.rand(shape, generator=random) < part
    values = tensor[seen]
    values = values + noise * values.std() * torch.randn(len(values), generator=random, dtype=torch.float64)
    return tensor, seen.nonzero().T.int(), values


def miss(train: TensorTrain, tensor: Tensor, indices: Tensor) -> float:
    """The relative error over the entries that were not observed."""
    hidden = torch.ones(tensor.shape, dtype=torch.bool)
    hidden[tuple(indices.long())] = False
    return float((train.full() - tensor)[hidden].norm() / tensor[hidden].norm())


CASES = [((20, 20, 20), 3, 0.25), ((12, 11, 10, 9), 3, 0.2), ((8, 8, 8, 8, 8), 3, 0.1), ((30, 4, 25), 3, 0.4)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("shape", "rank", "part"), CASES)
def test_what_was_not_observed_is_recovered(shape: tuple[int, ...], rank: int, part: float, seed: int) -> None:
    tensor, indices, values = observed(shape, rank, part, seed=seed)
    train = complete_tensor_train(indices, values, shape, rank, stop_tol=1e-8, seed=seed)
    assert miss(train, tensor, indices) < 1e-3
    assert train.ranks == (1, *feasible_ranks(shape, rank, None), 1)


@pytest.mark.parametrize("factor", [1e-25, 1.0, 1e25])
def test_float32_recovers_as_well_whatever_the_unit(factor: float) -> None:
    tensor, indices, values = observed((20, 20, 20), 3, 0.3)
    train = complete_tensor_train(indices, (values * factor).float(), (20, 20, 20), 3)
    assert {core.dtype for core in train.cores} == {torch.float32}
    scaled = TensorTrain([(train.cores[0] / factor).double(), *(core.double() for core in train.cores[1:])])
    assert miss(scaled, tensor, indices) < 1e-3


def test_noise_is_not_fitted() -> None:
    tensor, indices, values = observed((20, 20, 20), 3, 0.3, noise=0.3)
    train = complete_tensor_train(indices, values, (20, 20, 20), 3)
    assert train.relative_error == pytest.approx(0.29, abs=0.03)
    assert miss(train, tensor, indices) < 0.2


def test_a_rank_too_many_does_little_harm() -> None:
    tensor, indices, values = observed((15, 15, 15), 2, 0.4)
    assert miss(complete_tensor_train(indices, values, (15, 15, 15), 4, stop_tol=1e-9), tensor, indices) < 1e-2


def test_the_relative_error_is_over_the_observed_entries() -> None:
    _, indices, values = observed((6, 7, 8), 4, 0.5, noise=0.5)
    train = complete_tensor_train(indices, values, (6, 7, 8), 2, max_iterations=3)
    misses = values - train.at(indices.T.long())
    assert train.relative_error == pytest.approx(float(misses.norm() / values.norm()), abs=1e-12)


@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_core_solves_the_ridge_regression_of_its_rows(mode: int, l2: float) -> None:
    """Each row's unknowns against kron(left, right), its entries alone, by a solver of dense systems."""
    _, indices, values = observed((4, 5, 6), 2, 0.7, noise=0.5)
    cores = random_cores((4, 5, 6), [2, 3], 0, values)
    core = best_core(cores, ModeEntries(indices, values, mode, (4, 5, 6)[mode]), l2, World.alone())
    for row in range(core.shape[1]):
        mine = indices[mode] == row
        rows = []
        for index in indices[:, mine].T.tolist():
            left, right = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
            for n in range(mode):
                left = left @ cores[n][:, index[n]]
            for n in reversed(range(mode + 1, 3)):
                right = cores[n][:, index[n]] @ right
            rows.append(torch.kron(left[0], right[:, 0]))
        design = torch.stack(rows)
        gram = design.T @ design + l2 * torch.eye(design.shape[1], dtype=torch.float64)
        expected = torch.linalg.solve(gram, design.T @ values[mine])
        torch.testing.assert_close(core[:, row].flatten(), expected)


def test_rows_and_entries_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _, indices, values = observed((9, 10, 11), 2, 0.6)
    expected = complete_tensor_train(indices, values, (9, 10, 11), 2, max_iterations=3)
    monkeypatch.setattr(regression, "CHUNK_NUMBERS", 20)
    monkeypatch.setattr(completion, "CHUNK_ENTRIES", 20)
    train = complete_tensor_train(indices, values, (9, 10, 11), 2, max_iterations=3)
    assert (train - expected).norm() < 1e-9 * expected.norm()


def test_a_row_without_entries_is_zero_and_one_with_few_is_not_huge() -> None:
    tensor, indices, values = observed((10, 10, 10), 2, 0.5)
    keep = (indices[1] != 4) & ~((indices[1] == 7) & (indices[0] > 0))
    train = complete_tensor_train(indices[:, keep], values[keep], (10, 10, 10), 2)
    assert not train.slice([None, 4, None]).any()
    assert train.slice([None, 7, None]).abs().max() < 10 * tensor.abs().max()
    assert all(core.isfinite().all() for core in train.cores)


@pytest.mark.slow
def test_l2_draws_the_train_to_zero() -> None:
    _, indices, values = observed((8, 9, 10), 2, 0.5)
    norms = [complete_tensor_train(indices, values, (8, 9, 10), 2, l2=l2).norm() for l2 in (0.0, 1.0, 100.0)]
    assert norms == sorted(norms, reverse=True) and norms[2] < 0.1 * norms[0]


def test_the_error_falls_and_the_fit_ends_when_it_stands() -> None:
    _, indices, values = observed((10, 9, 8), 3, 0.5, noise=0.2)
    errors = [math.inf]

    def after_sweep(state: Progress) -> bool:
        errors.append(state.relative_error)
        assert state.seconds > 0 and state.iteration == len(errors) - 1
        return True

    complete_tensor_train(indices, values, (10, 9, 8), 3, stop_tol=1e-4, after_sweep=after_sweep)
    changes = [abs(before - after) for before, after in itertools.pairwise(errors)]
    assert 2 < len(changes) < 100 and changes[-1] < 1e-4 <= min(changes[:-1])
    errors[1:] = []
    complete_tensor_train(indices, values, (10, 9, 8), 3, stop_tol=0, max_iterations=5, after_sweep=after_sweep)
    assert len(errors) == 6


def stopped_after(sweeps: int, *arguments: Any, **settings: Any) -> Progress:
    kept: list[Progress] = []

    def after_sweep(state: Progress) -> bool:
        kept.append(deepcopy(state))
        return len(kept) < sweeps

    complete_tensor_train(*arguments, after_sweep=after_sweep, **settings)
    return kept[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sweeps", [1, 4, 8])
def test_resuming_equals_never_stopping_to_the_bit(sweeps: int, dtype: torch.dtype) -> None:
    _, indices, values = observed((8, 9, 10), 3, 0.4, noise=0.1)
    arguments = (indices, values.to(dtype), (8, 9, 10), 3)
    whole = complete_tensor_train(*arguments, max_iterations=8, stop_tol=0)
    progress = stopped_after(sweeps, *arguments, max_iterations=8, stop_tol=0)
    resumed = complete_tensor_train(*arguments, max_iterations=8, stop_tol=0, progress=progress)
    assert resumed.relative_error == whole.relative_error
    assert all(torch.equal(mine, other) for mine, other in zip(resumed.cores, whole.cores, strict=True))


def test_resuming_at_the_sweep_that_converged_does_not_sweep_again() -> None:
    _, indices, values = observed((8, 9, 10), 3, 0.4, noise=0.1)
    whole = complete_tensor_train(indices, values, (8, 9, 10), 3, stop_tol=1e-3)
    progress = stopped_after(99, indices, values, (8, 9, 10), 3, stop_tol=1e-3)
    again = complete_tensor_train(
        indices, values, (8, 9, 10), 3, stop_tol=1e-3, progress=progress, after_sweep=lambda _: pytest.fail("swept")
    )
    assert again.relative_error == whole.relative_error


INDICES = torch.tensor([[0, 1], [0, 2], [0, 3]])


@pytest.mark.parametrize(
    ("indices", "values", "shape", "max_rank", "message"),
    [
        (
            INDICES,
            torch.ones(2),
            (2, 3, 3),
            1,
            r"an index of mode 2 is outside 0 to 2: the tensor has shape \(2, 3, 3\)",
        ),
        (-INDICES, torch.ones(2), (2, 3, 4), 1, "an index of mode 0 is outside 0 to 1"),
        (INDICES, torch.ones(2), (2, 3, 4), 0, "max_rank is 0: it must be a whole number, 1 or more"),
        (INDICES[:1], torch.ones(2), (2,), 1, "the tensor has 1 modes: a decomposition needs 2 or more"),
        (INDICES[:, :0], torch.ones(0), (2, 3, 4), 1, "the tensor has no observed entry"),
        (INDICES, torch.zeros(2), (2, 3, 4), 1, "the tensor is all zero"),
        (INDICES, torch.tensor([1.0, math.nan]), (2, 3, 4), 1, "NaN or infinite"),
        (INDICES, torch.tensor([1.0, math.inf]), (2, 3, 4), 1, "NaN or infinite"),
    ],
)
def test_what_cannot_be_completed_is_refused(
    indices: Tensor, values: Tensor, shape: tuple[int, ...], max_rank: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        complete_tensor_train(indices, values, shape, max_rank)


RANKED: list[tuple[tuple[int, ...], torch.dtype]] = [
    ((9, 8), torch.float64),
    ((7, 8, 6), torch.float64),
    ((7, 8, 6), torch.float32),
    ((4, 5, 3, 6), torch.float64),
    ((3, 4, 3, 4, 3), torch.float64),
]


def complete_on_each_rank(world: World, holders: int) -> list[TensorTrain]:
    """Every case, the entries dealt out to some ranks at random; the last of more holds none."""
    trains = []
    for shape, dtype in RANKED:
        _, indices, values = observed(shape, 2, 0.6, noise=0.2)
        owner = torch.randint(holders, values.shape, generator=torch.Generator().manual_seed(3))
        mine = owner == world.rank
        trains.append(
            complete_tensor_train(
                indices[:, mine], values[mine].to(dtype), shape, 2, max_iterations=6, stop_tol=0, l2=0.1, world=world
            )
        )
    return trains


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "holders"), [(2, 2), (4, 4), (3, 2)])
def test_any_number_of_ranks_equals_one(ranks: int, holders: int) -> None:
    alone = complete_on_each_rank(World.alone(), 1)
    answers = on_ranks(ranks, complete_on_each_rank, holders)
    for trains in answers:
        for train, expected, first in zip(trains, alone, answers[0], strict=True):
            assert train.relative_error == pytest.approx(expected.relative_error, rel=1e-5)
            assert (train - expected).norm() <= 1e-5 * expected.norm()
            assert all(torch.equal(mine, other) for mine, other in zip(train.cores, first.cores, strict=True))
