"""Values between 0 and 1 against scipy's Beta distribution."""

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
from polyadic.forecasting.likelihoods.beta import LIKELIHOOD
from tests.forecasting.likelihoods.cases import (
    Case,
    cases,
    check_draws,
    check_gradients_at_extremes,
    check_mean,
    check_opposite,
)
from tests.helpers.waves import floats

WINDOWS = [(0.0, 1.0), (-4.0, 0.5), (2.0, 0.05)]
"""Levels and scales, in logits, of values in the middle and near an end."""


def distribution(raw: Tensor, level: Tensor, scale: Tensor) -> Any:
    mean, own = (level + scale * raw[0]).sigmoid().item(), level.sigmoid().item()
    both = (softplus(raw[1]).item() + SMALLEST_SCALE) / (scale.item() ** 2 * own * (1 - own))
    return scipy.stats.beta(mean * both, (1 - mean) * both)


each = pytest.mark.parametrize("case", cases(LIKELIHOOD, WINDOWS, distribution, of_x=False))


@each
def test_the_likelihood_is_scipys(case: Case) -> None:
    y = case.distribution.rvs(50, random_state=np.random.default_rng(1)).clip(1e-9, 1 - 1e-9)
    x = (torch.from_numpy(scipy.special.logit(y)) - case.level) / case.scale
    expected, raws = -case.distribution.logpdf(y), case.raw.expand(len(y), -1)
    double = LIKELIHOOD.nll(raws, x, case.level, case.scale)
    np.testing.assert_allclose(double.numpy(), expected, atol=1e-5, rtol=1e-5)
    single = LIKELIHOOD.nll(raws.float(), x.float(), case.level.float(), case.scale.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, atol=2e-5, rtol=1e-4)


@each
def test_draws_are_scipys(case: Case) -> None:
    check_draws(case, largest=1 - 1e-12)  # Draws end at a logit of 30.
    check_mean(case)


@each
def test_half_a_turn_of_v_gives_the_opposite_draw(case: Case) -> None:
    check_opposite(case)


@pytest.mark.parametrize("location", [-100.0, 100.0])
def test_draws_stay_between_0_and_1(location: float) -> None:
    raw, ones = torch.tensor([[location, -50.0]]), torch.ones(1)
    for u in (1e-7, 1 - 1e-7):
        y = LIKELIHOOD.restore(LIKELIHOOD.sample(raw, u * ones, 0.3 * ones, 0 * ones, ones))
        assert 0 <= y <= 1


def test_the_gradient_is_finite_at_extreme_values() -> None:
    check_gradients_at_extremes(LIKELIHOOD, [1e-30, 0.5, 1 - 6e-8], [*WINDOWS, (0.0, 1e-6), (50.0, 1.0)])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=20))
def test_a_logit_is_undone(values: list[float]) -> None:
    y = floats([*values, np.nan])
    back = LIKELIHOOD.restore(torch.from_numpy(LIKELIHOOD.see(y))).numpy()
    np.testing.assert_allclose(back, y, rtol=1e-5)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.25, 7.0])
def test_what_is_not_between_0_and_1_is_refused(wrong: float) -> None:
    LIKELIHOOD.refuse(floats([1e-6, 0.5, np.nan, 0.999]))
    message = (
        f"target holds {wrong:g} at place 3, but likelihood beta takes values between 0 and 1, both excluded: mend the "
        "series, or choose a likelihood"
    )
    with pytest.raises(UserError, match=message):
        LIKELIHOOD.refuse(floats([0.5, np.nan, wrong, -9]))
