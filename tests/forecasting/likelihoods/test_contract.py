"""Every likelihood: its gradients, its draws and the observations that it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.forecasting.likelihoods import LIKELIHOODS
from tests.forecasting.likelihoods.cases import check_gradients_at_extremes, uniforms
from tests.helpers.waves import floats

each = pytest.mark.parametrize("name", sorted(LIKELIHOODS))
WINDOWS = [(0.0, 1.0), (0.5, 0.5), (3.0, 1.7)]


def raw_of(name: str, location: float, others: float) -> Tensor:
    return torch.tensor([location, *[others] * (LIKELIHOODS[name].size - 1)], dtype=torch.float64)


@each
def test_the_gradient_is_finite_at_extreme_outputs(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    check_gradients_at_extremes(likelihood, likelihood.example(3), [*WINDOWS, (0.0, 1e-6), (50.0, 1.0)])


@each
@pytest.mark.parametrize("location", [-1.0, 0.5])
def test_a_step_down_the_gradient_lowers_the_loss(name: str, location: float) -> None:
    likelihood, (u, v) = LIKELIHOODS[name], uniforms(200)
    for level, scale in WINDOWS:
        numbers = torch.tensor(level).double(), torch.tensor(scale).double()
        x = likelihood.sample(raw_of(name, location + 0.7, 0.3).expand(200, -1), u, v, *numbers)
        start = raw_of(name, location, 0.1).requires_grad_()
        before = likelihood.nll(start.expand(200, -1), x, *numbers).mean()
        torch.autograd.backward(before)
        assert start.grad is not None
        after = likelihood.nll((start - 1e-3 * start.grad).detach().expand(200, -1), x, *numbers).mean()
        expected = before - 1e-3 * start.grad.square().sum()
        assert after < before and after.item() == pytest.approx(expected.item(), abs=1e-4)


@each
def test_draws_are_likeliest_where_they_were_drawn(name: str) -> None:
    """The mean of -log q(x) over draws of p is least at q = p (Gibbs), so that `sample` and `nll` must agree."""
    likelihood, (u, v) = LIKELIHOODS[name], uniforms(5000)
    level, scale = torch.tensor(2.0).double(), torch.tensor(1.5).double()
    own = raw_of(name, 0.3, 0.2)
    x = likelihood.sample(own.expand(5000, -1), u, v, level, scale)
    least = likelihood.nll(own.expand(5000, -1), x, level, scale).mean()
    for other in (raw_of(name, -0.4, 0.2), raw_of(name, 1.0, 0.2), raw_of(name, 0.3, 1.7) - 0.4, raw_of(name, 0.8, -1)):
        assert likelihood.nll(other.expand(5000, -1), x, level, scale).mean() > least


@each
def test_the_most_extreme_uniforms_give_finite_draws(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    for location in (-100.0, 0.0, 100.0):
        for others in (-50.0, 0.0, 50.0):
            raw = raw_of(name, location, others).float()[None]
            for level, scale in WINDOWS:
                for u in (1e-7, 1 - 1e-7):
                    for v in (1e-7, 0.5 - 1e-7, 0.5, 1 - 1e-7):
                        numbers = (torch.tensor([number]) for number in (u, v, level, scale))
                        x = likelihood.sample(raw, *numbers)
                        assert x.isfinite().all() and likelihood.restore(x * scale + level).isfinite().all()


@each
def test_a_draw_is_a_function_of_its_uniforms_alone(name: str) -> None:
    likelihood, (u, v), ones = LIKELIHOODS[name], uniforms(50), torch.ones(50).double()
    raw = raw_of(name, 0.3, 0.2).expand(50, -1)
    whole = likelihood.sample(raw, u, v, ones, ones)
    torch.rand(5)
    torch.testing.assert_close(likelihood.sample(raw[7:8], u[7:8], v[7:8], ones[:1], ones[:1]), whole[7:8])


@each
def test_examples_are_observations_that_rise_and_come_back(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    example = likelihood.example(5)
    assert len(example) == 5 and example == sorted(set(example))
    likelihood.refuse(floats([*example, np.nan]))
    likelihood.refuse(floats([]))
    back = likelihood.restore(torch.from_numpy(likelihood.see(floats([*example, np.nan]))))
    np.testing.assert_allclose(back.numpy(), floats([*example, np.nan]), rtol=1e-5)
