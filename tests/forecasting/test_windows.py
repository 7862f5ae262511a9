"""Windows, their scaling and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting import store as store_module
from polyadic.forecasting.calendar import Calendar, Frequency
from polyadic.forecasting.pool import Pool, draw, training_scale
from polyadic.forecasting.series import Series
from polyadic.forecasting.windows import SMALLEST_RATIO, batch, fill_forward, scale
from tests.helpers.waves import floats, stored

HOURLY = Frequency.parse("H")
CALENDAR = Calendar(("day", "week"))
Floats = NDArray[np.float32]


def series_of(lengths: Sequence[int], seed: int = 0, missing: float = 0.0) -> list[Series]:
    random = np.random.default_rng(seed)
    made = []
    for number, length in enumerate(lengths):
        target = random.normal(50, 10, length).astype(np.float32)
        target[random.random(length) < missing] = np.nan
        dynamic = random.normal(size=(3, length + number % 2)).astype(np.float32)
        cat = (number, number % 2)
        made.append(Series(target, HOURLY.minutes(datetime(2020, 1, 1 + number), length + 3), cat, dynamic))
    return made


def features_of(series: Series) -> Floats:
    """The dynamic features of each observed step, T x J."""
    assert series.dynamic is not None
    return series.dynamic[:, : len(series.target)].T


def every_window(series: Sequence[Series], context: int, prediction: int) -> list[tuple[Any, ...]]:
    """Context, horizon, calendar, features and categories of each window, by slicing."""
    windows = []
    for one in series:
        for first in range(len(one.target) - context - prediction + 1):
            cut, end = first + context, first + context + prediction
            calendar = CALENDAR.features(one.minutes[first:end])
            assert one.dynamic is not None
            dynamic = one.dynamic[:, first:end].T
            windows.append((one.target[first:cut], one.target[cut:end], calendar, dynamic, np.array(one.cat)))
    return windows


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_take_equals_slicing(lengths: list[int], context: int, prediction: int, seed: int) -> None:
    series = series_of(lengths, seed, missing=0.3)
    pool = Pool(stored(series), CALENDAR, context, prediction, groupings=2, features=3)
    windows = every_window(series, context, prediction)
    assert len(pool) == len(windows)
    usable = [len(one.target) for one in series if len(one.target) >= context + prediction]
    assert pool.points == sum(usable)
    if not windows:
        return
    numbers = np.random.default_rng(seed).permutation(len(windows))
    past, future, steps, dynamic, cat = (np.stack([windows[number][part] for number in numbers]) for part in range(5))
    expected, found = batch(past, future, steps, dynamic, cat), pool.take(numbers)
    for name, value in vars(found).items():
        assert torch.equal(value, getattr(expected, name)), name


def test_a_batch_is_the_window_less_its_level_over_its_scale() -> None:
    context, horizon = floats([[1, 2, 3, 6]]), floats([[4, 8]])
    calendar = np.zeros((1, 6, 2), np.float32)
    found = batch(context, horizon, calendar)
    size = (np.var([1, 2, 3, 6]) + (SMALLEST_RATIO * 3) ** 2) ** 0.5
    assert found.level_B.tolist() == [3]
    assert found.scale_B.tolist() == pytest.approx([size])
    assert found.past_BC.tolist() == [pytest.approx([-2 / size, -1 / size, 0, 3 / size])]
    assert found.future_BP.tolist() == [pytest.approx([1 / size, 5 / size])]
    assert found.observed_BC.tolist() == [[1, 1, 1, 1]] and found.weight_BP.tolist() == [[1, 1]]


def test_the_future_changes_nothing_but_the_future() -> None:
    random = np.random.default_rng(0)
    context, horizon = random.normal(size=(2, 5)).astype(np.float32), random.normal(size=(2, 3)).astype(np.float32)
    calendar = np.zeros((2, 8, 1), np.float32)
    one = batch(context, horizon, calendar)
    other = batch(context, floats([[1e6, np.nan, -1e6]] * 2), calendar)
    for name in ("past_BC", "observed_BC", "level_B", "scale_B", "calendar_BTK"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert other.weight_BP.tolist() == [[1, 0, 1]] * 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.sampled_from([2.0, 1024.0, 2.0**-10, -1.0, -4.0]))
def test_scaling_a_series_scales_level_and_scale_and_leaves_the_window(seed: int, factor: float) -> None:
    random = np.random.default_rng(seed)
    context, horizon = random.normal(size=(3, 6)).astype(np.float32), random.normal(size=(3, 2)).astype(np.float32)
    context[random.random(context.shape) < 0.2] = np.nan
    calendar = np.zeros((3, 8, 1), np.float32)
    one, other = batch(context, horizon, calendar), batch(factor * context, factor * horizon, calendar)
    sign = np.sign(factor)
    torch.testing.assert_close(other.past_BC, sign * one.past_BC)
    torch.testing.assert_close(other.future_BP, sign * one.future_BP)
    torch.testing.assert_close(other.level_B, factor * one.level_B)
    torch.testing.assert_close(other.scale_B, abs(factor) * one.scale_B)


def test_missing_values_do_not_enter_the_scale() -> None:
    full, gaps = floats([[1, 5, 3]]), floats([[1, np.nan, 5, np.nan, 3]])
    assert [part.tolist() for part in scale(full)] == [part.tolist() for part in scale(gaps)]


@pytest.mark.parametrize("context", [[0, 0, 0], [np.nan] * 3, [np.nan, 0, 0]])
def test_a_context_that_says_nothing_has_level_0_and_scale_1(context: list[float]) -> None:
    level, size = scale(floats([context]))
    assert (level.tolist(), size.tolist()) == ([0], [1])


def test_a_constant_context_has_a_scale_in_proportion() -> None:
    level, size = scale(floats([[7, 7, 7], [-7, -7, -7]]))
    assert level.tolist() == [7, -7]
    assert size.tolist() == pytest.approx([7 * SMALLEST_RATIO] * 2)


def test_a_missing_value_is_filled_with_the_one_before() -> None:
    nan = np.nan
    values = floats([[nan, nan, 2, nan, nan, 5], [nan] * 6, [1, nan, 3, 4, 5, nan]])
    assert fill_forward(values).tolist() == [[0, 0, 2, 2, 2, 5], [0] * 6, [1, 1, 3, 4, 5, 5]]


def test_a_missing_value_is_marked_and_weighs_nothing() -> None:
    nan = np.nan
    found = batch(floats([[1, nan, 3]]), floats([[nan, 4]]), np.zeros((1, 5, 1), np.float32))
    assert found.observed_BC.tolist() == [[1, 0, 1]] and found.weight_BP.tolist() == [[0, 1]]
    assert found.past_BC[0, 1] == found.past_BC[0, 0]
    assert found.future_BP[0, 0] == found.past_BC[0, 2]
    assert all(value.isfinite().all() for value in vars(found).values())


def test_a_blank_window_is_finite_and_weighs_nothing() -> None:
    for pool in (Pool(stored(some), CALENDAR, 4, 2, 2, 3) for some in ([], series_of([9]))):
        blank = pool.blank()
        assert blank.past_BC.shape == (1, 4) and blank.future_BP.shape == (1, 2)
        assert blank.calendar_BTK.shape == (1, 6, CALENDAR.num_features)
        assert blank.dynamic_BTJ.shape == (1, 6, 3) and blank.cat_BN.tolist() == [[0, 0]]
        assert blank.weight_BP.sum() == 0 and blank.observed_BC.sum() == 0
        assert all(value.isfinite().all() for value in vars(blank).values())


def test_features_and_categories_that_are_not_asked_for_are_left_out() -> None:
    series = series_of([9, 8])
    found = Pool(stored(series), CALENDAR, 4, 2, groupings=1, features=2).take(np.array([0, 5]))
    assert found.cat_BN.tolist() == [[0], [1]]
    for row, one in enumerate(series):
        assert one.dynamic is not None
        first = [0, 1][row]
        assert np.array_equal(found.dynamic_BTJ[row], one.dynamic[:2, first : first + 6].T)
    none = Pool(stored(series), CALENDAR, 4, 2).take(np.array([0]))
    assert none.cat_BN.shape == (1, 0) and none.dynamic_BTJ.shape == (1, 6, 0)


def test_moments_are_sums_over_the_points_of_usable_series() -> None:
    series, mean = series_of([9, 3, 8]), np.array([0.5, -1.0, 2.0])
    found = Pool(stored(series), CALENDAR, 4, 2, 2, 3).moments(mean)
    points = np.concatenate([features_of(each) for each in series if len(each.target) >= 6])
    assert found.tolist() == pytest.approx([17, *(points - mean).sum(0), *((points - mean) ** 2).sum(0)])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 30), st.integers(0, 99))
def test_sums_go_through_the_data_in_blocks(lengths: list[int], most: int, seed: int) -> None:
    series = series_of(lengths, seed, missing=0.3)
    values = np.concatenate([floats([]), *(one.target for one in series)]).astype(np.float64)
    seen = values[np.isfinite(values)]
    usable = [one for one in series if len(one.target) > 1]
    features = [features_of(each) for each in usable]
    away = np.concatenate([np.zeros((0, 3)), *features]) - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "BLOCK_POINTS", most)
        scaled = training_scale(stored(series), World.alone(), divided=False)
        moments = Pool(stored(series), CALENDAR, 1, 1, 2, 3).moments(np.ones(3))
    level, deviation = (seen.mean(), seen.std()) if len(seen) else (0, 1)
    assert scaled == pytest.approx((level, deviation or 1), rel=1e-6)
    assert moments.tolist() == pytest.approx([len(away), *away.sum(0), *np.square(away).sum(0)], abs=1e-6)


def test_the_end_of_a_series_keeps_what_is_known_of_the_steps_after_it() -> None:
    (series,) = series_of([9])
    end = series.end(4)
    assert np.array_equal(end.target, series.target[5:]) and np.array_equal(end.minutes, series.minutes[5:])
    assert series.dynamic is not None and end.dynamic is not None
    assert np.array_equal(end.dynamic, series.dynamic[:, 5:])
    assert end.cat == series.cat and len(end.minutes) == 7
    assert np.array_equal(series.end(10).target, series.target)


def test_draw_is_a_function_of_seed_epoch_and_step() -> None:
    one = draw(1, 2, 3, 64, 1000)
    np.random.random(10)
    torch.rand(10)
    assert np.array_equal(draw(1, 2, 3, 64, 1000), one)
    for other in (draw(2, 2, 3, 64, 1000), draw(1, 3, 3, 64, 1000), draw(1, 2, 4, 64, 1000), draw(3, 2, 1, 64, 1000)):
        assert not np.array_equal(one, other)


def test_draw_covers_every_window_alike() -> None:
    drawn = np.concatenate([draw(0, 0, step, 100, 10) for step in range(100)])
    counts = np.bincount(drawn, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 850 and counts.max() < 1150
