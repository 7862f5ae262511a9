"""The pictures of forecasts: what their axes hold, and that nothing unknown, missing or odd breaks them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyadic.forecasting.evaluation import FORECASTS, INTERVALS, LEVELS
from polyadic.reports import forecast_figures as figures
from polyadic.reports.style import POINTS_MARKED
from tests.helpers.evaluations import HISTORY, example_of
from tests.helpers.pages import colours_of

NAN = math.nan


def line(axis: Axes, label: str) -> tuple[list[float], list[float]]:
    """The places and the values of the line with a label."""
    labelled = next(line for line in axis.lines if line.get_label() == label)
    return np.asarray(labelled.get_xdata()).tolist(), np.asarray(labelled.get_ydata()).tolist()


def test_a_forecast_is_drawn_over_the_actual_values(drawn: list[Figure]) -> None:
    example = example_of()
    figures.forecasts([example])
    (axis,) = drawn[0].axes
    days = (example.minutes / 1440).tolist()
    assert line(axis, "actual") == (days, [*example.history_H.tolist(), *example.actual_P.tolist()])
    assert line(axis, "median forecast") == (days[12:], example.quantiles_QP[2].tolist())
    wide, narrow = (band.get_paths()[0].vertices for band in axis.collections)
    for band, (low, high) in ((wide, (0, -1)), (narrow, (1, -2))):
        assert set(example.quantiles_QP[low]) | set(example.quantiles_QP[high]) == set(np.asarray(band)[:, 1])
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels == ["actual", "median forecast", "90 % interval", "50 % interval"]


@pytest.mark.parametrize("frequency", ["1min", "15min", "H", "12H", "D", "W", "M", "12M"])
def test_time_stamps_of_any_frequency_are_dates(frequency: str, drawn: list[Figure]) -> None:
    figures.forecasts([example_of(frequency=frequency, start="2023-12-30 22:00:00")])
    (axis,) = drawn[0].axes
    named = [label.get_text() for label in axis.get_xticklabels()]
    assert 2 <= len(named) <= 12 and all(named)
    assert axis.get_title(loc="left").startswith("20")


@pytest.mark.parametrize("start", ["0001-01-01 00:00:00", "9998-01-01 00:00:00"])
def test_time_stamps_far_from_1970_are_counted(start: str, drawn: list[Figure]) -> None:
    figures.forecasts([example_of(frequency="D", start=start)])
    (axis,) = drawn[0].axes
    assert line(axis, "actual")[0] == list(range(16))
    assert axis.get_title(loc="left") == "RMSE 0, 4 of 4 within 90 %"


@pytest.mark.parametrize("days", [7, 8, 12, 20, 24])
def test_days_are_marked_at_even_distances_over_the_end_of_a_month(days: int) -> None:
    axis = Figure().subplots()
    axis.plot([19800, 19800 + days], [0, 0])  # From 18 March 2024.
    figures._dates(axis, days)
    ticks = axis.get_xticks()
    assert 3 <= len(ticks) <= 7 and len(set(np.diff(ticks))) == 1


@pytest.mark.parametrize(("history", "steps", "count"), [(1, 1, 1), (3, 1, 2), (0, 1, 3), (0, 2, 1), (500, 200, 5)])
def test_any_number_of_steps_and_examples_is_drawn(history: int, steps: int, count: int, drawn: list[Figure]) -> None:
    figures.forecasts([example_of(history, steps)] * count)
    assert sum(axis.axison for axis in drawn[0].axes) == count
    places, values = line(drawn[0].axes[0], "median forecast")
    assert len(places) == max(2, steps), "a single step has a width"
    assert places == sorted(places) and np.isfinite(values).all()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e9, 1e37])
def test_values_of_any_size_are_drawn(scale: float) -> None:
    assert colours_of(figures.forecasts([example_of(scale=scale)])) > 10
    assert colours_of(figures.horizon({"a": np.full(4, scale), "b": np.zeros(4)}, {"a": scale, "b": 0.0})) > 10
    assert colours_of(figures.loss([(scale, -scale)] * 3)) > 10


def test_missing_values_are_gaps_and_a_value_between_gaps_is_a_dot(drawn: list[Figure]) -> None:
    example = example_of()
    example.history_H[2::3] = NAN
    example.history_H[3] = NAN
    example.actual_P[:] = NAN
    figures.forecasts([example])
    (axis,) = drawn[0].axes
    values = np.array(line(axis, "actual")[1])
    assert np.flatnonzero(np.isnan(values)).tolist() == [2, 3, 5, 8, 11, 12, 13, 14, 15]
    dots = next(drawn_line for drawn_line in axis.lines if drawn_line.get_marker() == "o")
    assert np.asarray(dots.get_ydata()).tolist() == [example.history_H[4]]
    assert axis.get_title(loc="left") == "2024-02-28 12:00: nothing observed"


@pytest.mark.parametrize("nothing", [math.inf, NAN])
def test_forecasts_that_are_not_finite_are_drawn_as_nothing(nothing: float, drawn: list[Figure]) -> None:
    example = example_of()
    example.history_H[:], example.actual_P[:], example.quantiles_QP[:] = NAN, NAN, nothing
    figures.forecasts([example])
    assert not np.isfinite(line(drawn[0].axes[0], "median forecast")[1]).any()


def test_values_without_a_neighbour_are_isolated() -> None:
    values = np.array([1, NAN, 2, NAN, NAN, 3, 4, NAN, 5])
    assert np.flatnonzero(figures._isolated(values)).tolist() == [0, 2, 8]


def test_the_caption_counts_what_is_within_the_wide_interval() -> None:
    example = example_of()
    example.actual_P[:] = [0.5, NAN, 9, 0]
    example.mean_P[:] = [0.5, 3, 5, 3]
    example.quantiles_QP[0], example.quantiles_QP[-1] = -1, 1
    rmse = f"{math.sqrt(25 / 3):.3g}"
    assert figures._caption(example, dated=True) == f"2024-02-28 12:00: RMSE {rmse}, 2 of 3 within 90 %"
    assert figures._caption(example, dated=False) == f"RMSE {rmse}, 2 of 3 within 90 %"


def test_the_stamp_of_midnight_is_a_date() -> None:
    assert figures._caption(example_of(history=24), dated=True).startswith("2024-02-29: RMSE")


@pytest.mark.parametrize("steps", [1, 2, 200])
def test_errors_are_drawn_by_step_with_the_error_of_all_steps_in_the_legend(steps: int, drawn: list[Figure]) -> None:
    curves = {name: number + 1.0 + np.arange(steps) for number, name in enumerate(FORECASTS)}
    figures.horizon(curves, dict.fromkeys(FORECASTS, 1234.5))
    (axis,) = drawn[0].axes
    for name in FORECASTS:
        assert line(axis, f"{name} (1,234)") == (list(range(1, steps + 1)), curves[name].tolist())
    assert {drawn_line.get_marker() for drawn_line in axis.lines} == {"o" if steps <= POINTS_MARKED else ""}
    assert axis.get_ylim()[0] == 0


def test_errors_that_are_not_known_are_gaps(drawn: list[Figure]) -> None:
    figures.horizon({"a": np.array([NAN, 1, NAN]), "b": np.full(3, NAN)}, {"a": 1.0, "b": NAN})
    assert line(drawn[0].axes[0], "a (1)")[1] == pytest.approx([NAN, 1, NAN], nan_ok=True)
    assert line(drawn[0].axes[0], "b (nan)")[1] == pytest.approx([NAN] * 3, nan_ok=True)


def test_calibration_shows_shares_below_quantiles_and_inside_intervals(drawn: list[Figure]) -> None:
    below = np.array(LEVELS) ** 1.2
    figures.calibration(below)
    left, right = drawn[0].axes
    assert np.asarray(left.lines[1].get_ydata()).tolist() == below.tolist()
    shares = [0.95**1.2 - 0.05**1.2, 0.9**1.2 - 0.1**1.2, 0.75**1.2 - 0.25**1.2]
    assert [bar.get_width() for bar in right.patches] == pytest.approx(shares)  # type: ignore[attr-defined]  # Each patch is a rectangle.
    assert [text.get_text() for text in right.texts] == [f"{100 * share:.1f} %" for share in shares]
    assert [label.get_text() for label in right.get_yticklabels()] == [
        f"{100 * width:.0f} % interval" for width in INTERVALS
    ]


def test_calibration_of_nothing_says_so(drawn: list[Figure]) -> None:
    figures.calibration(np.full(len(LEVELS), NAN))
    right = drawn[0].axes[1]
    assert [text.get_text() for text in right.texts] == ["nothing observed"] * 3
    assert [bar.get_width() for bar in right.patches] == [0, 0, 0]  # type: ignore[attr-defined]  # Each patch is a rectangle.


def test_the_loss_of_validation_skips_epochs_without_one(drawn: list[Figure]) -> None:
    figures.loss(HISTORY)
    (axis,) = drawn[0].axes
    assert line(axis, "training") == ([1, 2, 3, 4], [1.5, 0.9, 0.75, 0.8])
    assert line(axis, "validation") == ([2, 4], [1.25, 1.5])
    assert drawn[0].get_suptitle() == "Loss after 4 epochs" and axis.get_legend() is not None


def test_the_loss_of_training_alone_needs_no_legend(drawn: list[Figure]) -> None:
    figures.loss([(1.5, None)])
    (axis,) = drawn[0].axes
    assert line(axis, "training") == ([1], [1.5]) and len(axis.lines) == 1
    assert drawn[0].get_suptitle() == "Loss after 1 epoch" and axis.get_legend() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.012345, "0.0123"), (4.5678, "4.57"), (192834.4, "192,834"), (1.2e9, "1.2e+09"), (0.0, "0"), (NAN, "nan")],
)
def test_numbers_are_short(value: float, expected: str) -> None:
    assert figures.short_number(value) == expected
