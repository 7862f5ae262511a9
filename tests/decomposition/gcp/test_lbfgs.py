"""Generalized CP by L-BFGS: gradients, recovery, missing entries, many ranks, what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.losses.gaussian import Gaussian
from polyadic.decomposition.gcp.losses.huber import Huber
from polyadic.decomposition.gcp.losses.poisson import Poisson
from polyadic.decomposition.gcp.progress import Progress
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.gcp_cases import FORMS, LOSS_NAMES, data, dense, factor_match, gaps, means, normal, part
from tests.helpers.ranks import on_ranks


def noting(values: list[float], name: str) -> Callable[[Progress], bool]:
    """Notes an attribute of the progress after every iteration."""

    def after_iteration(state: Progress) -> bool:
        values.append(getattr(state, name))
        return True

    return after_iteration


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "rank"), [((9, 8, 7), 2), ((6, 7, 5, 4), 3)])
def test_gaussian_fits_as_cp_does(shape: tuple[int, ...], rank: int) -> None:
    tensor = normal(shape, rank, noise=0.5)[0]
    expected = cp(tensor, rank, max_iterations=500, restarts=3)
    model = gcp(tensor, rank, "gaussian", restarts=3)
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-3)
    assert model.relative_error == pytest.approx(float((tensor - dense(model)).norm() / tensor.norm()), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "rank"), [((10, 12, 14), 4), ((4, 5, 6, 3), 3), ((3, 4, 3, 5, 2), 2)])
@pytest.mark.parametrize("form", FORMS)
def test_gaussian_recovers_the_factors(shape: tuple[int, ...], rank: int, form: str) -> None:
    tensor, factors = normal(shape, rank)
    model = gcp(**part(tensor, form, World.alone()), rank=rank, loss="gaussian", restarts=4)
    assert model.relative_error < 1e-2
    assert factor_match(model, factors) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_poisson_recovers_the_factors_of_counts(form: str, dtype: torch.dtype) -> None:
    rates, factors = means((20, 18, 16), 3, mean=5)
    counts = torch.poisson(rates, generator=torch.Generator().manual_seed(0)).to(dtype)
    model = gcp(**part(counts, form, World.alone()), rank=3, loss="poisson")
    assert factor_match(model, factors) > 0.95
    assert all(bool((factor >= 0).all()) and factor.dtype == dtype for factor in model.factors)


@pytest.mark.slow
def test_gamma_recovers_the_factors_under_noise_that_multiplies() -> None:
    rates, factors = means((20, 18, 16), 3)
    tensor = rates * torch.distributions.Gamma(4.0, 4.0).sample(rates.shape).double()
    assert factor_match(gcp(tensor, 3, "gamma"), factors) > 0.95


@pytest.mark.slow
def test_huber_is_not_moved_by_outliers() -> None:
    tensor, factors = normal((12, 10, 9), 2, seed=1)
    struck = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0)) < 0.02
    spoilt = torch.where(struck, tensor + 100, tensor)
    robust, squares = (gcp(spoilt, 2, loss, restarts=3) for loss in (Huber(0.25), Gaussian()))
    assert factor_match(robust, factors) > 0.99 > factor_match(squares, factors)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_bernoulli_logit_finds_the_probabilities(form: str) -> None:
    logits = 3 * normal((20, 18, 16), 2, seed=3)[0]
    odds = torch.sigmoid(logits)
    ones = torch.bernoulli(odds, generator=torch.Generator().manual_seed(0))
    arguments = part(ones, form, World.alone())
    model = gcp(**arguments, rank=2, loss="bernoulli-logit", restarts=2)
    found = torch.sigmoid(dense(model))
    assert (found - odds).square().mean() < 0.1 * (odds - ones.mean()).square().mean()
    seen = gaps(ones.shape) if arguments["observed"] else torch.ones(ones.shape, dtype=torch.bool)
    error = (ones - found)[seen].norm() / ones[seen].norm()
    assert model.relative_error == pytest.approx(float(error), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["masked", "observed"])
@pytest.mark.parametrize("name", ["gaussian", "poisson"])
def test_entries_that_were_not_observed_are_filled_in(form: str, name: str) -> None:
    rates = means((12, 10, 9), 2, mean=50)[0]
    tensor = torch.poisson(rates, generator=torch.Generator().manual_seed(0)) if name == "poisson" else rates
    model = gcp(**part(tensor, form, World.alone()), rank=2, loss=name, restarts=2)
    hidden = ~gaps(tensor.shape)
    assert (dense(model) - rates)[hidden].norm() < 0.15 * rates[hidden].norm()


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSS_NAMES)
def test_the_loss_never_grows(name: str) -> None:
    seen: list[float] = []
    gcp(data(name, (8, 7, 6), 3), 3, name, after_iteration=noting(seen, "loss"))
    assert len(seen) > 5
    assert all(after <= before for before, after in itertools.pairwise(seen))


def test_what_is_told_after_an_iteration_is_the_models() -> None:
    tensor, told = data("poisson", (8, 7, 6), 2), Progress()

    def after(state: Progress) -> bool:
        nonlocal told
        told = deepcopy(state)
        return state.iteration < 9

    model = gcp(tensor, 2, "poisson", after_iteration=after)
    assert told.iteration == 9 and told.seconds > 0
    assert told.relative_error == pytest.approx(model.relative_error, rel=1e-9)
    assert told.loss == pytest.approx(float(Poisson().value(tensor, dense(model)).mean()), rel=1e-9)


def test_a_fit_ends_when_it_gains_little() -> None:
    seen: list[float] = []
    gcp(normal((5, 6, 7), 4, noise=0.3)[0], 2, "gaussian", stop_tol=1e-4, after_iteration=noting(seen, "loss"))
    first = float(normal((5, 6, 7), 4, noise=0.3)[0].square().mean())
    gains = [before - after for before, after in itertools.pairwise(seen)]
    assert 3 < len(seen) < 100
    assert gains[-1] < 1e-4 * 2 * first and min(gains[:-1]) >= 1e-4 * seen[-1]


def test_a_fit_ends_after_max_iterations() -> None:
    seen: list[float] = []
    gcp(
        normal((5, 6, 7), 4)[0],
        2,
        "gaussian",
        stop_tol=0,
        max_iterations=6,
        restarts=2,
        after_iteration=noting(seen, "iteration"),
    )
    assert seen == [1, 2, 3, 4, 5, 6] * 2


@pytest.mark.slow
def test_restarts_keep_the_least_loss() -> None:
    tensor = data("poisson", (6, 7, 8), 4)
    settings: dict[str, Any] = {"max_iterations": 25, "stop_tol": 0}

    def cost(model: CPTensor) -> float:
        return float(Poisson().value(tensor, dense(model)).mean())

    alone = [cost(gcp(tensor, 4, "poisson", seed=seed, **settings)) for seed in range(8)]
    middle = next(n for n in range(1, 7) if alone[n] < min(alone[n - 1], alone[n + 1]))
    best = gcp(tensor, 4, "poisson", seed=middle - 1, restarts=3, **settings)
    assert cost(best) == pytest.approx(alone[middle], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 7, 12])
def test_a_fit_goes_on_from_its_progress(iterations: int) -> None:
    """L-BFGS forgets the curvature, so that the way is another, but not the end."""
    tensor, kept = data("poisson", (8, 7, 6), 2), []

    def stop(state: Progress) -> bool:
        kept.append(deepcopy(state))
        return len(kept) < iterations

    settings: dict[str, Any] = {"stop_tol": 1e-12, "restarts": 2}
    whole = gcp(tensor, 2, "poisson", **settings)
    gcp(tensor, 2, "poisson", **settings, after_iteration=stop)
    seen: list[float] = []
    resumed = gcp(
        tensor, 2, "poisson", **settings, progress=deepcopy(kept[-1]), after_iteration=noting(seen, "iteration")
    )
    assert seen[0] == iterations + 1
    assert resumed.relative_error == pytest.approx(whole.relative_error, abs=1e-4)


def test_a_fit_that_had_converged_does_not_go_on() -> None:
    tensor, kept, seen = data("poisson", (8, 7, 6), 2), [Progress()], list[float]()

    def keep(state: Progress) -> bool:
        kept.append(deepcopy(state))
        return True

    whole = gcp(tensor, 2, "poisson", after_iteration=keep)
    resumed = gcp(tensor, 2, "poisson", progress=kept[-1], after_iteration=noting(seen, "iteration"))
    assert seen == [] and resumed.relative_error == whole.relative_error


@pytest.mark.slow
def test_stopping_in_the_second_restart_gives_the_better_of_the_two() -> None:
    tensor = data("poisson", (6, 7, 8), 3)
    first = gcp(tensor, 3, "poisson")
    stopped = gcp(tensor, 3, "poisson", restarts=2, after_iteration=lambda state: state.restart == 0)
    assert stopped.relative_error == first.relative_error


def test_a_fit_may_begin_from_a_model() -> None:
    tensor, seen = normal((6, 7, 8), 3, noise=0.1)[0], list[float]()
    model = cp(tensor, 3, restarts=3, max_iterations=300)
    again = gcp(tensor, 3, "gaussian", init=model, after_iteration=noting(seen, "relative_error"))
    assert seen[0] <= model.relative_error + 1e-9
    assert again.relative_error == pytest.approx(model.relative_error, abs=1e-4)
    assert gcp(tensor, 3, "gaussian", init="svd").relative_error == pytest.approx(model.relative_error, abs=1e-3)


def test_a_model_below_the_bound_is_no_beginning() -> None:
    counts = data("poisson", (6, 7, 8), 2)
    model = cp(normal((6, 7, 8), 2)[0], 2)
    with pytest.raises(UserError, match="the model to begin from has negative entries: loss poisson needs factors of"):
        gcp(counts, 2, "poisson", init=model)
    assert all(bool((one >= 0).all()) for one in gcp(counts, 2, "poisson", init="svd").factors)


def test_l2_makes_the_model_smaller() -> None:
    tensor = normal((6, 7, 8), 2, noise=0.3)[0]
    sizes = [float(dense(gcp(tensor, 2, "gaussian", l2=l2)).norm()) for l2 in (0, 1, 10)]
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < 0.9 * sizes[0]


def test_columns_have_length_1_and_the_datas_type() -> None:
    for dtype in (torch.float32, torch.float64):
        model = gcp(normal((5, 6, 4), 2)[0].to(dtype), 2, "gaussian", max_iterations=3)
        assert model.weights.dtype == torch.float64
        for factor in model.factors:
            torch.testing.assert_close(factor.norm(dim=0), torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e3, 1e12])
def test_the_unit_of_the_data_does_not_matter(factor: float) -> None:
    tensor = normal((6, 5, 4), 3, noise=0.5)[0]
    expected = gcp(tensor, 2, "gaussian", max_iterations=20, stop_tol=0)
    model = gcp(tensor * factor, 2, "gaussian", max_iterations=20, stop_tol=0)
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-6)
    assert model.weights.tolist() == pytest.approx((expected.weights * factor).tolist(), rel=1e-3)


def test_modes_of_one_row_and_a_rank_above_every_mode_are_fitted() -> None:
    assert gcp(normal((1, 6, 1, 5), 1)[0], 1, "gaussian").relative_error < 1e-3
    assert gcp(normal((2, 3, 4), 7)[0], 7, "gaussian").relative_error < 1e-2


CASES = [(name, form) for name in ("gaussian", "poisson", "bernoulli-logit") for form in FORMS]


def fit_on_each_rank(world: World) -> list[CPTensor]:
    """Every case, then one whose last rank has nothing."""
    models = []
    for name, form in CASES:
        tensor = data(name, (7, 9, 6), 2)
        models.append(gcp(**part(tensor, form, world), rank=2, loss=name, max_iterations=8, restarts=2, stop_tol=0))
    few = SparseTensor(torch.tensor([[0], [1], [2]], dtype=torch.int32), torch.ones(1).double(), (7, 9, 6))
    none = SparseTensor(few.indices[:, :0], few.values[:0], few.shape)
    mine = few if world.rank == 0 else none
    return [*models, gcp(mine, 1, "bernoulli-logit", world=world, max_iterations=3)]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_any_number_of_ranks_equals_one(ranks: int) -> None:
    expected, answers = fit_on_each_rank(World.alone()), on_ranks(ranks, fit_on_each_rank)
    for number, one in enumerate(expected):
        for models in answers:
            model = models[number]
            assert model.relative_error == pytest.approx(one.relative_error, rel=1e-5)
            torch.testing.assert_close(model.weights, one.weights, atol=0, rtol=1e-5)
            for mine, other in zip(model.factors, one.factors, strict=True):
                torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)
            assert torch.equal(model.weights, answers[0][number].weights)


def stop_and_refuse_on_each_rank(world: World) -> tuple[int, str]:
    """The caller ends a fit; then one rank alone has an entry that is not allowed."""
    seen: list[float] = []
    counts = data("poisson", (7, 9, 6), 2)

    def after(state: Progress) -> bool:
        seen.append(state.loss)
        return len(seen) < 3

    gcp(**part(counts, "dense", world), rank=2, loss="poisson", restarts=3, after_iteration=after)
    counts[0, 8, 0] = -1
    try:
        gcp(**part(counts, "dense", world), rank=2, loss="poisson")
    except UserError as error:
        return len(seen), str(error)
    return len(seen), ""


def test_all_ranks_stop_together_and_are_refused_together() -> None:
    for iterations, message in on_ranks(2, stop_and_refuse_on_each_rank):
        assert iterations == 3
        assert message.startswith("the tensor holds -1: loss poisson takes counts, 0 or more")


@pytest.mark.parametrize(
    ("tensor", "rank", "loss", "message"),
    [
        (torch.ones(2, 3), 0, "gaussian", "rank is 0: it must be a whole number, 1 or more"),
        (torch.ones(2, 3), 1, "laplace", "unknown loss 'laplace': known are bernoulli-logit, gamma, gaussian"),
        (torch.ones(5), 1, "gaussian", "the tensor has 1 modes: a decomposition needs 2 or more"),
        (torch.zeros(2, 3), 1, "poisson", "the tensor is all zero"),
        (torch.tensor([[1.0, math.nan]]), 1, "gaussian", "NaN or infinite"),
        (torch.tensor([[1.0, -1.0]]), 1, "poisson", "the tensor holds -1: loss poisson takes counts, 0 or more"),
        (torch.tensor([[1.0, 2.0]]), 1, "bernoulli-logit", "the tensor holds 2: loss bernoulli-logit takes 0 and 1"),
        (torch.tensor([[1.0, 0.0]]), 1, "gamma", "the tensor holds 0: loss gamma takes numbers above 0"),
        (torch.full((4, 5, 6), 1e30), 1, "gaussian", "overflow float32: divide it by a constant, or use dtype float64"),
    ],
)
def test_what_cannot_be_fitted_is_refused(tensor: Tensor, rank: int, loss: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gcp(tensor, rank, loss)
