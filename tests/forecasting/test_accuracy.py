"""Errors of forecasts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from polyadic.forecasting.accuracy import Accuracy, seasonal_naive
from tests.helpers.waves import floats

NAN = np.nan


def test_rmse_and_quantile_losses_by_hand() -> None:
    actual = floats([[10, 20], [30, NAN]])
    mean = floats([[13, 20], [26, 99]])
    low, high = floats([[8, 24], [30, 0]]), floats([[12, 15], [40, 0]])
    found = Accuracy.of(actual, mean, np.stack([low, high]), (0.1, 0.9))
    assert found.rmse == pytest.approx(((9 + 0 + 16) / 3) ** 0.5)
    # A quantile q loses tau (y - q) where y is above it and (1 - tau) (q - y) where it is below.
    first = 0.1 * 2 + 0.9 * 4 + 0
    second = 0.1 * 2 + 0.9 * 5 + 0.1 * 10
    assert found.weighted_quantile_losses.tolist() == pytest.approx([2 * first / 60, 2 * second / 60])


def test_the_median_forecasts_loss_is_the_absolute_error() -> None:
    random = np.random.default_rng(0)
    actual, forecast = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    found = Accuracy.of(actual, forecast, forecast[None], (0.5,))
    expected = np.abs(actual - forecast).sum() / np.abs(actual).sum()
    assert found.weighted_quantile_losses.tolist() == pytest.approx([expected])


def test_a_perfect_forecast_has_no_error() -> None:
    actual = np.arange(6.0).reshape(2, 3)
    found = Accuracy.of(actual, actual, np.stack([actual] * 3), (0.1, 0.5, 0.9))
    assert found.rmse == 0 and found.weighted_quantile_losses.tolist() == [0, 0, 0]


def test_shares_add_up_to_the_whole() -> None:
    random = np.random.default_rng(1)
    actual, mean, quantiles = random.normal(size=(5, 3)), random.normal(size=(5, 3)), random.normal(size=(2, 5, 3))
    actual[0, 1] = NAN
    whole = Accuracy.of(actual, mean, quantiles, (0.2, 0.7))
    cut = [slice(0, 2), slice(2, 2), slice(2, 5)]
    parts = [Accuracy.of(actual[at], mean[at], quantiles[:, at], (0.2, 0.7)) for at in cut]
    total = Accuracy.nothing(2)
    for part in parts:
        total += part
    assert total.vector() == pytest.approx(whole.vector())
    assert Accuracy.from_vector(total.vector()).rmse == pytest.approx(whole.rmse)


def test_nothing_has_no_accuracy() -> None:
    nothing = Accuracy.nothing(2)
    assert np.isnan(nothing.rmse) and np.isnan(nothing.weighted_quantile_losses).all()


def test_a_large_sum_keeps_its_digits() -> None:
    actual = np.full((1, 100_000), 1e4, np.float32)
    found = Accuracy.of(actual, actual + 1, (actual + 1)[None], (0.5,))
    assert found.rmse == pytest.approx(1, rel=1e-6)
    assert found.weighted_quantile_losses.tolist() == pytest.approx([1e-4], rel=1e-6)


@pytest.mark.parametrize(
    ("history", "season", "steps", "expected"),
    [
        ([1, 2, 3, 4, 5], 2, 5, [4, 5, 4, 5, 4]),
        ([1, 2, 3, 4, 5], 5, 3, [1, 2, 3]),
        ([1, 2, 3], 7, 4, [3, 3, 3, 3]),
        ([1, 2, 3], 1, 2, [3, 3]),
        ([1, NAN, 3, NAN], 2, 3, [3, 3, 3]),
        ([1, 2, NAN], 7, 2, [2, 2]),
        ([NAN, NAN], 2, 2, [0, 0]),
        ([], 4, 2, [0, 0]),
    ],
)
def test_seasonal_naive_repeats_the_last_season(
    history: list[float], season: int, steps: int, expected: list[float]
) -> None:
    assert seasonal_naive(floats(history), season, steps).tolist() == expected
