"""Counts against scipy's negative binomial distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.errors import UserError
from polyadic.forecasting.likelihoods._parameters import SMALLEST_SCALE
from polyadic.forecasting.likelihoods.negative_binomial import LIKELIHOOD, SMALLEST_DISPERSION
from tests.forecasting.likelihoods.cases import (
    Case,
    cases,
    check_draws,
    check_gradients_at_extremes,
    check_mean,
    check_nll,
    check_opposite,
    uniforms,
)
from tests.helpers.waves import floats

WINDOWS = [(0.0, 1.0), (0.1, 0.5), (3.0, 1.7), (1e5, 2e3)]
"""Levels and scales of counts that are rare, common and many."""


def distribution(raw: Tensor, level: Tensor, scale: Tensor) -> Any:
    mean = (scale * (softplus(raw[0] + level / scale) + SMALLEST_SCALE)).item()
    alpha = softplus(raw[1]).item() * (scale / (level + scale)).square().item() + SMALLEST_DISPERSION
    return scipy.stats.nbinom(1 / alpha, 1 / (1 + alpha * mean))


each = pytest.mark.parametrize("case", cases(LIKELIHOOD, WINDOWS, distribution, of_x=False))


@each
def test_likelihood_and_draws_are_scipys(case: Case) -> None:
    y = case.distribution.rvs(50, random_state=np.random.default_rng(1)).astype(np.float64)
    check_nll(case, np.append(y, [0, 1, 10 * y.max() + 10]))
    check_draws(case)
    check_mean(case)


@each
def test_half_a_turn_of_v_gives_the_opposite_draw(case: Case) -> None:
    check_opposite(case)


@each
def test_draws_are_counts(case: Case) -> None:
    drawn = case.draw(*uniforms(100))
    assert (drawn >= 0).all() and (drawn == np.floor(drawn)).all()


def test_the_gradient_is_finite_at_extreme_counts() -> None:
    check_gradients_at_extremes(LIKELIHOOD, [0.0, 1.0, 1e7], [*WINDOWS, (0.0, 1e-6), (50.0, 1.0)])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1e5), st.floats(0.01, 1e4))
def test_a_count_comes_back_from_its_window(count: int, level: float, scale: float) -> None:
    x = (np.float32(count) - np.float32(level)) / np.float32(scale)
    back = LIKELIHOOD.restore(torch.tensor(float(x)).double() * scale + level)
    assert abs(back.item() - count) <= 1e-6 * (count + level)


@pytest.mark.parametrize("wrong", [-3.0, 1.5, -0.5])
def test_what_is_no_count_is_refused(wrong: float) -> None:
    LIKELIHOOD.refuse(floats([0, 1, 7, np.nan, 1e9]))
    message = (
        f"target holds {wrong:g} at place 4, but likelihood negative-binomial takes counts: whole numbers, 0 or more: "
        "mend the series, or choose a likelihood"
    )
    with pytest.raises(UserError, match=message):
        LIKELIHOOD.refuse(floats([0, 1, np.nan, wrong, -9]))
