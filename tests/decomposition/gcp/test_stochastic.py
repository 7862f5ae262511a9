"""Generalized CP by Adam: samples on any number of ranks, unbiased gradients, recovery, failed epochs, resuming."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp import objective as gcp_objective
from polyadic.decomposition.gcp import samples as gcp_samples
from polyadic.decomposition.gcp.estimates import Estimator
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.decomposition.gcp.losses.huber import Huber
from polyadic.decomposition.gcp.losses.poisson import Poisson
from polyadic.decomposition.gcp.objective import Objective
from polyadic.decomposition.gcp.progress import StochasticProgress
from polyadic.decomposition.gcp.samples import Sample, numbers, sampler
from polyadic.decomposition.gcp.stochastic import gcp_stochastic
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.gcp_cases import FORMS, LOSS_NAMES, data, dense, factor_match, means, normal, part
from tests.helpers.ranks import on_ranks

SHAPE = (7, 9, 6)


def noting(values: list[StochasticProgress]) -> Callable[[StochasticProgress], bool]:
    """Notes what stands after every epoch."""

    def after_epoch(state: StochasticProgress) -> bool:
        values.append(deepcopy(state))
        return True

    return after_epoch


def draws_on_each_rank(world: World) -> list[Sample]:
    """For each form a sample smaller than the tensor, another, and one larger; of zeros without a closed form too."""
    found = []
    for form, loss in [*((form, Poisson()) for form in FORMS), ("zeros", Huber())]:
        drawn = sampler(Data.of(**part(data("poisson", SHAPE, 2), form, world)), loss)
        found += [drawn.draw(*one) for one in ((60, (3, 1, 4)), (60, (3, 1, 5)), (10_000, (3, 0, 0)))]
    return found


def rows(samples: list[Sample]) -> list[list[float]]:
    """The entries of a sample from every rank, in an order of their own; those of no weight are left out."""
    parts = [torch.cat([one.places.double(), torch.stack(one[1:])]).T.tolist() for one in samples]
    return sorted(row for some in parts for row in some if row[-2])


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_a_sample_is_the_same_for_any_number_of_ranks(ranks: int) -> None:
    expected, answers = draws_on_each_rank(World.alone()), on_ranks(ranks, draws_on_each_rank)
    for number, one in enumerate(expected):
        assert rows([samples[number] for samples in answers]) == rows([one])
    assert rows([expected[0]]) != rows([expected[1]])


def numbered_on_each_rank(world: World) -> list[Tensor]:
    """The numbers of nonzeros by their places, -1 for those of other ranks; seen all at once, then ten at a time."""
    index = torch.cartesian_prod(torch.arange(9), torch.arange(8), torch.arange(7)).T[:, world.rank :: world.size]
    found = []
    for at_once in (2**22, 10):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gcp_samples, "NUMBERED_NONZEROS", at_once)
            order, own = numbers(index, 9 * 8 * 7, world)
        found.append(torch.full((9, 8, 7), -1).index_put_(tuple(index[:, order]), own))
    return found


def test_numbers_are_the_same_for_any_number_of_ranks() -> None:
    alone, answers = numbered_on_each_rank(World.alone()), on_ranks(2, numbered_on_each_rank)
    assert alone[0].flatten().sort().values.tolist() == list(range(9 * 8 * 7))
    for number in (0, 1):
        assert torch.equal(alone[number], alone[0])
        assert torch.equal(torch.stack([one[number] for one in answers]).amax(0), alone[0])


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_a_sample_larger_than_the_tensor_is_all_of_it(form: str, name: str) -> None:
    tensor, loss = data(name, SHAPE, 2), LOSSES[name]()
    arguments = part(tensor, form, World.alone())
    whole: list[StochasticProgress] = []
    gcp_stochastic(
        **arguments, rank=2, loss=loss, samples=10**4, iterations=20, epochs=2, l2=0.1, after_epoch=noting(whole)
    )
    state = whole[-1]
    exact = Objective(Data.of(**arguments), loss, 0.1)(torch.cat(state.factors))
    assert state.loss == pytest.approx(exact.loss, rel=1e-9)
    assert state.relative_error == pytest.approx(exact.square**0.5 / Data.of(**arguments).norm, rel=1e-9)


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_the_sampled_gradient_is_unbiased(form: str, name: str) -> None:
    whole, loss = Data.of(**part(data(name, SHAPE, 2), form, World.alone())), LOSSES[name]()
    stack = torch.rand(sum(SHAPE), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    objective = Objective(whole, loss, 0.3)
    estimator = Estimator(whole, loss, 0.3, samples=100, loss_samples=100, seed=0)
    estimates = torch.stack([estimator.gradient(stack, (0, 1, number)) for number in range(400)])
    exact = objective(stack).gradient * objective.entries
    spread = estimates.std(0) / len(estimates) ** 0.5
    assert bool(((estimates.mean(0) - exact).abs() < 5 * spread).all())
    assert float(spread.norm() / exact.norm()) < 0.2, "the case must tell a bias from chance"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), [("poisson", "dense"), ("poisson", "zeros"), ("gaussian", "observed")])
def test_the_factors_are_recovered(name: str, form: str) -> None:
    rates, factors = means((20, 18, 16), 3, mean=5)
    tensor = torch.poisson(rates, generator=torch.Generator().manual_seed(0)) if name == "poisson" else rates
    arguments = part(tensor, form, World.alone())
    model = gcp_stochastic(
        **arguments, rank=3, loss=name, samples=1000, iterations=300, epochs=15, learning_rate=0.02, restarts=2
    )
    exact = gcp(**arguments, rank=3, loss=name, restarts=2)
    assert factor_match(model, factors) > 0.95
    assert model.relative_error == pytest.approx(exact.relative_error, abs=0.02)
    found = dense(model)
    assert name == "gaussian" or model.relative_error == pytest.approx(float((tensor - found).norm() / tensor.norm()))


@pytest.mark.slow
def test_bernoulli_logit_finds_the_probabilities() -> None:
    odds = torch.sigmoid(3 * normal((20, 18, 16), 2, seed=3)[0])
    ones = SparseTensor.of(torch.bernoulli(odds, generator=torch.Generator().manual_seed(0)))
    model = gcp_stochastic(ones, 2, "bernoulli-logit", samples=2000, iterations=200, epochs=10, learning_rate=0.05)
    constant = odds.mean()
    assert (torch.sigmoid(dense(model)) - odds).square().mean() < 0.2 * (odds - constant).square().mean()


def test_the_kept_loss_falls_and_an_epoch_that_fails_halves_the_learning_rate() -> None:
    seen: list[StochasticProgress] = []
    counts = data("poisson", SHAPE, 2)
    model = gcp_stochastic(
        counts, 2, "poisson", samples=60, iterations=20, learning_rate=0.3, failures=3, after_epoch=noting(seen)
    )
    assert seen[-1].failures == 3 and len(seen) < 100
    assert [one.failures for one in seen[:-1]].count(3) == 0
    for before, after in itertools.pairwise(seen):
        if after.failures > before.failures:
            assert after.loss == before.loss and after.steps == before.steps
            assert after.learning_rate == before.learning_rate / 2
            assert all(torch.equal(*both) for both in zip(before.factors, after.factors, strict=True))
        else:
            assert after.loss < before.loss and after.steps == before.steps + 20
    assert all(bool((factor >= 0).all()) for factor in model.factors)


def test_a_fit_ends_after_its_epochs_or_when_the_caller_says_so() -> None:
    counts, seen = data("poisson", SHAPE, 2), list[StochasticProgress]()
    gcp_stochastic(counts, 2, "poisson", iterations=5, epochs=3, restarts=2, after_epoch=noting(seen))
    assert [(one.restart, one.epoch) for one in seen] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    calls: list[StochasticProgress] = []

    def stop(state: StochasticProgress) -> bool:
        calls.append(state)
        return False

    gcp_stochastic(counts, 2, "poisson", iterations=5, restarts=2, after_epoch=stop)
    assert len(calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resuming_equals_never_stopping_to_the_bit(form: str, dtype: torch.dtype) -> None:
    arguments = part(data("poisson", SHAPE, 2).to(dtype), form, World.alone())
    settings: dict[str, Any] = {
        "rank": 2, "loss": "poisson", "samples": 50, "iterations": 10, "epochs": 5, "learning_rate": 0.1, "restarts": 2
    }  # fmt: skip
    seen: list[StochasticProgress] = []
    whole = gcp_stochastic(**arguments, **settings, after_epoch=noting(seen))
    assert any(one.failures for one in seen)
    for state in seen:
        resumed = gcp_stochastic(**arguments, **settings, progress=deepcopy(state))
        assert resumed.relative_error == whole.relative_error
        assert torch.equal(resumed.weights, whole.weights)
        assert all(torch.equal(*both) for both in zip(resumed.factors, whole.factors, strict=True))


def test_restarts_keep_the_least_loss() -> None:
    counts = data("poisson", SHAPE, 4)
    settings: dict[str, Any] = {"iterations": 30, "epochs": 2, "learning_rate": 0.05}
    seen: list[StochasticProgress] = []
    alone = [gcp_stochastic(counts, 4, "poisson", seed=seed, **settings) for seed in range(8)]
    costs = [float(Poisson().value(counts, dense(model)).mean()) for model in alone]
    middle = next(n for n in range(1, 7) if costs[n] < min(costs[n - 1], costs[n + 1]))
    model = gcp_stochastic(counts, 4, "poisson", seed=middle - 1, restarts=3, **settings, after_epoch=noting(seen))
    assert torch.equal(model.weights, alone[middle].weights)
    assert seen[-1].best_loss == pytest.approx(costs[middle])


def test_a_fit_may_begin_from_a_model() -> None:
    tensor, seen = normal((6, 7, 8), 3, noise=0.1)[0], list[StochasticProgress]()
    model = cp(tensor, 3, restarts=3, max_iterations=300)
    again = gcp_stochastic(tensor, 3, "gaussian", init=model, iterations=5, epochs=2, after_epoch=noting(seen))
    assert again.relative_error == pytest.approx(model.relative_error, abs=1e-3)


@pytest.mark.slow
def test_l2_makes_the_model_smaller() -> None:
    tensor = normal((6, 7, 8), 2, noise=0.3)[0]
    settings: dict[str, Any] = {"iterations": 200, "epochs": 4, "learning_rate": 0.02}
    small, large = (gcp_stochastic(tensor, 2, "gaussian", l2=l2, **settings) for l2 in (10.0, 0.0))
    assert dense(small).norm() < 0.9 * dense(large).norm()


CASES = [(name, form) for name in ("gaussian", "poisson", "bernoulli-logit") for form in FORMS]


def fit_on_each_rank(world: World) -> list[CPTensor]:
    """Every case, and then one where most ranks have nothing."""
    settings: dict[str, Any] = {"iterations": 15, "epochs": 3, "learning_rate": 0.05, "samples": 80}
    models = []
    for name, form in CASES:
        arguments = part(data(name, SHAPE, 2), form, world)
        models.append(gcp_stochastic(**arguments, **settings, rank=2, loss=name, loss_samples=150, restarts=2))
    few = SparseTensor(torch.tensor([[0], [1], [2]], dtype=torch.int32), torch.ones(1).double(), SHAPE)
    none = SparseTensor(few.indices[:, :0], few.values[:0], few.shape)
    mine = few if world.rank == 0 else none
    return [*models, gcp_stochastic(mine, 1, "bernoulli-logit", world=world, **settings)]


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


def test_a_tensor_whose_zeros_nobody_could_visit_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first, the relative error is estimated too; the second has more entries than 64 bits count."""
    indices = torch.stack([torch.arange(1000) % 97, torch.arange(1000) % 89, torch.arange(1000) % 83]).int()
    small, large = (SparseTensor(indices, torch.ones(1000), (rows,) * 3) for rows in (100, 10**7))
    monkeypatch.setattr(gcp_objective, "MOST_ENTRIES", 10**6 - 1)
    seen: list[StochasticProgress] = []
    with pytest.raises(UserError, match="Use method=adam"):
        gcp(small, 1, "bernoulli-logit")
    model = gcp_stochastic(small, 1, "bernoulli-logit", iterations=20, epochs=3, after_epoch=noting(seen))
    assert model.relative_error == seen[-1].relative_error
    drawn = sampler(Data.of(large, World.alone()), Huber()).draw(1000, (0, 1, 0))
    assert float(drawn.weight.double().sum()) == pytest.approx(1e21, rel=1e-3)


@pytest.mark.parametrize(
    ("tensor", "settings", "message"),
    [
        (torch.ones(2, 3), {"rank": 0}, "rank is 0: it must be a whole number, 1 or more"),
        (torch.ones(2, 3), {"samples": 1}, "samples is 1: it must be a whole number, 2 or more"),
        (torch.ones(2, 3), {"loss_samples": 0}, "loss_samples is 0: it must be a whole number, 2 or more"),
        (torch.ones(2, 3), {"iterations": 0}, "iterations is 0: it must be a whole number, 1 or more"),
        (torch.ones(2, 3), {"loss": "laplace"}, "unknown loss 'laplace'"),
        (torch.tensor([[1.0, -1.0]]), {"loss": "poisson"}, "the tensor holds -1: loss poisson takes counts, 0 or more"),
        (torch.full((4, 5, 6), 1e30), {}, "overflow float32: divide it by a constant, or use dtype float64"),
    ],
)
def test_what_cannot_be_fitted_is_refused(tensor: Tensor, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gcp_stochastic(tensor, **{"rank": 1, "loss": "gaussian", **settings})
