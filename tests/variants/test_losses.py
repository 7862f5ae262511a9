"""Losses against sums written out, other libraries, and their own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.variants import VariantError, losses


@given(st.integers(0, 2**32))
def test_pinball_is_the_mean_over_steps_and_levels(seed: int) -> None:
    chance = np.random.default_rng(seed)
    actuals, levels = chance.normal(size=12), (0.1, 0.5, 0.9)
    forecast = {level: chance.normal(size=12) for level in levels}
    total = 0.0
    for level in levels:
        for truth, said in zip(actuals, forecast[level], strict=True):
            total += 2 * (level * (truth - said) if truth >= said else (1 - level) * (said - truth))
    assert losses.scaled_pinball(forecast, actuals, 0.5) == pytest.approx(total / 36 / 0.5)


@given(st.integers(0, 2**32))
def test_ranking_loss_is_what_is_missing_of_the_best_order(seed: int) -> None:
    chance = np.random.default_rng(seed)
    gains = chance.integers(0, 4, 10).astype(float)
    if gains.any():
        order = chance.permutation(10)
        gained = sum(gains[index] / math.log2(place + 2) for place, index in enumerate(order[:5]))
        best = sum(gain / math.log2(place + 2) for place, gain in enumerate(sorted(gains, reverse=True)[:5]))
        ours = losses.ranking_loss(order[:5].tolist(), dict(enumerate(gains.tolist())))
        assert ours == pytest.approx(1 - gained / best)


def test_the_median_alone_is_mase() -> None:
    actuals, forecast = np.array([1.0, 2.0, math.nan]), np.array([2.0, 4.0, 9.0])
    assert losses.mase(forecast, actuals, 2.0) == 0.75 == losses.scaled_pinball({0.5: forecast}, actuals, 2.0)


def test_what_is_not_known_counts_nowhere() -> None:
    nothing = [math.nan, math.nan]
    assert math.isnan(losses.mase([1.0, 2.0], nothing, 1.0))
    assert math.isnan(losses.coverage([0.0, 0.0], [1.0, 1.0], nothing))
    assert losses.coverage([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 2.0, math.nan]) == 0.5
    assert losses.mase([1.0, 2.0, 3.0], [2.0], 1.0) == 1.0
    assert math.isnan(losses.coverage([math.nan], [1.0], [0.5]))


def test_the_seasonal_naive_forecast() -> None:
    history = [1.0, 2.0, 3.0, 4.0, math.nan, 6.0]
    assert losses.seasonal_naive(history, 3, 5).tolist() == [4.0, 2.0, 6.0, 4.0, 2.0]
    assert losses.seasonal_naive_error(history, 3) == 3.0
    assert np.isnan(losses.seasonal_naive([], 3, 2)).all() and math.isnan(losses.seasonal_naive_error([1.0], 3))
    assert losses.seasonal_naive([5.0], 3, 4)[2] == 5.0


def test_squared_error_of_entries() -> None:
    assert losses.squared_error([1.0, 3.0], [2.0, math.nan]) == 1.0


def test_a_ranking_without_what_was_wanted_loses_all() -> None:
    assert losses.ranking_loss([1, 2], {3: 1.0}) == 1.0
    assert losses.ranking_loss([3, 2], {3: 1.0}) == 0.0
    assert math.isnan(losses.ranking_loss([1], {}))
    assert losses.ranking_loss([3, 3, 3], {3: 1.0}) == 0.0


def test_the_rest_of_a_document() -> None:
    topics = [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert losses.held_out_loss([0.5, 0.5], topics, [1, 0, 3]) == pytest.approx(
        -(math.log(0.25) + 3 * math.log(0.5)) / 4
    )
    assert losses.held_out_loss([1.0, 0.0], topics, [0, 0, 1]) == math.inf
    assert math.isnan(losses.held_out_loss([1.0, 0.0], topics, [0, 0, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.scaled_pinball({}, [1.0], 1.0), "quantiles: got none"),
        (lambda: losses.scaled_pinball({1.5: [1.0]}, [1.0], 1.0), "level: got 1.5"),
        (lambda: losses.scaled_pinball({0.5: [1.0]}, [1.0, 2.0], 1.0), "quantile 0.5: got 1 values for 2 actuals"),
        (lambda: losses.mase([1.0], [1.0], 0.0), "scale: got 0.0"),
        (lambda: losses.mase([1.0], [1.0], math.nan), "scale: got nan"),
        (lambda: losses.mase([[1.0]], [1.0], 1.0), r"shape \(1, 1\)"),
        (lambda: losses.ranking_loss([], {1: 1.0}), "ranked: got no index"),
        (lambda: losses.ranking_loss([1], {1: -1.0}), "gains: got one below 0"),
        (lambda: losses.held_out_loss([1.0, 1.0], [[1.0], [1.0]], [1]), "does not sum to 1"),
        (lambda: losses.held_out_loss([1.0], [[1.0]], [-1]), "a count below 0"),
        (lambda: losses.seasonal_naive_error([1.0, 2.0], 0), "season: got 0"),
        (lambda: losses.held_out_loss([1.0], [[1.0]], [1, 2]), "allowed are K, K x V, V"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
