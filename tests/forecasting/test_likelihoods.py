"""Likelihoods against torch.distributions and scipy.stats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.distributions import StudentT as TorchStudentT
from torch.nn.functional import softplus

from polyadic.forecasting.likelihoods import LIKELIHOODS, SMALLEST_SCALE


def normal(raw: Tensor) -> Distribution:
    return Normal(raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SCALE)


def student(raw: Tensor) -> Distribution:
    return TorchStudentT(2 + softplus(raw[..., 2]), raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SCALE)


TORCH: dict[str, Callable[[Tensor], Distribution]] = {"gaussian": normal, "student-T": student}
each = pytest.mark.parametrize("name", sorted(LIKELIHOODS))


def test_every_likelihood_has_an_oracle() -> None:
    assert TORCH.keys() == LIKELIHOODS.keys()


def frozen(name: str, raw: Tensor) -> Any:
    """The distribution of raw outputs (`size` numbers) by scipy."""
    loc, scale = raw[0].item(), softplus(raw[1]).item() + SMALLEST_SCALE
    if name == "gaussian":
        return scipy.stats.norm(loc, scale)
    return scipy.stats.t(2 + softplus(raw[2]).item(), loc, scale)


def uniforms(count: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(2, count, generator=random).clamp(1e-7, 1 - 1e-7)


@each
def test_the_negative_log_likelihood_is_torchs(name: str) -> None:
    likelihood, random = LIKELIHOODS[name], torch.Generator().manual_seed(1)
    raw = 3 * torch.randn(50, 7, likelihood.size, generator=random, dtype=torch.float64)
    y = 10 * torch.randn(50, 7, generator=random, dtype=torch.float64)
    expected = -TORCH[name](raw).log_prob(y)
    torch.testing.assert_close(likelihood.nll(raw, y), expected)


@each
def test_the_density_integrates_to_1(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    raw = torch.tensor([0.5, 0.3, 1.0][: likelihood.size], dtype=torch.float64)
    grid = torch.linspace(-500, 500, 1_000_001, dtype=torch.float64)
    density = (-likelihood.nll(raw.expand(len(grid), -1), grid)).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-3)


@each
@pytest.mark.parametrize("y", [-1e6, 0.0, 1e6])
def test_a_far_observation_has_a_finite_loss_and_gradient(name: str, y: float) -> None:
    likelihood = LIKELIHOODS[name]
    raw = torch.tensor([0.0, -100.0, 100.0][: likelihood.size], requires_grad=True)
    loss = likelihood.nll(raw, torch.tensor(y))
    torch.autograd.backward(loss)
    assert loss.isfinite() and raw.grad is not None and raw.grad.isfinite().all()


@each
@pytest.mark.parametrize("raw", [[0.0, 0.0, 0.0], [5.0, -3.0, 3.0], [-2.0, 2.0, -4.0]])
def test_draws_have_the_distribution(name: str, raw: list[float]) -> None:
    likelihood = LIKELIHOODS[name]
    parameters, count = torch.tensor(raw[: likelihood.size]), 20_000
    drawn = likelihood.sample(parameters.expand(count, -1), *uniforms(count)).numpy()
    assert scipy.stats.kstest(drawn, frozen(name, parameters).cdf).pvalue > 0.01


def test_gaussian_draws_have_its_moments() -> None:
    raw = torch.tensor([2.0, 0.5])
    drawn = LIKELIHOODS["gaussian"].sample(raw.expand(100_000, -1), *uniforms(100_000, 2))
    spread = softplus(raw[1]).item() + SMALLEST_SCALE
    assert drawn.mean().item() == pytest.approx(2, abs=4 * spread / 100_000**0.5)
    assert drawn.std().item() == pytest.approx(spread, rel=0.02)


@each
def test_half_a_turn_of_v_mirrors_a_draw_about_the_location(name: str) -> None:
    likelihood, random = LIKELIHOODS[name], torch.Generator().manual_seed(3)
    raw = torch.randn(1000, likelihood.size, generator=random, dtype=torch.float64)
    u, v = uniforms(1000).double()
    one, other = likelihood.sample(raw, u, v), likelihood.sample(raw, u, (v + 0.5) % 1)
    torch.testing.assert_close((one + other) / 2, raw[:, 0])
    assert (one - other).abs().min() > 0


@each
def test_the_most_extreme_uniforms_give_finite_draws(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    raw = torch.tensor([[0.0, 0.0, -50.0][: likelihood.size]])
    for u in (1e-7, 1 - 1e-7):
        for v in (1e-7, 0.5, 1 - 1e-7):
            assert likelihood.sample(raw, torch.tensor([u]), torch.tensor([v])).isfinite().all()
