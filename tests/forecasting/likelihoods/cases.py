"""Checks of a likelihood against scipy's form of its distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.forecasting.likelihoods import Likelihood

RAWS = [[0.0, 0.0, 0.0], [2.0, -2.0, 3.0], [-1.5, 1.5, -4.0]]
DRAWS = 20_000


def uniforms(count: int, seed: int = 0) -> Tensor:
    """u and v of so many draws, 2 x count, in double precision."""
    random = torch.Generator().manual_seed(seed)
    return torch.rand(2, count, generator=random).clamp(1e-7, 1 - 1e-7).double()


@dataclass(frozen=True, kw_only=True)
class Case:
    """Raw outputs, a level and a scale, in double precision, and scipy's distribution of the observations."""

    likelihood: Likelihood
    raw: Tensor
    level: Tensor
    scale: Tensor
    distribution: Any
    of_x: bool

    def x(self, observations: NDArray[np.float64]) -> Tensor:
        """Observations of the distribution as the likelihood is given them."""
        if self.of_x:
            return torch.from_numpy(observations)
        seen = self.likelihood.see(observations.astype(np.float32)).astype(np.float64)
        return (torch.from_numpy(seen) - self.level) / self.scale

    def draw(self, u: Tensor, v: Tensor) -> NDArray[np.float64]:
        """Draws of the likelihood as observations of the distribution."""
        x = self.likelihood.sample(self.raw.expand(len(u), -1), u, v, self.level, self.scale)
        return (x if self.of_x else self.likelihood.restore(x * self.scale + self.level)).double().numpy()


def cases(
    likelihood: Likelihood,
    windows: Sequence[tuple[float, float]],
    distribution: Callable[[Tensor, Tensor, Tensor], Any],
    *,
    of_x: bool,
) -> list[Case]:
    """Every one of several raw outputs with every level and scale."""
    numbers = [torch.tensor(raw[: likelihood.size]).double() for raw in RAWS]
    both = [tuple(torch.tensor(number).double() for number in window) for window in windows]
    return [
        Case(
            likelihood=likelihood,
            raw=raw,
            level=level,
            scale=scale,
            distribution=distribution(raw, level, scale),
            of_x=of_x,
        )
        for raw in numbers
        for level, scale in both
    ]


def check_nll(case: Case, observations: NDArray[np.float64]) -> None:
    """The negative log-likelihood is scipy's, in double and in single precision."""
    discrete = hasattr(case.distribution.dist, "pmf")
    expected = -(case.distribution.logpmf if discrete else case.distribution.logpdf)(observations)
    raws, x = case.raw.expand(len(observations), -1), case.x(observations)
    double = case.likelihood.nll(raws, x, case.level, case.scale)
    np.testing.assert_allclose(double.numpy(), expected, atol=1e-5, rtol=1e-5)
    single = case.likelihood.nll(raws.float(), x.float(), case.level.float(), case.scale.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, atol=2e-5, rtol=1e-4)


def check_draws(case: Case, *, largest: float = np.inf) -> None:
    """Draws have the distribution: the distance of Kolmogorov and Smirnov, taken below `largest`, and quantiles."""
    distribution, drawn = case.distribution, case.draw(*uniforms(DRAWS))
    values, times = np.unique(drawn, return_counts=True)
    distance = np.abs(np.cumsum(times) / DRAWS - distribution.cdf(values))[values < largest].max()
    assert distance < 1.63 / DRAWS**0.5  # Exceeded once in a hundred times.
    for level in (0.1, 0.5, 0.9):
        noise = 4 * (level * (1 - level) / DRAWS) ** 0.5
        low, high = distribution.ppf(max(level - noise, 0)), distribution.ppf(level + noise)
        assert low - 1e-12 <= np.quantile(drawn, level, method="inverted_cdf") <= high + 1e-12


def check_mean(case: Case) -> None:
    """The mean of the draws is that of the distribution."""
    mean, noise = case.draw(*uniforms(DRAWS)).mean(), case.distribution.std() / DRAWS**0.5
    assert mean == pytest.approx(case.distribution.mean(), abs=4 * noise)


def check_mirrored(likelihood: Likelihood) -> None:
    """Half a turn of v mirrors a draw about the location."""
    random = torch.Generator().manual_seed(3)
    raw = torch.randn(1000, likelihood.size, generator=random, dtype=torch.float64)
    (u, v), ones = uniforms(1000), torch.ones(1000)
    first, second = (likelihood.sample(raw, u, turn, ones, ones) for turn in (v, (v + 0.5) % 1))
    torch.testing.assert_close((first + second) / 2, raw[:, 0])
    assert (first - second).abs().min() > 0


def check_opposite(case: Case) -> None:
    """Half a turn of v gives a draw of the same distribution that takes noise out of the mean."""
    u, v = uniforms(DRAWS)
    first, second = case.draw(u, v), case.draw(u, (v + 0.5) % 1)
    assert scipy.stats.ks_2samp(first, second).pvalue > 0.01
    assert np.corrcoef(first, second)[0, 1] < -0.05


def check_density(case: Case) -> None:
    """The density integrates to 1."""
    grid = torch.linspace(-500, 500, 1_000_001, dtype=torch.float64)
    density = (-case.likelihood.nll(case.raw.expand(len(grid), -1), grid, case.level, case.scale)).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-3)


def check_gradients_at_extremes(
    likelihood: Likelihood, observations: Sequence[float], windows: Sequence[tuple[float, float]]
) -> None:
    """Loss and gradient are finite at extreme raw outputs and observations."""
    for location in (-1e4, -100.0, 0.0, 100.0, 1e4):
        for second in (-1e3, -100.0, 0.0, 100.0, 1e3):
            for y in observations:
                for level, scale in windows:
                    raw = torch.tensor([location, second, *[100.0] * 9][: likelihood.size], requires_grad=True)
                    x = (float(likelihood.see(np.array([y], np.float32))[0]) - level) / scale
                    loss = likelihood.nll(raw, torch.tensor(x), torch.tensor(level), torch.tensor(scale))
                    torch.autograd.backward(loss)
                    finite = loss.isfinite() and raw.grad is not None and raw.grad.isfinite().all()
                    assert finite, (location, second, y, level, scale)
