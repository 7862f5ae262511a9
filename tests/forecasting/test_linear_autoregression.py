"""The linear autoregression: what it recovers, what does not enter, and that shares add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting import linear_autoregression as linear
from polyadic.forecasting.calendar import Calendar, Frequency
from polyadic.forecasting.pool import Pool
from polyadic.forecasting.series import Series
from tests.helpers.ranks import on_ranks
from tests.helpers.waves import stored

ALONE = World.alone()
Values = NDArray[np.float64]


def pool(targets: list[Values], context: int, prediction: int) -> Pool:
    series = [Series(one.astype(np.float32), np.arange(len(one))) for one in targets]
    return Pool(stored(series, Frequency.parse("min")), Calendar(()), context, prediction)


def noisy(count: int, length: int, seed: int, missing: float = 0.0) -> list[Values]:
    """Random walks, each of its own size."""
    random = np.random.default_rng(seed)
    found = [(1 + n) * random.normal(size=length).cumsum() for n in range(count)]
    for one in found:
        one[random.random(length) < missing] = np.nan
    return found


def oscillations(periods: list[float], phases: list[float], length: int) -> list[Values]:
    """Series that the same linear recurrence of order 1 + 2 · periods continues, each at its own level and phases."""
    steps = np.arange(length)
    return [
        10.0 * n + sum(np.sin(2 * np.pi * steps / period + (n + 1) * phase) for period in periods)
        for n, phase in enumerate(phases)
    ]


def by_hand(whole: Pool, numbers: list[int], ridge: float) -> Values:
    taken = whole.take(np.array(numbers))
    x = np.column_stack([taken.past_BC.double().numpy(), np.ones(len(numbers))])
    solved: Values = np.linalg.solve(
        x.T @ x + ridge * len(x) * np.eye(x.shape[1]), x.T @ taken.future_BP.double().numpy()
    )
    return solved


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(3, 9), min_size=1, max_size=2),
    st.lists(st.floats(0, 6), min_size=2, max_size=4),
    st.integers(6, 12),
    st.integers(1, 5),
)
def test_an_exact_autoregressive_process_is_continued(
    periods: list[float], phases: list[float], context: int, prediction: int
) -> None:
    targets = oscillations(periods, phases, 60)
    found = linear.fit(pool(targets, context, prediction), ALONE, False, ridge=1e-9)
    ends = pool([one[-context - prediction :] for one in targets], context, prediction)
    forecast = found.forecast(ends.take(np.arange(len(ends)))).numpy()
    np.testing.assert_allclose(forecast, [one[-prediction:] for one in targets], atol=2e-3)


def test_the_coefficients_are_those_of_ridge_regression() -> None:
    whole = pool(noisy(3, 40, 0), 5, 2)
    found = linear.fit(whole, ALONE, False, ridge=0.3)
    np.testing.assert_allclose(found.weight_DP.numpy(), by_hand(whole, list(range(len(whole))), 0.3), rtol=1e-9)


def test_the_forecast_is_in_the_series_own_units() -> None:
    targets = noisy(3, 40, 1)
    ends = [one[-7:] for one in targets]
    found = linear.fit(pool(targets, 5, 2), ALONE, False)
    forecast = found.forecast(pool(ends, 5, 2).take(np.arange(3)))
    larger = found.forecast(pool([8 * one for one in ends], 5, 2).take(np.arange(3)))
    assert forecast.dtype == torch.float32 and forecast.shape == (3, 2)
    torch.testing.assert_close(larger, 8 * forecast)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 0.1))
def test_what_is_masked_does_not_matter(seed: int, missing: float) -> None:
    """Windows with a gap in the horizon are left out where there are enough others."""
    targets = noisy(4, 120, seed, missing)
    whole = pool(targets, 3, 2)
    gaps = (whole.take(np.arange(len(whole))).weight_BP == 0).any(1).numpy()
    found = linear.fit(whole, ALONE, False, ridge=0.5)
    np.testing.assert_allclose(found.weight_DP.numpy(), by_hand(whole, np.flatnonzero(~gaps).tolist(), 0.5), rtol=1e-8)


def test_where_few_horizons_are_whole_the_others_are_filled() -> None:
    targets = noisy(2, 60, 0)
    for one in targets:
        one[::3] = np.nan
    whole = pool(targets, 4, 3)
    assert (whole.take(np.arange(len(whole))).weight_BP == 0).any(1).all()
    found = linear.fit(whole, ALONE, False, ridge=0.5)
    np.testing.assert_allclose(found.weight_DP.numpy(), by_hand(whole, list(range(len(whole))), 0.5), rtol=1e-8)


@pytest.mark.parametrize("targets", [[], [np.full(20, np.nan)], [np.zeros(20)], [np.full(20, 7.0)]])
def test_series_that_say_nothing_are_continued_at_their_level(targets: list[Values]) -> None:
    found = linear.fit(pool(targets, 4, 3), ALONE, False)
    forecast = found.forecast(pool([np.full(7, 7.0)], 4, 3).take(np.array([0])))
    assert forecast.tolist() == [[7, 7, 7]]


def test_a_large_pool_is_sampled_evenly_and_at_no_fixed_distance() -> None:
    chosen = linear.choose(480_000, 20_000)
    assert len(chosen) == 20_000 and (chosen // 24 == np.arange(20_000)).all()
    assert np.bincount(chosen % 24, minlength=24).min() > 600
    assert np.array_equal(chosen, linear.choose(480_000, 20_000))
    assert linear.choose(5, 5).tolist() == linear.choose(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert linear.choose(0, 0).tolist() == []


def test_only_the_sample_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MOST_WINDOWS", 50)
    whole = pool(noisy(3, 60, 2), 3, 2)
    assert len(whole) > 50
    found = linear.fit(whole, ALONE, False, ridge=0.5)
    np.testing.assert_allclose(
        found.weight_DP.numpy(), by_hand(whole, linear.choose(len(whole), 50).tolist(), 0.5), rtol=1e-8
    )


def on_each_rank(world: World, targets: list[Any]) -> tuple[Any, Any]:
    """Each rank's own series, of which the second has but one; and the same series on both."""
    mine = targets[:-1] if world.rank == 0 else targets[-1:]
    return (
        linear.fit(pool(mine, 4, 2), world, divided=True).weight_DP,
        linear.fit(pool(targets, 4, 2), world, divided=False).weight_DP,
    )


def test_two_shares_sum_to_one() -> None:
    targets = noisy(4, 50, 3, missing=0.02)
    expected = linear.fit(pool(targets, 4, 2), ALONE, False).weight_DP
    for found in on_ranks(2, on_each_rank, targets):
        for weight in found:
            torch.testing.assert_close(weight, expected, rtol=1e-9, atol=1e-12)
