"""What the networks of every decoder have in common."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Shape
from polyadic.forecasting.pool import Pool
from tests.helpers.waves import (
    CALENDAR,
    CONTEXT,
    PREDICTION,
    network,
    one_window,
    sample,
    stored,
    waves,
    windows,
)
from tests.helpers.waves import cell as make_cell

each_decoder = pytest.mark.parametrize("decoder", sorted(DECODERS))
each_cell = pytest.mark.parametrize("cell", sorted(CELLS))


@each_decoder
def test_the_loss_is_a_sum_over_windows(decoder: str) -> None:
    batch, net = windows(5), network(decoder=decoder)
    parts = [net(one_window(batch, row)) for row in range(5)]
    torch.testing.assert_close(torch.stack(parts).sum(), net(batch), atol=1e-4, rtol=1e-5)


@each_decoder
def test_a_value_without_weight_does_not_enter_the_loss(decoder: str) -> None:
    batch, net = windows(5), network(decoder=decoder)
    other = dataclasses.replace(batch, weight_BP=batch.weight_BP.clone(), future_BP=batch.future_BP.clone())
    other.weight_BP[:, -1] = 0
    changed = dataclasses.replace(other, future_BP=other.future_BP.clone())
    changed.future_BP[:, -1] = 1e6
    assert torch.equal(net(other), net(changed))


@each_decoder
@pytest.mark.parametrize("name", ["dynamic_BTJ", "cat_BN"])
def test_a_forecast_depends_on_what_is_known_of_its_own_series(decoder: str, name: str) -> None:
    batch, net = windows(4), network(decoder=decoder).eval()
    value = getattr(batch, name).clone()
    value[1] = value[1] + 5 if name == "dynamic_BTJ" else 1 - value[1]
    one, other = sample(net, batch, 4, seed=0), sample(net, dataclasses.replace(batch, **{name: value}), 4, seed=0)
    assert not torch.allclose(one[1], other[1])
    torch.testing.assert_close(one[[0, 2, 3]], other[[0, 2, 3]])


@each_decoder
def test_a_feature_of_the_last_step_changes_the_last_step_alone(decoder: str) -> None:
    batch, net = windows(4), network(decoder=decoder).eval()
    later = batch.dynamic_BTJ.clone()
    later[:, -1] += 3
    one, other = sample(net, batch, 4, seed=0), sample(net, dataclasses.replace(batch, dynamic_BTJ=later), 4, seed=0)
    assert torch.equal(one[:, :, :-1], other[:, :, :-1]) and not torch.allclose(one[:, :, -1], other[:, :, -1])


@each_decoder
def test_a_network_without_covariates_takes_none(decoder: str) -> None:
    shape = Shape(
        context=CONTEXT,
        prediction=PREDICTION,
        cell=lambda inputs: make_cell("lstm", inputs, 4),
        calendar=CALENDAR.num_features,
    )
    net = DECODERS[decoder](shape, LIKELIHOODS["gaussian"])
    assert not {name for name in net.state_dict() if "feature" in name or "embedding" in name}
    none = Pool(stored(waves(2)), CALENDAR, CONTEXT, PREDICTION).take(np.arange(5))
    assert none.dynamic_BTJ.shape == (5, CONTEXT + PREDICTION, 0) and none.cat_BN.shape == (5, 0)
    assert net(none).isfinite() and sample(net.eval(), none, 3, seed=0).shape == (5, 3, PREDICTION)


@each_decoder
def test_the_horizons_values_do_not_leak_into_a_forecast(decoder: str) -> None:
    batch, net = windows(3), network(decoder=decoder).eval()
    unknown = dataclasses.replace(
        batch, future_BP=torch.full_like(batch.future_BP, 1e3), weight_BP=torch.zeros_like(batch.weight_BP)
    )
    assert torch.equal(sample(net, batch, 6, seed=0), sample(net, unknown, 6, seed=0))


@each_decoder
@each_cell
@pytest.mark.parametrize("layers", [1, 3])
def test_a_stack_has_its_layers(decoder: str, cell: str, layers: int) -> None:
    net = network(cell, layers=layers, decoder=decoder)
    assert len(net.encoder.cells) == len(net.decoder.cells) == layers
    loss = net(windows(3))
    torch.autograd.backward(loss)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@each_cell
def test_decay_leaves_biases_and_what_is_solved_alone(cell: str) -> None:
    for decoder, solved in (("direct", "linear_DP"), ("autoregressive", "phi")):
        net = network(cell, decoder=decoder)
        kept, decayed = net.by_decay()
        names = {name for name, weight in net.named_parameters() if any(weight is one for one in kept)}
        assert len(kept) + len(decayed) == len(list(net.parameters()))
        assert {solved, "head.bias"} <= names and "head.weight" not in names
