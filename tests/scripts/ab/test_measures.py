"""Each measure against numbers worked out by hand, and what has no loss, with its reason."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.ab.capture import Part
from scripts.ab.measures import Measured, Settings, Unscored, measure, steps_per_day

INSTANCE = {"start": "2026-01-01 00:00:00", "target": [1.0, 2.0, 4.0], "item_id": "s"}
FORECAST = {"quantiles": {"0.1": [3, 4], "0.5": [5, 5], "0.9": [6, 9]}, "mean": [5, 6]}
DEFAULTS = Settings()


def part(content: Any, kind: str = "application/json") -> Part:
    return Part(kind, (content if isinstance(content, str) else json.dumps(content)).encode())


def scored(
    name: str, instance: Any, prediction: Any, actual: Any, settings: Settings = DEFAULTS, variant: str = "A"
) -> Measured:
    return measure(
        name, part({"instances": [instance]}), part({"predictions": [prediction]}), actual, settings, variant
    )


def test_pinball_in_units_of_the_seasonal_naive_error() -> None:
    """Differences 1 and 2, so the scale is 1.5; twice the pinball losses of 4 and 7 are .2 .6, 1 2, .4 .4."""
    measured = scored("pinball", INSTANCE, FORECAST, [4, 7])
    assert measured.loss == pytest.approx((0.2 + 0.6 + 1 + 2 + 0.4 + 0.4) / 6 / 1.5)
    assert measured.covariate == pytest.approx((0 + 3) / 2 / 1.5) and measured.covered == 1.0


def test_mase_of_the_median_or_else_of_the_mean() -> None:
    assert scored("mase", INSTANCE, FORECAST, [4, 7]).loss == pytest.approx(1.5 / 1.5)
    measured = scored("mase", INSTANCE, {"mean": [5, 6]}, [4, 7])
    assert measured.loss == pytest.approx(1 / 1.5) and measured.covered is None


def test_actuals_in_parts_and_shorter_than_the_forecast() -> None:
    assert scored("mase", INSTANCE, FORECAST, [None, 7]).loss == pytest.approx(2 / 1.5)
    assert scored("mase", INSTANCE, FORECAST, {"actual": ["NaN", 7], "price": 3}).loss == pytest.approx(2 / 1.5)
    assert scored("mase", INSTANCE, FORECAST, [4]).loss == scored("mase", INSTANCE, FORECAST, 4).loss
    with pytest.raises(Unscored, match="got 2 values for 3 actuals"):
        scored("pinball", INSTANCE, FORECAST, [4, 7, 8])


@pytest.mark.parametrize("value", [None, "NaN"])
def test_a_model_may_not_keep_silent_where_it_is_hard(value: Any) -> None:
    silent = {"quantiles": {"0.5": [5, value]}}
    for name in ("mase", "pinball"):
        with pytest.raises(Unscored, match="no number where the actual is known"):
            scored(name, INSTANCE, silent, [4, 7])
        assert scored(name, INSTANCE, silent, [4, None]).loss == pytest.approx(1 / 1.5)


@pytest.mark.parametrize(("season", "target"), [(3, [1, 2, 4]), (2, [1, 2, 1, 2]), (1, [None, None, 1])])
def test_a_series_without_a_season_has_no_scale(season: int, target: list[float]) -> None:
    with pytest.raises(Unscored, match="shorter than its season"):
        scored("mase", {"target": target}, FORECAST, [4, 7], Settings(season=season))


def test_instances_of_a_request_are_averaged() -> None:
    request, answer = part({"instances": [INSTANCE, INSTANCE]}), part({"predictions": [FORECAST, FORECAST]})
    both = measure("mase", request, answer, [[5, 5], [4, 7]], Settings(), "A")
    assert both.loss == pytest.approx(0.5)
    one = measure("mase", request, answer, [[None, None], [4, 7]], Settings(), "A")
    assert one.loss == pytest.approx(1.0) and one.cluster == both.cluster
    with pytest.raises(Unscored, match="a request of 2 instances needs a list of 2 actuals"):
        measure("mase", request, answer, [1.0], Settings(), "A")
    with pytest.raises(Unscored, match="2 instances have 1 predictions"):
        measure("mase", request, part({"predictions": [FORECAST]}), [1.0], Settings(), "A")


def test_json_lines_and_csv() -> None:
    lines = "\n".join([json.dumps(INSTANCE), "", json.dumps(INSTANCE)])
    request, answer = (
        part(lines, "application/jsonlines; charset=utf-8"),
        part("\n".join([json.dumps(FORECAST)] * 2), "application/x-jsonlines"),
    )
    assert measure("mase", request, answer, [[5, 5], [5, 5]], Settings(), "A").loss == 0.0
    table, values = part("1,2\n3,4\n", "text/csv"), part("0.5\n2\n", "text/csv")
    assert measure("squared-error", table, values, [1.5, 2], Settings(), "A").loss == pytest.approx(0.5)


@pytest.mark.parametrize("body", ["{", "[" * 100_000, "", '"', "\ud7ff"])
@pytest.mark.parametrize("kind", ["application/json", "text/csv", "application/jsonlines", "image/png", ""])
def test_bodies_of_any_kind_have_no_loss_and_no_traceback(body: str, kind: str) -> None:
    for loss in ("pinball", "mase", "squared-error", "ranking", "held-out"):
        with pytest.raises(Unscored):
            measure(loss, part(body, kind), part(body, kind), 1.0, Settings(topics={"A": np.eye(2)}), "A")


@pytest.mark.parametrize("one", [None, 1, "x", [], {}, [[1]], {"a": {}}, 10**400, True, float("inf")])
@pytest.mark.parametrize("loss", ["pinball", "mase", "squared-error", "ranking", "held-out", "column"])
def test_actuals_of_any_form_have_a_loss_or_a_reason(one: Any, loss: str) -> None:
    settings = Settings(column="a", topics={"A": np.full((2, 3), 1 / 3)})
    prediction = {**FORECAST, "value": 1.0, "top": [{"index": 1}], "topic_mixture": [0.5, 0.5]}
    for instance, answer in ((INSTANCE, prediction), (one, one)):
        try:
            assert math.isfinite(scored(loss, instance, answer, one, settings).loss)
        except Unscored as reason:
            assert str(reason)


def test_what_is_not_captured_is_said() -> None:
    with pytest.raises(Unscored, match="CaptureOptions has no Input"):
        measure("mase", None, part({}), 1.0, Settings(), "A")
    with pytest.raises(Unscored, match="CaptureOptions has no Output"):
        measure("mase", part({}), None, 1.0, Settings(), "A")


def test_squared_error_of_entries() -> None:
    assert scored("squared-error", {"index": [1, 2]}, {"value": 3.0}, 5).loss == 4.0
    with pytest.raises(Unscored, match="no number where the actual is known"):
        scored("squared-error", {}, {"value": None}, 5)
    with pytest.raises(Unscored, match="infinite"):
        scored("squared-error", {}, {"value": 1e200}, 5)
    with pytest.raises(Unscored, match="nothing of the actual is known"):
        scored("squared-error", {}, {"value": 3.0}, None)


def test_rankings_by_index_and_by_label() -> None:
    """Of the gains 1 and 1 the second place is found alone: DCG 1/log2(3) of 1 + 1/log2(3)."""
    top = {"top": [{"index": 4}, {"index": 7}]}
    expected = 1 - (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert scored("ranking", {}, top, [7, 9]).loss == pytest.approx(expected)
    assert scored("ranking", {}, top, {"7": 1, "9": 1}).loss == pytest.approx(expected)
    assert scored("ranking", {}, {"top": [{"index": 4, "label": "tea"}]}, "tea").loss == 0.0


def test_held_out_words() -> None:
    settings = Settings(topics={"A": np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])})
    answer = {"topic_mixture": [0.5, 0.5]}
    expected = -(2 * math.log(0.35) + math.log(0.25)) / 3
    assert scored("held-out", {}, answer, {"0": 2, "2": 1}, settings).loss == pytest.approx(expected)
    with pytest.raises(Unscored, match="term 3 of an actual is none of the 3 terms of A"):
        scored("held-out", {}, answer, {"3": 1}, settings)
    with pytest.raises(Unscored, match=r"--topics B=FILE\.npy"):
        scored("held-out", {}, answer, {"0": 1}, settings, variant="B")
    with pytest.raises(Unscored, match="infinite"):
        scored("held-out", {}, {"topic_mixture": [1.0, 0.0]}, {"2": 1}, settings)


def test_a_column_of_ones_own() -> None:
    assert measure("column", None, None, {"revenue": 3, "actual": 1}, Settings(column="revenue"), "A").loss == 3.0
    turned = Settings(column="revenue", higher_is_better=True)
    assert measure("column", None, None, {"revenue": 3}, turned, "A").loss == -3.0
    assert measure("column", None, None, 2.5, Settings(column="actual"), "A").loss == 2.5
    for value in (None, "3", math.nan, math.inf, [1]):
        with pytest.raises(Unscored, match="no number in the column 'revenue'"):
            measure("column", None, None, {"revenue": value}, Settings(column="revenue"), "A")


@pytest.mark.parametrize(
    ("freq", "steps"),
    [("H", 24), ("h", 24), ("15min", 96), ("30T", 48), ("6H", 4), ("D", 1), ("W-MON", 1), ("M", 1), ("B", 1), (None, 1),
     ("S", 86400), ("2D", 1), ("0H", 1)],
)  # fmt: skip
def test_steps_of_a_day(freq: str | None, steps: float) -> None:
    assert steps_per_day(freq) == steps


def cluster(freq: str, **instance: Any) -> Any:
    return scored("mase", {"target": [1.0, 2.0, 4.0], **instance}, FORECAST, [4, 7], Settings(freq=freq)).cluster


def test_forecasts_of_a_series_on_one_day_are_one_fact_whether_windows_grow_or_roll() -> None:
    growing = [cluster("H", item_id="s", start="2026-01-01 00:00:00", target=[1.0, 2.0] * n) for n in (2, 11, 12, 20)]
    assert growing[0] == growing[1] != growing[2] == growing[3]
    rolling = [
        cluster("H", item_id="s", start=f"2026-01-0{day} {hour:02}:00:00") for day in (1, 2) for hour in (0, 9, 20)
    ]
    assert len(set(rolling)) == 2 and len({each[1] for each in rolling}) == 2
    assert cluster("H", item_id="s", start="2026-01-01") != cluster("H", item_id="t", start="2026-01-01")
    assert cluster("H", cat=[1], start="2026-01-01 05:00:00") == cluster("H", cat=[1], start="2026-01-01 06:00:00")
    assert cluster("H", cat=[1], item_id=0, start="2026-01-01") != cluster("H", cat=[1], start="2026-01-01")
    assert cluster("H", start="no date")[0] is None and cluster("H")[0] is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(-1e6, 1e6))
def test_a_forecast_that_is_right_loses_nothing_and_any_other_something(truth: list[float], shift: float) -> None:
    instance = {"target": [0.0, 1.0, 3.0]}
    loss = scored("mase", instance, {"mean": [each + shift for each in truth]}, truth).loss
    assert loss == pytest.approx(abs(shift) / 1.5, rel=1e-6, abs=1e-9)
