"""The autoregressive network: its loss, and its sample paths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.forecasting import autoregressive
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.windows import Batch
from tests.helpers.waves import CONTEXT, PREDICTION, network, one_window, sample, windows

each_case = pytest.mark.parametrize(
    ("cell", "likelihood"), [*((cell, "student-T") for cell in CELLS), *(("tt-lstm", name) for name in LIKELIHOODS)]
)
each_likelihood = pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
mirrored = pytest.mark.parametrize("likelihood", ["student-T", "gaussian"])


def step_by_step(net: Any, batch: Batch) -> Tensor:
    """The loss with the encoder and the decoder fed one step at a time, each with the actual value before."""
    values = torch.cat([batch.past_BC, batch.future_BP], 1)
    seen = torch.cat([batch.observed_BC, batch.weight_BP], 1)
    ratio = torch.asinh(batch.level_B / batch.scale_B)
    states, total = None, torch.zeros(())
    for time in range(values.shape[1]):
        before = values[:, time - 1] if time else torch.zeros(len(values))
        known = seen[:, time - 1] if time else torch.zeros(len(values))
        dynamic = (batch.dynamic_BTJ[:, time] - net.feature_mean_J) / net.feature_deviation_J
        embedded = [weight[batch.cat_BN[:, number]] for number, weight in enumerate(net.embeddings.parameters())]
        inputs = torch.cat([torch.stack([before, known, ratio], 1), batch.calendar_BTK[:, time], dynamic, *embedded], 1)
        stack = net.encoder if time < CONTEXT else net.decoder
        hidden, states = stack(inputs[:, None], states)
        if time >= CONTEXT:
            raw = net.head(hidden[:, 0])
            raw = torch.cat([raw[:, :1] + net.phi * before[:, None], raw[:, 1:]], 1)
            total = (
                total + (net.likelihood.nll(raw, values[:, time], batch.level_B, batch.scale_B) * seen[:, time]).sum()
            )
    return total


@each_case
def test_the_teacher_forced_loss_equals_step_by_step(cell: str, likelihood: str) -> None:
    batch = windows(7, likelihood)
    assert 0 < batch.weight_BP.mean() < 1
    net = network(cell, likelihood)
    with torch.no_grad():
        net.phi.fill_(0.7)
    torch.testing.assert_close(net(batch), step_by_step(net, batch), atol=1e-4, rtol=1e-5)


@each_case
@pytest.mark.parametrize("paths", [1, 7, 20])
def test_a_forecast_does_not_depend_on_its_neighbours(cell: str, likelihood: str, paths: int) -> None:
    batch, net = windows(6, likelihood), network(cell, likelihood).eval()
    together = sample(net, batch, paths, seed=3)
    assert together.shape == (6, paths, PREDICTION)
    for row in range(6):
        alone = sample(net, one_window(batch, row), paths, seed=3)[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


def test_forecasts_in_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, net = windows(7), network().eval()
    whole = sample(net, batch, 10, seed=3)
    monkeypatch.setattr(autoregressive, "BATCH_SEQUENCES", 25)
    torch.testing.assert_close(sample(net, batch, 10, seed=3), whole, atol=1e-5, rtol=1e-5)


@each_likelihood
def test_a_forecast_is_a_function_of_the_seed(likelihood: str) -> None:
    batch, net = windows(2, likelihood), network(likelihood=likelihood).eval()
    one = sample(net, batch, 8, seed=3)
    torch.rand(5)
    assert torch.equal(sample(net, batch, 8, seed=3), one)
    assert torch.allclose(sample(net, batch, 8, seed=4), one) == (likelihood == "deterministic-L1")


def test_forecasts_are_such_as_the_likelihood_takes() -> None:
    for likelihood in ("negative-binomial", "beta"):
        drawn = sample(network(likelihood=likelihood).eval(), windows(5, likelihood), 50, seed=0)
        LIKELIHOODS[likelihood].refuse(drawn.numpy().reshape(-1))
        assert drawn.std(1).min() > 0


def test_every_path_of_a_deterministic_forecast_is_the_same() -> None:
    drawn = sample(network(likelihood="deterministic-L1").eval(), windows(3), 6, seed=0)
    assert torch.equal(drawn, drawn[:, :1].expand_as(drawn))


@mirrored
def test_mirrored_paths_take_the_noise_out_of_the_first_steps_mean(likelihood: str) -> None:
    batch, net = windows(4), network(likelihood=likelihood).eval()
    first = sample(net, batch, 10, seed=0)[:, :, 0]
    previous, observed = batch.past_BC[:, -1:], batch.observed_BC[:, -1:]
    inputs = net.inputs(batch, previous, observed, CONTEXT)
    location = net.raw(net.decoder(inputs, net.encode(batch))[0], previous)[:, 0, 0]
    expected = location * batch.scale_B + batch.level_B
    torch.testing.assert_close(first.mean(1), expected.detach(), atol=1e-4, rtol=1e-5)
    assert first.std(1).min() > 0
    torch.testing.assert_close(first[:, :5] + first[:, 5:], 2 * expected.detach()[:, None].expand(-1, 5))


def test_mirrored_paths_have_a_mean_near_that_of_many() -> None:
    batch, net = windows(3), network(likelihood="gaussian").eval()
    few, many = sample(net, batch, 100, seed=1), sample(net, batch, 20_000, seed=2)
    spread = many.std(1)
    assert ((few.mean(1) - many.mean(1)).abs() < 0.1 * spread).all()


def test_a_path_goes_on_from_its_own_draws() -> None:
    """The spread of a random walk grows: a step's location counts from the value drawn before it."""
    net = network(likelihood="gaussian").eval()
    with torch.no_grad():
        net.head.weight.zero_()
    spread = sample(net, windows(1), 4000, seed=1)[0].std(0)
    torch.testing.assert_close(spread / spread[0], torch.tensor([1.0, 2.0, 3.0]).sqrt(), atol=0.05, rtol=0)
