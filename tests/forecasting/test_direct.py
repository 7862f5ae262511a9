"""The direct network: its loss, its quantiles and its means."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.forecasting import direct
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.direct import LEVELS, interpolate
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.linear_autoregression import LinearAutoregression
from tests.helpers.waves import CONTEXT, PREDICTION, network, one_window, sample, windows


def test_the_loss_is_that_of_mean_and_quantiles_by_hand() -> None:
    batch, net = windows(7), network(decoder="direct")
    assert 0 < batch.weight_BP.mean() < 1
    mean_BP, quantiles_BPQ = net.heads(batch)
    total = 0.0
    for window, step in np.ndindex(7, PREDICTION):
        if batch.weight_BP[window, step]:
            actual = batch.future_BP[window, step].item()
            total += (actual - mean_BP[window, step].item()) ** 2 / 2
            losses = [
                level * (actual - one) if actual > one else (1 - level) * (one - actual)
                for level, one in zip(LEVELS, quantiles_BPQ[window, step].tolist(), strict=True)
            ]
            total += 2 * np.mean(losses)
    assert net(batch).item() == pytest.approx(total, rel=1e-5)


def test_an_untrained_head_of_zeros_forecasts_the_last_value() -> None:
    batch, net = windows(4), network(decoder="direct").eval()
    with torch.no_grad():
        net.head.weight.zero_()
    last = batch.past_BC[:, -1] * batch.scale_B + batch.level_B
    mean = torch.from_numpy(net.forecast(batch, 5, 0).mean_BP)
    torch.testing.assert_close(mean, last[:, None].expand(-1, PREDICTION))


def test_it_counts_from_the_linear_autoregression_that_it_is_given() -> None:
    batch, net = windows(4), network(decoder="direct")
    weight_DP = torch.randn(CONTEXT + 1, PREDICTION)
    net.begin(LinearAutoregression(weight_DP))
    with torch.no_grad():
        net.head.weight.zero_()
    torch.testing.assert_close(net.heads(batch)[0], batch.past_BC @ weight_DP[:-1] + weight_DP[-1])
    assert "linear_DP" in dict(net.named_parameters())


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("paths", [1, 7])
def test_a_forecast_does_not_depend_on_its_neighbours(cell: str, paths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, net = windows(6), network(cell, decoder="direct").eval()
    together = net.forecast(batch, paths, 3)
    assert together.samples_BSP.shape == (6, paths, PREDICTION) and together.mean_BP.shape == (6, PREDICTION)
    monkeypatch.setattr(direct, "CHUNK_NUMBERS", 1)
    again = net.forecast(batch, paths, 3)
    for row in range(6):
        alone = net.forecast(one_window(batch, row), paths, 3)
        for part, cut, whole in zip(vars(alone), vars(again).values(), vars(together).values(), strict=True):
            np.testing.assert_allclose(getattr(alone, part)[0], whole[row], atol=1e-5)
            np.testing.assert_allclose(cut[row], whole[row], atol=1e-5)


def test_paths_are_the_quantiles_in_order() -> None:
    batch, net = windows(3), network(decoder="direct").eval()
    drawn = sample(net, batch, 200, 0)
    assert (drawn.diff(dim=1) >= 0).all()
    quantiles = net.heads(batch)[1].sort(-1).values * batch.scale_B[:, None, None] + batch.level_B[:, None, None]
    for number, level in enumerate(LEVELS):
        found = torch.quantile(drawn, level, dim=1)
        torch.testing.assert_close(found, quantiles[..., number].detach(), atol=0.03, rtol=0.01)


@settings(max_examples=50, deadline=None)
@given(st.floats(-5, 5), st.floats(0.1, 3), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5))
def test_a_normals_quantiles_are_interpolated_exactly(mean: float, deviation: float, wanted: list[float]) -> None:
    levels, asked = torch.tensor(LEVELS, dtype=torch.float64), torch.tensor(wanted, dtype=torch.float64)
    found = interpolate(mean + deviation * torch.special.ndtri(levels), levels, asked)
    torch.testing.assert_close(found, mean + deviation * torch.special.ndtri(asked))


@pytest.mark.parametrize("likelihood", ["negative-binomial", "beta"])
def test_forecasts_are_such_as_the_likelihood_takes(likelihood: str) -> None:
    batch = windows(5, likelihood)
    found = network(likelihood=likelihood, decoder="direct").eval().forecast(batch, 50, 0)
    LIKELIHOODS[likelihood].refuse(found.samples_BSP.reshape(-1))
    assert found.mean_BP.min() >= 0 and np.isfinite(found.mean_BP).all()
    if likelihood == "beta":
        np.testing.assert_allclose(found.mean_BP, found.samples_BSP.mean(1), rtol=1e-5)


@pytest.mark.slow
def test_learning_quantiles_of_noise_finds_them() -> None:
    """Of standard normal values after a context that says nothing: the head's biases alone can tell."""
    torch.manual_seed(0)
    batch, net = windows(1), network(decoder="direct")
    many = dataclasses.replace(
        batch,
        **{name: value.expand(4000, *value.shape[1:]) for name, value in vars(batch).items()},
    )
    noise = torch.randn(4000, PREDICTION)
    many = dataclasses.replace(
        many, past_BC=torch.zeros(4000, CONTEXT), future_BP=noise, weight_BP=torch.ones_like(noise)
    )
    with torch.no_grad():
        net.head.weight.zero_()
    optimizer = torch.optim.Adam([net.head.bias], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        torch.autograd.backward(net(many) / noise.numel())
        optimizer.step()
    expected = torch.special.ndtri(net.levels_Q)
    torch.testing.assert_close(net.head.bias[1:].detach(), expected, atol=0.12, rtol=0)
    assert abs(net.head.bias[0].item()) < 0.05
