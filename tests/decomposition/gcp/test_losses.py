"""Losses of the generalized CP decomposition: derivatives, minima, and the data that each takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, poisson_nll_loss

from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import LOSSES, named
from polyadic.decomposition.gcp.losses.bernoulli_logit import BernoulliLogit
from polyadic.decomposition.gcp.losses.gamma import Gamma
from polyadic.decomposition.gcp.losses.gaussian import Gaussian
from polyadic.decomposition.gcp.losses.huber import Huber
from polyadic.decomposition.gcp.losses.poisson import Poisson
from polyadic.errors import UserError

DATA = {
    "gaussian": st.floats(-50, 50),
    "poisson": st.integers(0, 50).map(float),
    "bernoulli-logit": st.sampled_from([0.0, 1.0]),
    "gamma": st.floats(0.01, 50),
    "huber": st.floats(-50, 50),
}
in_any_time = settings(deadline=None)
names = pytest.mark.parametrize("name", DATA)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def draw(data: st.DataObject, name: str) -> tuple[Loss, Tensor, Tensor]:
    loss = LOSSES[name]()
    least = 0.01 if loss.lower == 0 else -50
    return loss, number(data.draw(DATA[name])), number(data.draw(st.floats(least, 50)))


def test_losses_are_found_by_name() -> None:
    assert set(LOSSES) == DATA.keys()
    assert named("huber") == Huber() and named(Huber(0.25)) == Huber(0.25)
    with pytest.raises(UserError, match="unknown loss 'poison': did you mean 'poisson'"):
        named("poison")


@names
@in_any_time
@given(data=st.data())
def test_the_derivative_is_that_of_the_value(name: str, data: st.DataObject) -> None:
    loss, x, m = draw(data, name)
    if isinstance(loss, Huber):
        assume(abs(abs(float(x - m)) - loss.delta) > 1e-3)
    slope, step = loss.derivative(x, m), 1e-6 * max(1.0, float(m.abs()))
    by_differences = (loss.value(x, m + step) - loss.value(x, m - step)) / (2 * step)
    largest = loss.value(x, m).abs()
    torch.testing.assert_close(slope, by_differences, rtol=1e-3, atol=1e-3 + 1e-9 * float(largest) / step)
    m.requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(loss.value(x, m), m)[0], slope)


@names
@in_any_time
@given(data=st.data())
def test_the_data_is_its_own_best_model(name: str, data: st.DataObject) -> None:
    loss, x, m = draw(data, name)
    if name != "bernoulli-logit":  # There no finite model is the best.
        assert loss.value(x, x) <= loss.value(x, m) + 1e-9
        assert loss.mean(m) == m and not loss.linked


@names
@in_any_time
@given(data=st.data())
def test_zeros_cost_what_the_loss_says(name: str, data: st.DataObject) -> None:
    loss, _, m = draw(data, name)
    cost = loss.value(torch.zeros_like(m), m)
    expected = {"square": m.square(), "model": m, None: cost}[loss.zeros]
    torch.testing.assert_close(cost, expected)


@in_any_time
@given(st.sampled_from([0.0, 1.0]), st.floats(-500, 500))
def test_bernoulli_logit_is_torchs_cross_entropy(x: float, m: float) -> None:
    expected = binary_cross_entropy_with_logits(number(m), number(x))
    torch.testing.assert_close(BernoulliLogit().value(number(x), number(m)), expected)
    assert BernoulliLogit().linked
    assert float(BernoulliLogit().mean(number(m))) == pytest.approx(1 / (1 + math.exp(-m)))


@in_any_time
@given(st.integers(0, 1000), st.floats(0.001, 1000))
def test_poisson_is_torchs(x: int, m: float) -> None:
    expected = poisson_nll_loss(number(m), number(x), log_input=False, eps=1e-10)
    torch.testing.assert_close(Poisson().value(number(x), number(m)), expected)


@in_any_time
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_gamma_is_an_exponentials_likelihood(x: float, m: float) -> None:
    """A gamma distribution of shape 1; the shape does not move the optimum."""
    exponential: Any = torch.distributions.Exponential(1 / number(m))
    expected = -exponential.log_prob(number(x))
    torch.testing.assert_close(Gamma().value(number(x), number(m)), expected)


@in_any_time
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 3))
def test_huber_is_a_square_up_to_delta_and_a_line_beyond(x: float, m: float, delta: float) -> None:
    far, loss = abs(x - m), Huber(delta)
    expected = far**2 if far <= delta else 2 * delta * far - delta**2
    assert float(loss.value(number(x), number(m))) == pytest.approx(expected)
    assert abs(float(loss.derivative(number(x), number(m)))) <= 2 * delta


@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
def test_a_delta_that_is_no_distance_is_refused(delta: float) -> None:
    with pytest.raises(UserError, match="delta is .*above 0"):
        Huber(delta)


@names
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_of_zero_costs_a_finite_number(name: str, dtype: torch.dtype) -> None:
    loss, zero = LOSSES[name](), torch.zeros(1, dtype=dtype)
    for x in (zero, zero + 1):
        assert loss.value(x, zero).isfinite() and loss.derivative(x, zero).isfinite()
        assert loss.value(x, zero).dtype == loss.derivative(x, zero).dtype == dtype


@pytest.mark.parametrize(
    ("loss", "wrong", "message"),
    [
        (Poisson(), -3.0, "the tensor holds -3: loss poisson takes counts, 0 or more. Change the data, or the loss"),
        (BernoulliLogit(), 2.0, "the tensor holds 2: loss bernoulli-logit takes 0 and 1"),
        (BernoulliLogit(), 0.5, "the tensor holds 0.5"),
        (Gamma(), -0.5, "the tensor holds -0.5: loss gamma takes numbers above 0"),
        (Gamma(), 0.0, "the tensor holds 0: loss gamma takes numbers above 0"),
    ],
)
def test_data_that_a_loss_is_not_for_is_refused(loss: Loss, wrong: float, message: str) -> None:
    values = torch.ones(4, 5)
    loss.check(values)
    values[2, 3] = wrong
    with pytest.raises(UserError, match=message):
        loss.check(values)
    seen = torch.ones(4, 5)
    seen[2, 3] = 0
    loss.check(values, seen=seen)


@pytest.mark.parametrize("loss", [Gaussian(), Huber()])
def test_some_losses_take_any_number(loss: Loss) -> None:
    loss.check(torch.tensor([-1e30, 0.0, 0.5, 1e30]))
