"""Confidence sequences against ville's, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polyadic.variants import VariantError, always_valid_p, asymptotic, empirical_bernstein
from polyadic.variants.sequences import mixture_variance, unit_radius

ROWS = arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e3, 1e3))


def assert_alike(ours: object, theirs: ville.ConfidenceSequence) -> None:
    for name in ("estimate", "lower", "upper"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, f"{name}_"), rtol=0, atol=1e-6)


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([200, 2000]))
def test_the_asymptotic_sequence_is_villes(seed: int, alpha: float, horizon: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=1500)
    peer = ville.AsymptoticCS(alpha=alpha, min_samples=100)
    peer.rho_ = 1 / mixture_variance(alpha, horizon)
    assert_alike(asymptotic(values, alpha, horizon), peer.fit(values))


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.05]))
def test_the_empirical_bernstein_sequence_is_villes(seed: int, alpha: float) -> None:
    values = np.random.default_rng(seed).beta(0.5, 2, 800) * 4 - 1
    peer = ville.EmpiricalBernsteinCS(bounds=(-1.0, 3.0), alpha=alpha, intersect=False).fit(values)
    assert_alike(empirical_bernstein(values, -1.0, 3.0, alpha), peer)


def test_the_radius_is_near_its_least_at_the_horizon() -> None:
    fixed = 1.96 / math.sqrt(2000)
    assert float(unit_radius(2000, 0.05, 2000)) / fixed == pytest.approx(1.55, abs=0.02)
    assert float(unit_radius(200, 0.05, 2000)) * math.sqrt(200) / 1.96 == pytest.approx(1.97, abs=0.02)
    assert float(unit_radius(20000, 0.05, 2000)) * math.sqrt(20000) / 1.96 == pytest.approx(1.65, abs=0.02)


@given(ROWS, st.floats(-1e6, 1e6), st.floats(0.1, 10))
def test_a_sequence_moves_and_scales_with_its_values(values: np.ndarray, shift: float, scale: float) -> None:
    here, there = asymptotic(values, start=2), asymptotic(values * scale + shift, start=2)
    for ours, theirs in ((here.lower, there.lower), (here.upper, there.upper)):
        np.testing.assert_allclose(theirs[1:], ours[1:] * scale + shift, rtol=1e-6, atol=1e-3)


@given(st.integers(0, 2**32), st.floats(-0.5, 0.5))
def test_the_p_value_is_below_alpha_where_the_interval_leaves_0(seed: int, mean: float) -> None:
    values = np.random.default_rng(seed).normal(mean, 1, 400)
    outside = not asymptotic(values).lower[-1] <= 0 <= asymptotic(values).upper[-1]
    assert outside == (always_valid_p(values) < 0.05)


def test_before_the_start_nothing_is_known() -> None:
    sequence = asymptotic(np.ones(150) + np.arange(150))
    assert np.isinf(sequence.upper[:99]).all() and np.isfinite(sequence.upper[99:]).all()
    assert always_valid_p(np.arange(99.0)) == 1.0
    assert sequence.excludes(0.0) == 100 and len(asymptotic([])) == 0
    assert asymptotic(np.random.default_rng(0).normal(size=150)).excludes(0.0) is None


def test_values_that_never_vary_are_known_at_once() -> None:
    assert always_valid_p(np.zeros(200)) == 1.0 and always_valid_p(np.ones(200)) == 0.0
    assert asymptotic(np.full(200, 3.0)).lower[-1] == 3.0 == asymptotic(np.full(200, 3.0)).upper[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: asymptotic([1.0, math.nan]), "value 1 is not finite"),
        (lambda: asymptotic([[1.0]]), r"shape \(1, 1\)"),
        (lambda: asymptotic([1.0], alpha=1.5), "alpha: got 1.5"),
        (lambda: asymptotic([1.0], horizon=0), "horizon: got 0"),
        (lambda: empirical_bernstein([2.0], 0, 1), "lie from 2 to 2; allowed by the given bounds is 0 to 1"),
        (lambda: empirical_bernstein([0.5], 1, 0), "bounds: got 1 and 0"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
