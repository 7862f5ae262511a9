"""The normal distribution against scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from torch import Tensor
from torch.nn.functional import softplus

from polyadic.forecasting.likelihoods._parameters import SMALLEST_SCALE
from polyadic.forecasting.likelihoods.gaussian import LIKELIHOOD
from tests.forecasting.likelihoods.cases import (
    Case,
    cases,
    check_density,
    check_draws,
    check_gradients_at_extremes,
    check_mean,
    check_mirrored,
    check_nll,
)


def distribution(raw: Tensor, level: Tensor, scale: Tensor) -> Any:
    return scipy.stats.norm(raw[0].item(), softplus(raw[1]).item() + SMALLEST_SCALE)


CASES = cases(LIKELIHOOD, [(5.0, 2.0)], distribution, of_x=True)


@pytest.mark.parametrize("case", CASES)
def test_likelihood_and_draws_are_scipys(case: Case) -> None:
    x = case.distribution.rvs(50, random_state=np.random.default_rng(1))
    check_nll(case, np.append(x, [-1e3, 1e3]))
    check_draws(case)
    check_mean(case)


def test_the_density_integrates_to_1() -> None:
    check_density(CASES[0])


def test_half_a_turn_of_v_mirrors_a_draw_about_the_location() -> None:
    check_mirrored(LIKELIHOOD)


def test_every_number_is_taken() -> None:
    LIKELIHOOD.refuse(np.array([-1e30, 0, np.nan, 0.1], np.float32))
    check_gradients_at_extremes(LIKELIHOOD, [-1e6, 0.0, 1e6], [(0.0, 1.0), (0.0, 1e-6), (50.0, 1.0)])
