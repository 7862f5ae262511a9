"""The best fit from one call: planted tensors of many kinds, and the same factors whatever the seed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import compression, find, search
from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.nls import NewtonProgress
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.planted import Family, matrix_multiplication, whole
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import factor_match, low_rank, part_of, slab_of, true_error

FAMILIES = [
    Family((12, 10, 8), 3),
    Family((30, 20), 4, noise=0.1),
    Family((20, 20, 20), 5, cosine=0.99),
    Family((25, 20, 15), 12, noise=0.01),
    Family((30, 25, 20), 5, cosine=0.9, noise=0.01, lengths=100),
    Family((20, 12, 12), 20, noise=0.01),
    Family((12, 10, 8, 6), 6, cosine=0.5, noise=0.1),
    Family((20, 20, 20), 3, cosine=0.9, noise=0.5),
    Family((60, 4, 5), 3, noise=0.1, lengths=10),
    Family((90, 70, 50), 5, noise=0.1),
    Family((6, 5, 4, 3, 4), 4, noise=0.05),
]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=Family.title)
def test_one_call_finds_what_was_planted(family: Family) -> None:
    for seed in range(4):
        tensor, factors = family.planted(seed)
        model = cp(tensor, family.rank, seed=seed)
        fitted = [factor.double().numpy() for factor in model.factors]
        assert family.found(tensor, whole([fitted[0] * model.weights.numpy(), *fitted[1:]]), factors), seed


PARTS = [
    (Family((30, 20), 2, noise=0.1), 0.5),
    (Family((20, 18, 16), 3, noise=0.1), 0.3),
    (Family((25, 25, 25), 4, cosine=0.9, noise=0.01), 0.5),
    (Family((30, 25, 20), 4, noise=0.05, lengths=30), 0.4),
    (Family((25, 20, 15), 8, noise=0.01), 0.9),
    (Family((12, 10, 8, 6), 3, cosine=0.5, noise=0.1), 0.5),
    (Family((60, 50, 40), 3, noise=0.1), 0.8),
]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize(("family", "part"), PARTS, ids=lambda each: each.title() if isinstance(each, Family) else None)
def test_one_call_finds_it_from_a_part_of_the_entries(family: Family, part: float, form: str) -> None:
    for seed in range(3):
        tensor, factors = family.planted(seed)
        seen = np.random.default_rng(seed + 1000).random(tensor.shape) < part
        data: Any = torch.from_numpy(np.where(seen, tensor, np.nan))
        if form == "sparse":
            values = torch.from_numpy(tensor[seen])
            data = SparseTensor(torch.from_numpy(np.stack(np.nonzero(seen))), values, tensor.shape)
        model = cp(data, family.rank, observed=True, seed=seed)
        misses = [np.linalg.norm((tensor - whole(each))[seen]) for each in (in_one(model), factors)]
        assert misses[0] <= 1.02 * misses[1], seed
        assert model.relative_error == pytest.approx(float(misses[0] / np.linalg.norm(tensor[seen])), rel=1e-4)


NONNEGATIVE = [((20, 18, 16), 5, 0.1, 0.0), ((25, 20, 15), 10, 0.01, 0.0), ((30, 20, 12), 5, 0.0, 0.5)]


@pytest.mark.slow
@pytest.mark.parametrize("part", [1.0, 0.7])
@pytest.mark.parametrize(("shape", "rank", "noise", "zeros"), NONNEGATIVE)
def test_one_call_finds_nonnegative_factors(
    shape: tuple[int, ...], rank: int, noise: float, zeros: float, part: float
) -> None:
    for seed in range(3):
        random = np.random.default_rng(seed + 1000)
        factors = [random.random((rows, rank)) * (random.random((rows, rank)) >= zeros) for rows in shape]
        factors[0] *= np.logspace(0, 1, rank)
        signal, rough = whole(factors), random.standard_normal(shape)
        tensor = signal + noise * np.linalg.norm(signal) / np.linalg.norm(rough) * rough
        seen = random.random(shape) < part
        data = torch.from_numpy(np.where(seen, tensor, np.nan) if part < 1 else tensor)
        model = cp(data, rank, nonnegative=True, observed=part < 1, seed=seed)
        misses = [np.linalg.norm((tensor - each)[seen]) for each in (whole(in_one(model)), signal)]
        assert misses[0] <= 1.02 * misses[1] + 1e-5 * np.linalg.norm(tensor), seed
        assert all(bool((factor >= 0).all()) for factor in model.factors)


def test_nonnegative_factors_of_signed_data_are_no_worse_than_those_of_sweeps() -> None:
    tensor = low_rank((9, 8, 7), 3)[0]
    ours = cp(tensor, 3, nonnegative=True)
    theirs = cp(tensor, 3, nonnegative=True, method="als", restarts=3)
    assert ours.relative_error <= theirs.relative_error + 1e-4
    assert all(bool((factor >= 0).all()) for factor in ours.factors)


def test_signs_are_those_of_the_sums() -> None:
    data = Data.of(torch.rand(3, 3, 3))
    factors = [
        torch.tensor([[-1.0, 1.0]] * 3),
        torch.tensor([[-1.0, 0.5], [-1.0, -0.4], [-1.0, 0.0]]),
        -torch.ones(3, 2),
    ]
    first, second, third = find._positive(data, factors)
    # The first component's product of signs is negative: of three columns that say the same, one takes the other sign.
    assert sorted(float(factor[0, 0]) for factor in (first, second, third)) == [0, 1, 1]
    assert first[0, 1] == 1 and third[0, 1] == 1
    torch.testing.assert_close(second[:, 1], torch.tensor([0.0, 0.4, 0.0]))


def in_one(model: CPTensor) -> list[Any]:
    """The factors with the weights in the first, in float64."""
    factors = [factor.double().numpy() for factor in model.factors]
    return [factors[0] * model.weights.numpy(), *factors[1:]]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "rank"), [(2, 7), (3, 23)])
def test_matrix_multiplication_is_found_exactly(size: int, rank: int) -> None:
    """Most starts for the larger one go to infinity; those that begin with a ridge do not."""
    tensor = torch.from_numpy(matrix_multiplication(size))
    for seed in range(3):
        model = cp(tensor, rank, seed=seed)
        assert true_error(model, tensor) < 1e-9 and model.weights.max() < 100


@pytest.mark.parametrize("rank", [3, 6])
def test_two_seeds_give_the_same_factors(rank: int) -> None:
    tensor, _ = Family((20, 18, 16), rank, noise=0.05).planted(0)
    first, other = (cp(tensor, rank, seed=seed) for seed in (1, 2))
    torch.testing.assert_close(first.weights, other.weights, rtol=1e-3, atol=0)
    for factor, again in zip(first.factors, other.factors, strict=True):
        torch.testing.assert_close(factor, again, rtol=0, atol=2e-3)
    assert first.weights.tolist() == sorted(first.weights.tolist(), reverse=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("small", [2**22, 0], ids=["small", "on the data"])
def test_the_error_is_that_of_the_reconstruction(
    dtype: torch.dtype, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "SMALL_WORK", small)
    for noise in (0.0, 0.01, 0.5):
        tensor = low_rank((12, 11, 10), 2, noise=noise)[0].to(dtype)
        model = cp(tensor, 2)
        assert model.factors[0].dtype == dtype
        assert model.relative_error == pytest.approx(true_error(model, tensor), abs=2e-6)
        assert model.relative_error <= 1.001 * noise + 1e-6


def test_l2_is_what_alternating_least_squares_means_by_it() -> None:
    tensor = low_rank((9, 8, 7), 2, noise=0.2)[0]
    for l2 in (0.05, 0.5):
        ours = cp(tensor, 2, l2=l2, stop_tol=1e-9)
        theirs = cp(tensor, 2, method="als", l2=l2, max_iterations=2000, stop_tol=1e-12, restarts=5)
        torch.testing.assert_close(ours.weights, theirs.weights, rtol=1e-3, atol=0)
        assert ours.relative_error == pytest.approx(theirs.relative_error, abs=1e-4)


def test_l2_on_the_data_is_that_of_small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = low_rank((12, 11, 10), 2, noise=0.2)[0]
    small = cp(tensor, 2, l2=0.3)
    monkeypatch.setattr(compression, "SMALL_WORK", 0)
    large = cp(tensor, 2, l2=0.3)
    torch.testing.assert_close(large.weights, small.weights, rtol=1e-3, atol=0)
    lengths = [float((model.weights / tensor.norm()).square().sum()) for model in (small, large)]
    sums = [small.relative_error**2 + 0.3 * lengths[0], large.relative_error**2 + 0.3 * lengths[1]]
    assert sums[1] == pytest.approx(sums[0], rel=1e-5)


def test_extreme_units_make_no_difference() -> None:
    tensor = low_rank((12, 11, 10), 2, noise=0.1)[0]
    errors = [cp(tensor * unit, 2).relative_error for unit in (1.0, 1e-30, 1e30)]
    assert errors[1:] == pytest.approx([errors[0]] * 2, abs=1e-5)


@pytest.mark.parametrize("rank", [1, 9, 30])
def test_ranks_at_the_edges_are_fitted(rank: int) -> None:
    tensor = torch.rand(4, 3, 5, dtype=torch.float64)
    model = cp(tensor, rank)
    assert model.rank == rank and all(bool(factor.isfinite().all()) for factor in model.factors)
    assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-6)
    assert rank == 1 or model.relative_error < 0.3


@pytest.mark.parametrize(("shape", "rank"), [((2,) * 14, 3), ((20, 20, 20), 400), ((9, 8, 7), 200)])
def test_what_is_dear_to_search_is_fitted_all_the_same(shape: tuple[int, ...], rank: int) -> None:
    began = time.perf_counter()
    model = cp(low_rank(shape, 2, noise=0.1)[0], rank, max_iterations=5)
    assert model.rank == rank and model.relative_error < 0.5
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(("shape", "rank"), [((60_000, 3), 2), ((60_000, 4, 5), 3), ((3, 900, 800), 4)])
def test_a_long_mode_needs_no_matrix_of_its_length(shape: tuple[int, ...], rank: int) -> None:
    tensor = low_rank(shape, 2, noise=0.1)[0].float()
    began = time.perf_counter()
    assert cp(tensor, rank, max_iterations=3).relative_error < 0.101
    assert time.perf_counter() - began < 20


def test_a_negative_seed_is_a_seed() -> None:
    tensor = low_rank((6, 5, 4), 2, noise=0.1)[0]
    assert cp(tensor, 2, seed=-3).relative_error == pytest.approx(cp(tensor, 2).relative_error, abs=1e-6)


@pytest.mark.parametrize("restarts", [1, 5, 20])
def test_a_number_of_restarts_is_kept(restarts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    starts = search._starts

    def counted(
        core: search.Target, rank: int, seed: int, first: int, count: int, *, ridged: bool
    ) -> list[search.Candidate]:
        made.append(count)
        return starts(core, rank, seed, first, count, ridged=ridged)

    monkeypatch.setattr(search, "_starts", counted)
    monkeypatch.setattr(find, "LEAST_WORK", 1.0)
    cp(torch.rand(12, 11, 10), 4, restarts=restarts)
    assert sum(made) == restarts


def test_the_error_is_that_of_rounded_factors() -> None:
    """Components that cancel lose more by rounding to float32 than the model has error."""
    a, b = torch.eye(4, dtype=torch.float64)[:2]
    terms = ((a, a, b), (a, b, a), (b, a, a))
    tensor = sum((torch.einsum("i,j,k->ijk", *term) for term in terms), torch.zeros(4, 4, 4, dtype=torch.float64))
    model = cp(tensor.float(), 2)
    assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-7)


def test_sums_that_overflow_are_refused() -> None:
    values = torch.full((20,), 1e38)
    index = torch.stack([torch.arange(20), torch.arange(20) % 7, torch.arange(20) % 5])
    with pytest.raises(UserError, match="overflow float32: divide it by a constant"):
        cp(SparseTensor(index.int(), values, (20, 7, 5)), 2)


@pytest.mark.parametrize("tensor", [torch.ones(3, 4), torch.ones(1, 1, 1), torch.eye(5), torch.eye(3)[:, :, None]])
def test_degenerate_shapes_are_fitted(tensor: Tensor) -> None:
    model = cp(tensor, 2)
    assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-5)


@pytest.mark.slow
def test_the_matrix_multiplication_tensor_of_two_by_two_has_rank_seven() -> None:
    tensor = np.zeros((4, 4, 4))
    for i, j, k in np.ndindex(2, 2, 2):
        tensor[2 * i + j, 2 * j + k, 2 * k + i] = 1
    assert all(cp(tensor, 7, seed=seed).relative_error < 1e-6 for seed in range(5))
    assert cp(tensor, 6).relative_error > 1e-3


@pytest.mark.parametrize("sparse", [False, True])
def test_newtons_steps_alone_fit_too(sparse: bool) -> None:
    tensor, factors = low_rank((9, 8, 7), 2, noise=0.01)
    errors: list[float] = []

    def note(state: Progress) -> bool:
        errors.append(state.relative_error)
        return True

    model = cp(SparseTensor.of(tensor) if sparse else tensor, 2, method="nls", restarts=2, after_sweep=note)
    assert factor_match(model, factors) > 0.999 and model.relative_error == pytest.approx(min(errors))
    fixed = cp(tensor, 2, method="nls", init=model, fixed=[1])
    torch.testing.assert_close(fixed.factors[1], model.factors[1])


def test_a_state_of_sweeps_is_taken_up_by_sweeps() -> None:
    tensor = low_rank((9, 8, 7), 2, noise=0.1)[0]
    kept: list[Progress] = []

    def stop(state: Progress) -> bool:
        kept.append(state)
        return len(kept) < 3

    cp(tensor, 2, method="als", after_sweep=stop)
    iterations: list[int] = []

    def note(state: Progress) -> bool:
        iterations.append(state.iteration)
        return True

    cp(tensor, 2, progress=kept[-1], after_sweep=note)
    assert iterations[0] == 4


def test_a_fit_on_the_data_can_be_ended_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "SMALL_WORK", 0)
    tensor = low_rank((20, 18, 16), 3, noise=0.4)[0]
    kept: list[Progress] = []

    def stop(state: Progress) -> bool:
        kept.append(state)
        return len(kept) < 2

    options: dict[str, Any] = {"method": "nls", "stop_tol": 1e-9}
    ended = cp(tensor, 3, after_sweep=stop, **options)
    assert isinstance(kept[-1], NewtonProgress) and kept[-1].iteration == 2
    assert ended.relative_error == kept[-1].relative_error
    resumed = cp(tensor, 3, progress=kept[-1], **options)
    straight = cp(tensor, 3, **options)
    assert resumed.relative_error == straight.relative_error


def test_a_method_that_does_not_exist_is_refused() -> None:
    unknown: Any = "newton"
    with pytest.raises(UserError, match="unknown method 'newton': known are auto, als, nls"):
        cp(torch.rand(4, 3, 5), 2, method=unknown)


def restarts_of(tensor: SparseTensor, **how: Any) -> tuple[CPTensor, set[int]]:
    """A fit, and the restarts that it made."""
    seen = set[int]()

    def after(state: Any) -> bool:
        seen.add(state.restart)
        return True

    return cp(tensor, 2, seed=3, after_sweep=after, **how), seen


def test_sweeps_of_few_entries_whose_core_is_of_no_use_have_several_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise in a large tensor, where the end of a start is luck; its core holds next to nothing of it."""
    monkeypatch.setattr(find, "LEAST_HELD", 0.5)
    random = np.random.default_rng(2)
    index = np.unique(random.integers(0, (3000, 4000, 5000), (4000, 3)), axis=0).T
    values = torch.from_numpy(random.lognormal(0, 1, index.shape[1]))
    tensor = SparseTensor(torch.from_numpy(index.astype(np.int32)), values, (3000, 4000, 5000))
    model, seen = restarts_of(tensor)
    assert seen == set(range(find.MOST_STARTS_OF_SWEEPS))
    alone = [cp(tensor, 2, seed=3 + start, method="als").relative_error for start in range(find.MOST_STARTS_OF_SWEEPS)]
    assert model.relative_error == pytest.approx(min(alone), abs=1e-9) and max(alone) > min(alone) + 1e-5
    assert restarts_of(tensor, method="als")[1] == restarts_of(tensor, init="random")[1] == {0}
    assert restarts_of(tensor, restarts=2)[1] == {0, 1}


def on_a_rank(world: World, kind: str) -> CPTensor:
    tensor = low_rank((20, 18, 16), 3, noise=0.1)[0]
    part = slab_of(tensor, world.rank, world.size) if kind == "dense" else part_of(SparseTensor.of(tensor), world)
    return cp(part, 3, world=world)


def with_few_rows(world: World) -> CPTensor:
    tensor = low_rank((2, 2, 3), 1, noise=0.01)[0].float()
    return cp(slab_of(tensor, world.rank, world.size), 1, world=world)


@pytest.mark.slow
def test_ranks_without_rows_take_part() -> None:
    for model in on_ranks(4, with_few_rows):
        assert model.relative_error < 0.011


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_any_number_of_ranks_finds_the_same(kind: str) -> None:
    alone = on_a_rank(World.alone(), kind)
    for model in on_ranks(2, on_a_rank, kind):
        assert model.relative_error == pytest.approx(alone.relative_error, abs=1e-6)
        for factor, again in zip(model.factors, alone.factors, strict=True):
            torch.testing.assert_close(factor, again, rtol=0, atol=1e-2)


def test_the_state_of_a_small_fit_can_be_resumed() -> None:
    tensor = low_rank((9, 8, 7), 2, noise=0.1)[0]
    kept: list[Progress] = []

    def keep(state: Progress) -> bool:
        kept.append(state)
        return True

    model = cp(tensor, 2, after_sweep=keep)
    assert len(kept) == 1 and kept[0].seconds > 0 and kept[0].iteration > 0
    resumed = cp(tensor, 2, progress=kept[0])
    assert resumed.relative_error == pytest.approx(model.relative_error, abs=1e-7)
    torch.testing.assert_close(resumed.full(), model.full(), rtol=0, atol=1e-4)
