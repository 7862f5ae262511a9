"""Training: resumable to the bit, the same on any number of ranks, early stopping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting import draws as draws_module
from polyadic.forecasting.draws import Draws
from polyadic.forecasting.features import standardise
from polyadic.forecasting.network import Network
from polyadic.forecasting.pool import Pool
from polyadic.forecasting.series import Series
from polyadic.forecasting.validation import Validation
from polyadic.forecasting.windows import Batch
from polyadic.networks.progress import Cursor, Epoch, Plan
from polyadic.networks.training import Training
from tests.helpers.ranks import on_ranks
from tests.helpers.waves import network, pool, waves

State = tuple[dict[str, Tensor], dict[str, float]]


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws_module, "FEWEST_STEPS", 6)


def training_of(network: Network, share: Pool, plan: Plan, world: World, divided: bool) -> Training[Draws]:
    return Training(network, Draws(share, plan.batch_size, plan.seed, world, divided), plan, world)


def prepare(plan: Plan, dropout: float = 0.0) -> Training[Draws]:
    return training_of(network(dropout=dropout), pool(waves(4)), plan, World.alone(), divided=False)


def always(_: Cursor) -> bool:
    return True


def nothing(cursor: Cursor, epoch: Epoch) -> None:
    return


def noting(losses: list[float], name: Literal["loss", "validation"]) -> Callable[[Cursor, Epoch], None]:
    """What notes this loss of every epoch."""

    def after_epoch(_: Cursor, epoch: Epoch) -> None:
        losses.append(getattr(epoch, name))

    return after_epoch


def state_of(training: Training[Draws], cursor: Cursor) -> State:
    """A copy, as a checkpoint would hold it."""
    tensors = {name: value.detach().clone() for name, value in training.tensors(cursor).items()}
    return tensors, cursor.numbers


def weights(training: Training[Draws]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.network.state_dict().items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


PLAN = Plan(epochs=3, batch_size=8, learning_rate=0.02, seed=5, patience=2)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 6, 9, 12])
def test_resuming_equals_never_stopping_to_the_bit(steps: int) -> None:
    whole, losses, kept = prepare(PLAN, dropout=0.3), [], []
    whole.run(Cursor(), always, lambda _, epoch: losses.append(epoch.loss))
    first, taken = prepare(PLAN, dropout=0.3), 0

    def stop(cursor: Cursor) -> bool:
        nonlocal taken
        taken += 1
        if taken == steps:
            kept.append(state_of(first, cursor))
        return taken < steps

    again: list[float] = []
    assert not first.run(Cursor(), stop, lambda _, epoch: again.append(epoch.loss))
    second = prepare(PLAN, dropout=0.3)
    torch.manual_seed(999)
    cursor = second.restore(*kept[0])
    assert second.run(cursor, always, lambda _, epoch: again.append(epoch.loss))
    assert again == losses
    assert_equal(weights(second), weights(whole))


@pytest.mark.slow
def test_resuming_after_the_last_epoch_keeps_the_best() -> None:
    whole, kept = prepare(PLAN), []
    whole.run(Cursor(), always, lambda cursor, _: kept.append(state_of(whole, cursor)))
    again = prepare(PLAN)
    assert again.run(again.restore(*kept[-1]), always, nothing)
    assert_equal(weights(again), weights(whole))


@pytest.mark.slow
def test_training_lowers_the_loss() -> None:
    losses: list[float] = []
    plan = Plan(epochs=8, batch_size=16, learning_rate=0.02, seed=0)
    prepare(plan).run(Cursor(), always, lambda _, epoch: losses.append(epoch.loss))
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.3


def test_an_epochs_loss_is_the_mean_over_its_observed_values() -> None:
    """With a learning rate that moves nothing, by the network as it stands."""
    training, losses = prepare(Plan(epochs=1, batch_size=8, learning_rate=1e-30, seed=5)), []
    training.run(Cursor(), always, lambda _, epoch: losses.append(epoch.loss))
    batches = [Batch(*training.batches.take(0, step)) for step in range(training.steps)]
    total = sum(network()(batch).item() for batch in batches)
    count = sum(batch.weight_BP.sum().item() for batch in batches)
    assert losses == [pytest.approx(total / count, rel=1e-5)]


def test_a_decay_pulls_weights_that_no_gradient_moves_to_nothing() -> None:
    """With the gradient clipped to nothing, Adam's own step is as good as none: lr · decay of each matrix is left."""
    plan = Plan(epochs=1, batch_size=8, learning_rate=0.01, seed=5, weight_decay=0.5, gradient_clip=1e-30)
    training = prepare(plan)
    groups = training.network.by_decay()
    before = [[weight.detach().clone() for weight in group] for group in groups]
    factor = math.prod(1 - 0.01 * training._warmth(Cursor(step=step)) * 0.5 for step in range(training.steps))
    training.run(Cursor(), always, lambda *_: None)
    for by, group, olds in zip((1.0, factor), groups, before, strict=True):
        for weight, old in zip(group, olds, strict=True):
            torch.testing.assert_close(weight.detach(), by * old, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_early_stopping_keeps_the_best() -> None:
    """A rate so high that the loss soon grows again."""
    training = prepare(Plan(epochs=40, batch_size=4, learning_rate=0.3, seed=0, patience=2))
    losses: list[float] = []
    after: list[dict[str, Tensor]] = []

    def watch(cursor: Cursor, epoch: Epoch) -> None:
        losses.append(epoch.loss)
        after.append(weights(training))

    assert training.run(Cursor(), always, watch)
    best = min(range(len(losses)), key=losses.__getitem__)
    assert best > 0 and len(losses) == best + 1 + 2 < 40
    assert_equal(weights(training), after[best])


def test_without_patience_every_epoch_runs_and_the_last_weights_stay() -> None:
    training, after = prepare(Plan(epochs=4, batch_size=16, learning_rate=3.0, seed=0)), []
    training.run(Cursor(), always, lambda *_: after.append(weights(training)))
    assert len(after) == 4
    assert_equal(weights(training), after[-1])


def test_a_loss_that_is_not_finite_names_the_batch_and_the_series() -> None:
    spoilt = waves(3)
    spoilt[1].target[20] = 1e30
    plan = Plan(epochs=2, batch_size=16, learning_rate=0.01, seed=0)
    training = training_of(network(likelihood="gaussian"), pool(spoilt), plan, World.alone(), divided=False)
    message = r"in epoch 0, batch 1, whose most extreme value is in a\.json, series 2: .*learning_rate \(it is 0.01"
    with pytest.raises(UserError, match=message):
        training.run(Cursor(), always, nothing)


def test_a_validation_loss_that_is_not_finite_is_refused() -> None:
    spoilt = waves(2)
    spoilt[0].target[20] = 1e30
    training = prepare(PLAN)
    training.validation = Validation(pool(spoilt), divided=False)
    with pytest.raises(UserError, match=r"loss of channel validation was (inf|nan) after epoch 0: lower learning_rate"):
        training.run(Cursor(), always, nothing)


def test_an_epochs_loss_that_is_not_finite_is_the_users_to_mend() -> None:
    """Its gradients may have been finite: the sum of the losses is not."""
    spoilt = Cursor(epoch=3, loss=torch.tensor(math.inf, dtype=torch.float64), weight=torch.ones(()).double())
    with pytest.raises(UserError, match=r"the loss was inf in epoch 3: lower learning_rate \(it is 0.02\)"):
        prepare(PLAN)._mean_loss(spoilt)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    training = prepare(Plan(epochs=10, batch_size=4, learning_rate=1.0, seed=0))
    rates = [training._warmth(Cursor(epoch=epoch, step=step)) for epoch in range(10) for step in range(training.steps)]
    peak = rates.index(max(rates))
    assert 0 < rates[0] < 0.5 and max(rates) > 0.99 and peak < 0.1 * len(rates)
    assert all(b < a for a, b in zip(rates[peak:-1], rates[peak + 1 :], strict=True))
    assert 0 < rates[-1] < 0.01


def scales(training: Training[Draws], series: list[Series]) -> tuple[Tensor, Tensor]:
    standardise(training.network, pool(series), training.world, divided=True)
    return training.network.feature_mean_J, training.network.feature_deviation_J


def test_features_are_standardised_by_the_training_data() -> None:
    series = waves(4)
    mean, deviation = scales(prepare(PLAN), series)
    points = np.concatenate([one.dynamic for one in series if one.dynamic is not None], 1).astype(np.float64)
    assert mean.tolist() == pytest.approx(points.mean(1).tolist(), rel=1e-6)
    assert deviation.tolist() == pytest.approx(points.std(1).tolist(), rel=1e-6)


def test_a_feature_far_from_zero_keeps_its_deviation_and_a_constant_one_is_left_as_it_is() -> None:
    far = [
        replace(one, dynamic=np.stack([1e6 + np.arange(30), np.full(30, 0.1)]).astype(np.float32)) for one in waves(2)
    ]
    mean, deviation = scales(prepare(PLAN), far)
    assert deviation.tolist() == pytest.approx([np.arange(30).std(), 1], rel=1e-5)
    assert mean.tolist() == pytest.approx([1e6 + 14.5, 0.1])


FOUR = ["replicated", "divided", "unequal", "one empty"]


def shares(kind: str, ranks: int) -> list[list[Series]]:
    """Every rank's series, which together are always the same four."""
    series = waves(4)
    if kind == "replicated":
        return [series] * ranks
    cuts = {"divided": [0, 2, 4], "unequal": [0, 1, 4], "one empty": [0, 0, 4]}[kind]
    return [series[first:last] for first, last in itertools.pairwise(cuts)]


def train_on_each_rank(world: World, kinds: list[str]) -> list[tuple[list[float], dict[str, Tensor]]]:
    draws_module.FEWEST_STEPS = 6
    answers = []
    for kind in kinds:
        training = of_share(world, kind, PLAN)
        losses: list[float] = []
        training.run(Cursor(), always, noting(losses, "loss"))
        answers.append((losses, weights(training)))
    return answers


def of_share(world: World, kind: str, plan: Plan) -> Training[Draws]:
    """The training of this rank's series."""
    mine, divided = shares(kind, world.size)[world.rank] if world.size > 1 else waves(4), kind != "replicated"
    training = training_of(network(), pool(mine), plan, world, divided)
    standardise(training.network, training.batches.share, world, divided)
    return training


OVERSHOOTS = Plan(epochs=40, batch_size=8, learning_rate=0.2, seed=0, patience=2)


def validate_on_each_rank(world: World, kinds: list[str]) -> list[tuple[list[float], int]]:
    """The validation losses until patience ends, and the epoch whose weights are kept."""
    draws_module.FEWEST_STEPS = 6
    answers = []
    for kind in kinds:
        training, losses, at = of_share(world, kind, OVERSHOOTS), list[float](), Cursor()
        training.validation = Validation(training.batches.share, divided=kind != "replicated")
        training.run(at, always, noting(losses, "validation"))
        answers.append((losses, at.best_epoch))
    return answers


def resume_on_each_rank(world: World, kinds: list[str]) -> list[tuple[list[float], dict[str, Tensor]]]:
    """As `train_on_each_rank`, but stopped within the second epoch, and gone on with by others from rank 0's state."""
    draws_module.FEWEST_STEPS = 6
    answers = []
    for kind in kinds:
        first, losses, states = of_share(world, kind, PLAN), list[float](), list[State]()

        def stop(at: Cursor, first: Training[Draws] = first, states: list[State] = states) -> bool:
            if (at.epoch, at.step) == (1, 3):
                states.append(state_of(first, at))
            return not states

        first.run(Cursor(), stop, noting(losses, "loss"))
        second = of_share(world, kind, PLAN)
        second.run(second.restore(*world.from_first(states[0])), always, noting(losses, "loss"))
        answers.append((losses, weights(second)))
    return answers


def all_on_each_rank(world: World, kinds: list[str]) -> list[Any]:
    return [one(world, kinds) for one in (train_on_each_rank, validate_on_each_rank, resume_on_each_rank)]


@pytest.fixture(scope="module")
def two_ranks() -> list[Any]:
    """What each of two ranks has found: of a whole training, of a validated one, of a resumed one."""
    return on_ranks(2, all_on_each_rank, FOUR)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOUR)
def test_two_ranks_equal_one(two_ranks: list[Any], kind: str) -> None:
    losses, expected = train_on_each_rank(World.alone(), [kind])[0]
    number = FOUR.index(kind)
    for answers in two_ranks:
        their_losses, found = answers[0][number]
        assert their_losses == pytest.approx(losses, abs=1e-5)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=5e-5, rtol=0, msg=partial("{}: {}".format, name))
            assert torch.equal(found[name], two_ranks[0][0][number][1][name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOUR)
def test_two_ranks_agree_when_to_stop(two_ranks: list[Any], kind: str) -> None:
    losses, best = validate_on_each_rank(World.alone(), [kind])[0]
    assert len(losses) == best + 1 + 2 < 40
    number = FOUR.index(kind)
    assert two_ranks[0][1][number] == two_ranks[1][1][number]
    their_losses, _ = two_ranks[0][1][number]
    assert their_losses[:1] == pytest.approx(losses[:1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOUR)
def test_two_ranks_resume_to_the_bit(two_ranks: list[Any], kind: str) -> None:
    number = FOUR.index(kind)
    for whole, _, resumed in two_ranks:
        assert resumed[number][0] == pytest.approx(whole[number][0], rel=1e-12)
        assert_equal(resumed[number][1], whole[number][1])
