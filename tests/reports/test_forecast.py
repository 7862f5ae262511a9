"""The report of a forecaster: its files, its page, and that nothing unknown, missing or odd breaks a picture."""

from __future__ import annotations

import base64
import io
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from matplotlib.figure import Figure
from PIL import Image

from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.evaluation import LEVELS, SHOWN, Evaluation, Example
from polyadic.reports import forecast as report
from polyadic.reports import forecast_figures as figures

NAN = math.nan
HISTORY = [(1.5, None), (0.9, 1.25), (0.75, NAN), (0.8, 1.5)]
NAMES = ("forecaster", "seasonal_naive", "linear_autoregression")
METRICS = {
    "test:RMSE": 1.5,
    "test:mean_wQuantileLoss": 0.125,
    "test:seasonal_naive_RMSE": 2.0,
    "test:seasonal_naive_mean_wQuantileLoss": 0.25,
    "test:linear_autoregression_RMSE": 1.75,
}


def example(
    history: int = 12, steps: int = 4, frequency: str = "H", start: str = "2024-02-28 00:00:00", scale: float = 1.0
) -> Example:
    values = scale * np.sin(np.arange(history + steps, dtype=np.float32))
    minutes = Frequency.parse(frequency).minutes(parse_start(start), history + steps)
    spread = scale * np.linspace(-1, 1, len(SHOWN))[:, None]
    actual = values[history:]
    return Example(minutes, values[:history], actual, actual.copy(), actual + spread)


def evaluation(steps: int = 4, **changes: Any) -> Evaluation:
    curves = {name: number + 1 + np.arange(steps) / 10 for number, name in enumerate(NAMES)}
    whole = {"metrics": METRICS, "rmse_P": curves, "below_Q": np.array(LEVELS) ** 1.2, "values": 24}
    return Evaluation(**{**whole, "examples": (example(steps=steps),) * 6, **changes})


def write(folder: Path, given: Evaluation | None, history: Any = HISTORY, **more: Any) -> str:
    report.write_report(folder, "forecaster", {"time_freq": "H", "prediction_length": 4, **more}, given, history)
    return (folder / "report.html").read_text()


def colours(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.width == 1200
        return len(image.convert("RGB").getcolors(2**24) or [])


class Cells(HTMLParser):
    """The text of each cell of a page whose elements are closed in their turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("th", "td", "title"):
            self.found.append(data)


def test_pictures_numbers_and_one_page_are_written(tmp_path: Path) -> None:
    text = write(tmp_path / "data", evaluation())
    pictures = ["forecasts.png", "horizon.png", "calibration.png", "loss.png"]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {*pictures, "evaluation.json", "report.html"}
    inside = [base64.b64decode(one, validate=True) for one in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]
    assert inside == [(tmp_path / "data" / name).read_bytes() for name in pictures]
    assert all(colours(one) > 10 for one in inside)
    assert not re.search(r"https?://|<script|@import|url\(", text)


def test_the_page_states_errors_and_facts(tmp_path: Path) -> None:
    cells = Cells(write(tmp_path, evaluation(), cell="<b>")).found
    assert cells[0] == "forecaster: 4 steps ahead (H)"
    assert cells[1:17] == [
        *("forecast", "RMSE", "relative to seasonal naive", "mean wQuantileLoss"),
        *("forecaster", "1.5", "0.75", "0.125"),
        *("seasonal naive", "2", "1", "0.25"),
        *("linear autoregression", "1.75", "0.875", "–"),
    ]
    facts = dict(zip(cells[17::2], cells[18::2], strict=True))
    assert facts["epochs"] == "4" and facts["test values observed"] == "24" and facts["cell"] == "<b>"
    assert facts["lowest loss in training"] == "0.75, after epoch 3"
    assert facts["lowest loss in validation"] == "1.25, after epoch 2"
    assert facts["of these in the 50 % interval"] == f"{100 * (0.75**1.2 - 0.25**1.2):.1f} %"


def test_the_numbers_are_written_for_machines(tmp_path: Path) -> None:
    curves = {"forecaster": np.array([1.0, NAN])}
    write(tmp_path, evaluation(rmse_P=curves, steps=2))
    found = orjson.loads((tmp_path / "evaluation.json").read_bytes())
    assert found["metrics"] == METRICS and found["values"] == 24
    assert found["rmse_by_step"] == {"forecaster": [1.0, None]}
    assert found["calibration"]["levels"] == list(LEVELS)
    assert found["calibration"]["below"] == pytest.approx([level**1.2 for level in LEVELS])
    assert list(found["coverage"]) == ["0.9", "0.8", "0.5"]
    assert found["loss"] == {"train": [1.5, 0.9, 0.75, 0.8], "validation": [None, 1.25, None, 1.5]}


def test_without_an_evaluation_the_loss_and_the_facts_are_shown(tmp_path: Path) -> None:
    text = write(tmp_path, None)
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "evaluation.json", "report.html"}
    assert Cells(text).found[1:3] == ["epochs", "4"] and "Errors" not in text
    assert orjson.loads((tmp_path / "evaluation.json").read_bytes()).keys() == {"loss"}


def test_a_training_of_no_epoch_and_a_test_of_no_value_have_no_picture(tmp_path: Path) -> None:
    nothing = evaluation(
        metrics={},
        rmse_P={name: np.full(4, NAN) for name in NAMES},
        below_Q=np.full(len(LEVELS), NAN),
        values=0,
        examples=(),
    )
    text = write(tmp_path, nothing, [])
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "report.html"}
    Cells(text)
    write(tmp_path / "nan", None, [(NAN, None), (math.inf, NAN)])
    assert not (tmp_path / "nan" / "loss.png").exists()


@pytest.mark.parametrize("frequency", ["1min", "15min", "H", "12H", "D", "W", "M", "12M"])
@pytest.mark.parametrize("start", ["2023-12-30 22:00:00", "0001-01-01 00:00:00", "9998-01-01 00:00:00"])
def test_time_stamps_of_any_frequency_are_drawn(frequency: str, start: str) -> None:
    assert colours(figures.forecasts([example(frequency=frequency, start=start)])) > 10


@pytest.mark.parametrize("days", [7, 8, 12, 20, 24])
def test_days_are_marked_at_even_distances_over_the_end_of_a_month(days: int) -> None:
    axis = Figure().subplots()
    axis.plot([19800, 19800 + days], [0, 0])  # From 18 March 2024.
    figures._dates(axis, days)
    ticks = axis.get_xticks()
    assert 3 <= len(ticks) <= 7 and len(set(np.diff(ticks))) == 1


@pytest.mark.parametrize(("history", "steps", "count"), [(1, 1, 1), (3, 1, 2), (0, 1, 3), (0, 2, 1), (500, 200, 5)])
def test_any_number_of_steps_and_examples_is_drawn(history: int, steps: int, count: int) -> None:
    assert colours(figures.forecasts([example(history, steps)] * count)) > 10
    curves = {name: np.arange(steps) + 1.0 for name in NAMES}
    assert colours(figures.horizon(curves, dict.fromkeys(NAMES, 1.0))) > 10


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e9, 1e37])
def test_values_of_any_size_are_drawn(scale: float) -> None:
    assert colours(figures.forecasts([example(scale=scale)])) > 10
    assert colours(figures.horizon({"a": np.full(4, scale), "b": np.zeros(4)}, {"a": scale, "b": 0.0})) > 10
    assert colours(figures.loss([(scale, -scale)] * 3)) > 10


def test_missing_values_are_drawn_as_gaps() -> None:
    whole, gaps = example(), example()
    gaps.history_H[2::3] = NAN
    gaps.actual_P[:] = NAN
    gaps.quantiles_QP[:, 1] = NAN
    assert figures.forecasts([gaps]) != figures.forecasts([whole])
    for nothing in (math.inf, NAN):
        gaps.history_H[:], gaps.quantiles_QP[:] = NAN, nothing
        figures.forecasts([gaps])
    assert colours(figures.horizon({"a": np.array([NAN, 1, NAN]), "b": np.full(3, NAN)}, {"a": 1.0, "b": NAN})) > 10
    assert colours(figures.calibration(np.full(len(LEVELS), NAN))) > 10


def test_what_is_observed_between_gaps_is_a_dot() -> None:
    values = np.array([1, NAN, 2, NAN, NAN, 3, 4, NAN, 5])
    assert np.flatnonzero(figures._alone(values)).tolist() == [0, 2, 8]


def test_the_caption_counts_what_is_within_the_wide_band() -> None:
    one = example()
    one.actual_P[:] = [0.5, NAN, 9, 0]
    one.mean_P[:] = [0.5, 3, 5, 3]
    one.quantiles_QP[0], one.quantiles_QP[-1] = -1, 1
    assert figures._caption(one, dated=True) == f"2024-02-28 12:00: RMSE {math.sqrt(25 / 3):.3g}, 2 of 3 within 90 %"
    one.actual_P[:] = NAN
    assert figures._caption(one, dated=False) == "nothing observed"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.012345, "0.0123"), (4.5678, "4.57"), (192834.4, "192,834"), (1.2e9, "1.2e+09"), (0.0, "0"), (NAN, "nan")],
)
def test_numbers_are_short(value: float, expected: str) -> None:
    assert figures.in_words(value) == expected


def test_serving_a_forecaster_does_not_read_matplotlib() -> None:
    code = "import sys, polyadic.reports.forecast; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
