"""Quantiles of Gamma and Poisson against scipy.stats, from the smallest shapes and means to large ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.forecasting.quantiles import log_gamma_quantile, poisson_quantile

TAILS = [1e-7, 1e-6, 1e-4, 0.01]
LEVELS = torch.tensor([*TAILS, *np.linspace(0.05, 0.95, 19), *(1 - np.array(TAILS))])


def grid(values: Tensor) -> tuple[Tensor, Tensor]:
    """Every value with every level."""
    first, second = torch.meshgrid(values.double(), LEVELS.double(), indexing="ij")
    return first.reshape(-1), second.reshape(-1)


def test_gamma_quantiles_are_scipys() -> None:
    shape, p = grid(torch.logspace(-2, 8, 60))
    expected = scipy.stats.gamma(shape.numpy()).ppf(p.numpy())
    known = expected > 1e-280  # Below, scipy's own are not representable.
    found = log_gamma_quantile(shape, p)
    assert found.isfinite().all()
    np.testing.assert_allclose(found.numpy()[known], np.log(expected[known]), rtol=1e-6, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-6, 1e-2), st.floats(1e-7, 1 - 1e-7))
def test_the_logarithm_of_a_gamma_quantile_outlives_its_underflow(shape: float, p: float) -> None:
    """P = x^shape / Gamma(shape + 1), where x is small."""
    found = log_gamma_quantile(
        torch.tensor([shape], dtype=torch.float64), torch.tensor([p], dtype=torch.float64)
    ).item()
    if found < -20:
        expected = (np.log(p) + scipy.special.gammaln(shape + 1)) / shape
        assert found == pytest.approx(expected, rel=1e-6)
    else:
        assert scipy.special.gammainc(shape, np.exp(found)) == pytest.approx(p, abs=1e-9)


def test_poisson_quantiles_are_scipys() -> None:
    mean, p = grid(torch.cat([torch.zeros(1), torch.logspace(-8, 6.4, 300)]))
    expected = np.maximum(scipy.stats.poisson(mean.numpy()).ppf(p.numpy()), 0)
    assert np.array_equal(poisson_quantile(mean, p).numpy(), expected)


@pytest.mark.slow
def test_poisson_quantiles_of_large_means_are_near() -> None:
    """Where torch's incomplete Gamma loses digits beyond four deviations."""
    mean, p = grid(torch.logspace(6.5, 10, 40))
    expected = scipy.stats.poisson(mean.numpy()).ppf(p.numpy())
    assert (np.abs(poisson_quantile(mean, p).numpy() - expected) / mean.sqrt().numpy()).max() < 0.01
