"""Likelihoods against scipy.stats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.errors import UserError
from polyadic.forecasting.likelihoods import LIKELIHOODS, SMALLEST_DISPERSION, SMALLEST_SCALE
from tests.helpers.waves import floats

each = pytest.mark.parametrize("name", sorted(LIKELIHOODS))
spread = pytest.mark.parametrize("name", sorted(LIKELIHOODS.keys() - {"deterministic-L1"}))
in_x = pytest.mark.parametrize("name", ["gaussian", "student-T"])
RAWS = [[0.0, 0.0, 0.0], [2.0, -2.0, 3.0], [-1.5, 1.5, -4.0]]
WINDOWS = {  # Levels and scales: of counts that are rare, common and many; of values in the middle and near an end.
    "negative-binomial": [(0.0, 1.0), (0.1, 0.5), (3.0, 1.7), (1e5, 2e3)],
    "beta": [(0.0, 1.0), (-4.0, 0.5), (2.0, 0.05)],
}


def cases(name: str) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Raw outputs, level and scale, in double precision."""
    size, windows = LIKELIHOODS[name].size, WINDOWS.get(name, [(5.0, 2.0)])
    numbers = [torch.tensor(raw[:size]).double() for raw in RAWS]
    return [
        (raw, torch.tensor(level).double(), torch.tensor(scale).double()) for raw in numbers for level, scale in windows
    ]


def frozen(name: str, raw: Tensor, level: Tensor, scale: Tensor) -> Any:
    """What the raw outputs say by scipy: of x, but of y for counts and for values between 0 and 1."""
    location, second = raw[0].item(), softplus(raw[1]).item()
    if name == "gaussian":
        return scipy.stats.norm(location, second + SMALLEST_SCALE)
    if name == "student-T":
        return scipy.stats.t(2 + softplus(raw[2]).item(), location, second + SMALLEST_SCALE)
    if name == "negative-binomial":
        mean = (scale * (softplus(raw[0] + level / scale) + SMALLEST_SCALE)).item()
        alpha = second * (scale / (level + scale)).square().item() + SMALLEST_DISPERSION
        return scipy.stats.nbinom(1 / alpha, 1 / (1 + alpha * mean))
    mean, own = (level + scale * raw[0]).sigmoid().item(), level.sigmoid().item()
    both = (second + SMALLEST_SCALE) / (scale.item() ** 2 * own * (1 - own))
    return scipy.stats.beta(mean * both, (1 - mean) * both)


def seen(name: str, values: NDArray[np.float64], level: Tensor, scale: Tensor) -> Tensor:
    """Observations of `frozen` as x."""
    if name == "beta":
        values = scipy.special.logit(values)
    return (torch.from_numpy(values) - level) / scale if name in WINDOWS else torch.from_numpy(values)


def own(name: str, x: Tensor, level: Tensor, scale: Tensor) -> NDArray[np.float64]:
    """The inverse of `seen`."""
    return (LIKELIHOODS[name].restore(x * scale + level) if name in WINDOWS else x).double().numpy()


def uniforms(count: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(2, count, generator=random).clamp(1e-7, 1 - 1e-7)


def draws(name: str, case: tuple[Tensor, Tensor, Tensor], count: int, seed: int = 0) -> NDArray[np.float64]:
    raw, level, scale = case
    x = LIKELIHOODS[name].sample(raw.expand(count, -1), *uniforms(count, seed).double(), level, scale)
    return own(name, x, level, scale)


@spread
def test_the_negative_log_likelihood_is_scipys(name: str) -> None:
    random = np.random.default_rng(1)
    for raw, level, scale in cases(name):
        distribution = frozen(name, raw, level, scale)
        y = distribution.rvs(50, random_state=random).astype(np.float64)
        if name == "beta":
            y = y.clip(1e-9, 1 - 1e-9)
        elif name == "negative-binomial":
            y = np.append(y, [0, 1, 10 * y.max() + 10])
        else:
            y = np.append(y, [-1e3, 1e3])
        expected = -(distribution.logpmf if name == "negative-binomial" else distribution.logpdf)(y)
        raws, x = raw.expand(len(y), -1), seen(name, y, level, scale)
        found = LIKELIHOODS[name].nll(raws, x, level, scale)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5, rtol=1e-5)
        single = LIKELIHOODS[name].nll(raws.float(), x.float(), level.float(), scale.float())
        assert single.dtype == torch.float32
        np.testing.assert_allclose(single.numpy(), expected, atol=2e-5, rtol=1e-4)


def test_the_deterministic_loss_is_the_absolute_error() -> None:
    likelihood, one = LIKELIHOODS["deterministic-L1"], torch.ones(3)
    raw, x = torch.tensor([[1.0], [-2.0], [0.5]]), torch.tensor([3.0, 1.0, 0.5])
    assert likelihood.nll(raw, x, one, one).tolist() == [2, 3, 0]
    assert torch.equal(likelihood.sample(raw, *uniforms(3), one, one), raw[:, 0])


@in_x
def test_the_density_integrates_to_1(name: str) -> None:
    raw, level, scale = cases(name)[0]
    grid = torch.linspace(-500, 500, 1_000_001, dtype=torch.float64)
    density = (-LIKELIHOODS[name].nll(raw.expand(len(grid), -1), grid, level, scale)).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-3)


EXTREMES = {"negative-binomial": [0.0, 1.0, 1e7], "beta": [1e-30, 0.5, 1 - 6e-8]}


@each
@pytest.mark.parametrize("location", [-1e4, -100.0, 0.0, 100.0, 1e4])
@pytest.mark.parametrize("second", [-1e3, -100.0, 0.0, 100.0, 1e3])
def test_the_gradient_is_finite_at_extreme_outputs_and_observations(name: str, location: float, second: float) -> None:
    likelihood = LIKELIHOODS[name]
    for y in EXTREMES.get(name, [-1e6, 0.0, 1e6]):
        for level, scale in [*WINDOWS.get(name, []), (0.0, 1.0), (0.0, 1e-6), (50.0, 1.0)]:
            raw = torch.tensor([location, second, 100.0][: likelihood.size], requires_grad=True)
            x = (float(likelihood.see(floats([y]))[0]) - level) / scale
            loss = likelihood.nll(raw, torch.tensor(x), torch.tensor(level), torch.tensor(scale))
            torch.autograd.backward(loss)
            assert loss.isfinite() and raw.grad is not None and raw.grad.isfinite().all(), (y, level, scale)


@pytest.mark.parametrize("name", ["negative-binomial", "beta"])
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    for raw, level, scale in cases(name):
        y = frozen(name, raw + 0.7, level, scale).rvs(200, random_state=0).astype(np.float64)
        x = seen(name, y.clip(1e-9, 1 - 1e-9) if name == "beta" else y, level, scale)
        start = raw.clone().requires_grad_()
        before = likelihood.nll(start.expand(len(x), -1), x, level, scale).mean()
        torch.autograd.backward(before)
        assert start.grad is not None
        after = likelihood.nll((start - 1e-3 * start.grad).detach().expand(len(x), -1), x, level, scale).mean()
        expected = before - 1e-3 * start.grad.square().sum()
        assert after < before and after.item() == pytest.approx(expected.item(), abs=1e-4)


@spread
def test_draws_have_the_distribution(name: str) -> None:
    """Kolmogorov and Smirnov's distance, which for counts is taken where the distribution steps; mean and quantiles."""
    count = 20_000
    for case in cases(name):
        distribution, drawn = frozen(name, *case), draws(name, case, count)
        values, times = np.unique(drawn, return_counts=True)
        inner = values < 1 - 1e-12 if name == "beta" else values > -np.inf  # A Beta's draws end at a logit of 30.
        distance = np.abs(np.cumsum(times) / count - distribution.cdf(values))[inner].max()
        assert distance < 1.63 / count**0.5  # Surpassed once in a hundred times.
        deviation = distribution.std()
        if np.isfinite(deviation) and name != "student-T":
            assert drawn.mean() == pytest.approx(distribution.mean(), abs=4 * deviation / count**0.5)
        for level in (0.1, 0.5, 0.9):
            noise = 4 * (level * (1 - level) / count) ** 0.5
            low, high = distribution.ppf(max(level - noise, 0)), distribution.ppf(level + noise)
            assert low - 1e-12 <= np.quantile(drawn, level, method="inverted_cdf") <= high + 1e-12


@in_x
def test_half_a_turn_of_v_mirrors_a_draw_about_the_location(name: str) -> None:
    likelihood, random = LIKELIHOODS[name], torch.Generator().manual_seed(3)
    raw = torch.randn(1000, likelihood.size, generator=random, dtype=torch.float64)
    (u, v), one = uniforms(1000).double(), torch.ones(1000)
    first, second = likelihood.sample(raw, u, v, one, one), likelihood.sample(raw, u, (v + 0.5) % 1, one, one)
    torch.testing.assert_close((first + second) / 2, raw[:, 0])
    assert (first - second).abs().min() > 0


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_half_a_turn_of_v_gives_the_opposite_draw(name: str) -> None:
    """It has the distribution, and takes noise out of the mean."""
    count = 20_000
    for raw, level, scale in cases(name):
        likelihood, (u, v) = LIKELIHOODS[name], uniforms(count).double()
        mirrored = likelihood.sample(raw.expand(count, -1), u, (v + 0.5) % 1, level, scale)
        first, second = draws(name, (raw, level, scale), count), own(name, mirrored, level, scale)
        assert scipy.stats.ks_2samp(first, second).pvalue > 0.01
        assert np.corrcoef(first, second)[0, 1] < -0.05


@each
def test_the_most_extreme_uniforms_give_finite_draws_that_are_possible(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    for location in (-100.0, 0.0, 100.0):
        for second in (-50.0, 0.0, 50.0):
            raw = torch.tensor([[location, second, -50.0][: likelihood.size]])
            for level, scale in WINDOWS.get(name, [(0.0, 1.0)]):
                for u in (1e-7, 1 - 1e-7):
                    for v in (1e-7, 0.5 - 1e-7, 0.5, 1 - 1e-7):
                        at = (torch.tensor([number]) for number in (u, v, level, scale))
                        x = likelihood.sample(raw, *at)
                        y = likelihood.restore(x * scale + level)
                        assert x.isfinite().all() and y.isfinite().all()
                        if name == "beta":
                            assert 0 <= y <= 1


def test_draws_of_counts_are_whole() -> None:
    for case in cases("negative-binomial"):
        drawn = draws("negative-binomial", case, 100)
        assert (drawn >= 0).all() and (drawn == np.floor(drawn)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1e5), st.floats(0.01, 1e4))
def test_a_count_comes_back_from_its_window(count: int, level: float, scale: float) -> None:
    x = (np.float32(count) - np.float32(level)) / np.float32(scale)
    back = LIKELIHOODS["negative-binomial"].restore(torch.tensor(float(x)).double() * scale + level)
    assert abs(back.item() - count) <= 1e-6 * (count + level)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=20))
def test_a_logit_is_undone(values: list[float]) -> None:
    beta, y = LIKELIHOODS["beta"], floats([*values, np.nan])
    back = beta.restore(torch.from_numpy(beta.see(y))).numpy()
    np.testing.assert_allclose(back, y, rtol=1e-5)


REFUSED = {
    "negative-binomial": ([-3.0, 1.5, -0.5], "counts: whole numbers, 0 or more"),
    "beta": ([0.0, 1.0, -0.25, 7.0], "values between 0 and 1, both excluded"),
}
TAKEN = {"negative-binomial": [0, 1, 7, np.nan, 1e9], "beta": [1e-6, 0.5, np.nan, 0.999]}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_impossible_observation_is_refused(name: str) -> None:
    values, takes = REFUSED[name]
    for wrong in values:
        message = (
            f"target holds {wrong:g} at place {len(TAKEN[name]) + 1}, but likelihood {name} takes {takes}: mend "
            "the series, or choose a likelihood"
        )
        with pytest.raises(UserError, match=message):
            LIKELIHOODS[name].refuse(floats([*TAKEN[name], wrong, -9]))


@each
def test_every_possible_observation_is_taken(name: str) -> None:
    likelihood = LIKELIHOODS[name]
    likelihood.refuse(floats(TAKEN.get(name, [-1e30, 0, np.nan, 0.1])))
    likelihood.refuse(floats([]))
    example = likelihood.example(5)
    assert len(example) == 5 and example == sorted(set(example))
    likelihood.refuse(floats(example))
