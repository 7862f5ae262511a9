"""The score of a test channel: DeepAR's lines, and what the report needs, alike on one rank and on two."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polyadic.algorithms.forecaster.scoring import score
from polyadic.distributed import World
from polyadic.forecasting.evaluation import LEVELS, MOST_EXAMPLES, SHOWN, Evaluation, Example, Tally, spread
from polyadic.forecasting.series import Series
from polyadic.jobs.job import Job
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.ranks import on_ranks

HORIZON, CONTEXT, SEASON, PATHS = 3, 4, 2, 40
QUANTILES = [0.1, 0.5, 0.9]


@dataclass(frozen=True)
class Forecasts:
    mean_BP: NDArray[np.float32]
    samples_BSP: NDArray[np.float32]


def forecast(series: list[Series], paths: int) -> Any:
    """About the last value, a function of each series alone; the mean is not that of the samples."""
    last = np.stack([one.target[np.isfinite(one.target)][-1:].repeat(HORIZON) for one in series])
    noise = np.random.default_rng(0).normal(size=(paths, HORIZON))
    return Forecasts(last + np.float32(0.5), (last[:, None] + noise).astype(np.float32))


def linear(series: list[Series]) -> NDArray[np.float32]:
    return np.stack([np.full(HORIZON, np.nanmean(one.target[-CONTEXT:])) for one in series]).astype(np.float32)


def some(count: int, length: int = 20, missing: float = 0.1) -> list[Series]:
    random = np.random.default_rng(1)
    made = []
    for number in range(count):
        target = random.normal(5 + number, 1, length).astype(np.float32)
        target[random.random(length) < missing] = np.nan
        target[CONTEXT] = number
        made.append(Series(target, 60 * np.arange(length) + 1440 * number))
    return made


def job(world: World | None = None) -> Job[Any]:
    settings: Any = SimpleNamespace(
        prediction_length=HORIZON, context_length=CONTEXT, test_quantiles=QUANTILES, num_eval_samples=PATHS
    )
    return Job(
        algorithm="forecaster",
        hyperparameters=settings,
        world=world or World.alone(),
        channels={},
        checkpoints=NoCheckpoints(),
    )


def actual(series: list[Series]) -> NDArray[np.float32]:
    return np.stack([one.target[-HORIZON:] for one in series])


def rmse(errors: Any, axis: Any = None) -> Any:
    return np.sqrt(np.nanmean(np.square(errors, dtype=np.float64), axis=axis))


@pytest.fixture(scope="module")
def series() -> list[Series]:
    return some(150)


@pytest.fixture(scope="module")
def found(series: list[Series]) -> Evaluation:
    return score(job(), forecast, SEASON, series, linear)


def history(series: list[Series]) -> list[Series]:
    return [Series(one.target[:-HORIZON], one.minutes) for one in series]


def test_the_lines_are_deepars(series: list[Series], capsys: pytest.CaptureFixture[str]) -> None:
    found = score(job(), forecast, SEASON, series, linear)
    printed = capsys.readouterr().out
    names = [
        "RMSE",
        "mean_wQuantileLoss",
        "seasonal_naive_RMSE",
        "seasonal_naive_mean_wQuantileLoss",
        "linear_autoregression_RMSE",
    ]
    assert list(found.metrics) == [f"test:{name}" for name in names]
    levels = re.findall(r"^#test_score \(algo-1, wQuantileLoss\[(\S+)\]\): \S+$", printed, re.M)
    assert levels == ["0.1", "0.5", "0.9"]
    expected = [
        line
        for name in names
        for line in (
            f"#test_score (algo-1, {name}): {found.metrics[f'test:{name}']:.10g}",
            f"#quality_metric: host=algo-1, test {name} <loss>={found.metrics[f'test:{name}']:.10g}",
        )
    ]
    assert printed.splitlines()[3:] == expected


def test_the_errors_are_those_of_the_mean_and_of_the_others(series: list[Series], found: Evaluation) -> None:
    before, came = history(series), actual(series)
    ours = forecast(before, PATHS)
    assert found.metrics["test:RMSE"] == pytest.approx(rmse(came - ours.mean_BP), rel=1e-6)
    assert found.metrics["test:linear_autoregression_RMSE"] == pytest.approx(rmse(came - linear(before)), rel=1e-6)
    np.testing.assert_allclose(found.rmse_P["forecaster"], rmse(came - ours.mean_BP, 0), rtol=1e-6)
    np.testing.assert_allclose(found.rmse_P["linear_autoregression"], rmse(came - linear(before), 0), rtol=1e-6)
    squares = np.square(found.rmse_P["seasonal_naive"]) * np.isfinite(came).sum(0)
    assert found.metrics["test:seasonal_naive_RMSE"] == pytest.approx(np.sqrt(squares.sum() / found.values))
    assert found.values == np.isfinite(came).sum()


def test_the_quantile_loss_is_that_of_the_samples(series: list[Series], found: Evaluation) -> None:
    came = actual(series)
    quantiles = np.quantile(forecast(history(series), PATHS).samples_BSP, QUANTILES, axis=1)
    tau = np.array(QUANTILES)[:, None, None]
    losses = np.where(came > quantiles, tau, tau - 1) * (came - quantiles)
    expected = np.mean(2 * np.nansum(losses, (1, 2)) / np.nansum(np.abs(came)))
    assert found.metrics["test:mean_wQuantileLoss"] == pytest.approx(expected, rel=1e-5)


def test_the_calibration_is_the_share_of_actual_values_below(series: list[Series], found: Evaluation) -> None:
    came = actual(series)
    ladder = np.quantile(forecast(history(series), PATHS).samples_BSP, LEVELS, axis=1)
    expected = [(came < one)[np.isfinite(came)].mean() for one in ladder]
    assert found.below_Q == pytest.approx(expected)
    assert len(LEVELS) == 19 and LEVELS[0] == 0.05 and LEVELS[-1] == 0.95


@given(st.integers(0, 99))
def test_shares_add_up_to_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    came, points = random.normal(size=(6, 4)), random.normal(size=(2, 6, 4))
    came[random.random(came.shape) < 0.3] = np.nan
    ladder = np.sort(random.normal(size=(len(LEVELS), 6, 4)), 0)
    whole = Tally.of(came, list(points), ladder)
    total = Tally.nothing(2, 4)
    for part in (slice(0, 2), slice(2, 2), slice(2, 6)):
        total += Tally.of(came[part], list(points[:, part]), ladder[:, part])
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(total, name), value, err_msg=name)


def test_a_value_at_a_quantile_is_half_below_it() -> None:
    ladder = np.zeros((len(LEVELS), 1, 4))
    found = Tally.of(np.array([[0.0, -1, 1, np.nan]]), [np.zeros((1, 4))], ladder).evaluation({}, [])
    assert found.values == 3 and found.below_Q.tolist() == [0.5] * len(LEVELS)


def test_where_nothing_is_observed_nothing_is_known() -> None:
    series = [Series(np.array([1.0, 2, 3, 4, 5, 6, np.nan, 7], np.float32), np.arange(8))]
    found = score(job(), forecast, SEASON, series)
    assert np.isnan(found.rmse_P["forecaster"]).tolist() == [False, True, False]
    assert (
        found.rmse_P.keys() == {"forecaster", "seasonal_naive"}
        and "test:linear_autoregression_RMSE" not in found.metrics
    )
    nothing = score(job(), forecast, SEASON, [], linear)
    assert nothing.metrics == {} and nothing.values == 0 and nothing.examples == ()
    assert all(np.isnan(one).all() for one in (nothing.below_Q, *nothing.rmse_P.values()))


def test_examples_are_the_ends_of_series_all_over_the_channel(series: list[Series], found: Evaluation) -> None:
    assert len(found.examples) == MOST_EXAMPLES
    numbers = [int(example.minutes[-1] - 19 * 60) // 1440 for example in found.examples]
    assert numbers == spread(series, HORIZON) and numbers[0] == 0 and numbers[-1] == 149
    for number, example in zip(numbers, found.examples, strict=True):
        one = series[number]
        np.testing.assert_array_equal(example.history_H, one.target[-HORIZON - 3 * HORIZON : -HORIZON])
        np.testing.assert_array_equal(example.actual_P, one.target[-HORIZON:])
        np.testing.assert_array_equal(example.minutes, one.minutes[-HORIZON - 3 * HORIZON :])
        ours = forecast(history([one]), PATHS)
        np.testing.assert_array_equal(example.mean_P, ours.mean_BP[0])
        np.testing.assert_allclose(example.quantiles_QP, np.quantile(ours.samples_BSP[0], SHOWN, axis=0), rtol=1e-6)


@pytest.mark.parametrize(("length", "context", "expected"), [(9, 4, 6), (60, 30, 30), (60, 4, 9), (33, 30, 30)])
def test_an_example_shows_the_context_or_three_horizons(length: int, context: int, expected: int) -> None:
    series = Series(np.arange(length, dtype=np.float32), np.arange(length + HORIZON))
    found = Example.of(series, context, np.zeros(HORIZON), np.zeros((len(LEVELS), HORIZON)))
    assert len(found.history_H) == expected and found.history_H[-1] == length - HORIZON - 1
    assert len(found.minutes) == expected + HORIZON and found.minutes[-1] == length - 1


def test_series_without_an_actual_value_are_no_examples() -> None:
    series = some(9, missing=0)
    for one in series[::2]:
        one.target[-HORIZON:] = np.nan
    assert spread(series, HORIZON) == [1, 3, 5, 7]
    assert spread(series[::2], HORIZON) == spread([], HORIZON) == []


def on_each_rank(world: World) -> Any:
    """The second rank has but one series, and then none."""
    made = some(40)
    found = [
        score(job(world), forecast, SEASON, made[:cut] if world.rank == 0 else made[cut:], linear) for cut in (39, 40)
    ]
    return [(dict(one.metrics), dict(one.rmse_P), one.below_Q, one.values, len(one.examples)) for one in found]


def test_two_ranks_equal_one() -> None:
    expected = score(job(), forecast, SEASON, some(40), linear)
    for rank, answers in enumerate(on_ranks(2, on_each_rank)):
        assert [one[4] for one in answers] == [[6, 6], [1, 0]][rank]
        for metrics, by_step, below, values, _ in answers:
            assert metrics == pytest.approx(dict(expected.metrics)) and values == expected.values
            assert below == pytest.approx(expected.below_Q)
            assert by_step.keys() == expected.rmse_P.keys()
            for name, value in by_step.items():
                np.testing.assert_allclose(value, expected.rmse_P[name])
