"""The report of a forecaster: its files, its page, and that what is not known is left out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from polyadic.forecasting.evaluation import FORECASTS, LEVELS, Evaluation
from polyadic.reports import forecast as report
from tests.helpers.evaluations import HISTORY, METRICS, evaluation_of
from tests.helpers.pages import Page, colours_of, size_of

NAN = math.nan


def write(folder: Path, evaluation: Evaluation | None, history: Any = HISTORY, **hyperparameters: Any) -> Page:
    settings = {"time_freq": "H", "prediction_length": 4, **hyperparameters}
    report.write_report(folder, "forecaster", settings, evaluation, history)
    return Page((folder / "report.html").read_text())


def test_pictures_numbers_and_one_page_are_written(tmp_path: Path) -> None:
    page = write(tmp_path / "data", evaluation_of())
    pictures = ["forecasts.png", "horizon.png", "calibration.png", "loss.png"]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {*pictures, "evaluation.json", "report.html"}
    assert list(page.pictures.values()) == [(tmp_path / "data" / name).read_bytes() for name in pictures]
    for picture in page.pictures.values():
        assert size_of(picture)[0] == 1200 and colours_of(picture) > 10
    assert page.stands_alone


def test_the_page_states_errors_and_what_was_measured(tmp_path: Path) -> None:
    cells = write(tmp_path, evaluation_of(examples=()), cell="<b>").cells
    assert cells[0] == "forecaster: 4 steps ahead (H)"
    assert cells[1:17] == [
        *("forecast", "RMSE", "relative to seasonal naive", "mean wQuantileLoss"),
        *("forecaster", "1.5", "0.75", "0.125"),
        *("seasonal naive", "2", "1", "0.25"),
        *("linear autoregression", "1.75", "0.875", "–"),
    ]
    assert dict(zip(cells[17::2], cells[18::2], strict=True)) == {
        "epochs": "4",
        "lowest loss in training": "0.75, after epoch 3",
        "lowest loss in validation": "1.25, after epoch 2",
        "test values observed": "24",
        "of these in the 90 % interval": f"{100 * (0.95**1.2 - 0.05**1.2):.1f} %",
        "of these in the 80 % interval": f"{100 * (0.9**1.2 - 0.1**1.2):.1f} %",
        "of these in the 50 % interval": f"{100 * (0.75**1.2 - 0.25**1.2):.1f} %",
        "time_freq": "H",
        "prediction_length": "4",
        "cell": "<b>",
    }


def test_the_numbers_are_written_for_machines(tmp_path: Path) -> None:
    curves = {"forecaster": np.array([1.0, NAN])}
    write(tmp_path, evaluation_of(rmse_P=curves, steps=2, examples=()))
    numbers = orjson.loads((tmp_path / "evaluation.json").read_bytes())
    assert numbers["metrics"] == METRICS and numbers["values"] == 24
    assert numbers["rmse_by_step"] == {"forecaster": [1.0, None]}
    assert numbers["calibration"]["levels"] == list(LEVELS)
    assert numbers["calibration"]["below"] == pytest.approx([level**1.2 for level in LEVELS])
    assert list(numbers["coverage"]) == ["0.9", "0.8", "0.5"]
    assert numbers["coverage"]["0.5"] == pytest.approx(0.75**1.2 - 0.25**1.2)
    assert numbers["loss"] == {"train": [1.5, 0.9, 0.75, 0.8], "validation": [None, 1.25, None, 1.5]}


def test_without_an_evaluation_the_loss_is_shown(tmp_path: Path) -> None:
    page = write(tmp_path, None)
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "evaluation.json", "report.html"}
    assert page.cells[1:3] == ["epochs", "4"] and "relative to seasonal naive" not in page.cells
    assert orjson.loads((tmp_path / "evaluation.json").read_bytes()).keys() == {"loss"}


def test_a_training_of_no_epoch_and_a_test_of_no_value_have_no_picture(tmp_path: Path) -> None:
    nothing = evaluation_of(
        metrics={},
        rmse_P={name: np.full(4, NAN) for name in FORECASTS},
        below_Q=np.full(len(LEVELS), NAN),
        values=0,
        examples=(),
    )
    page = write(tmp_path, nothing, [])
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "report.html"}
    assert page.pictures == {} and page.cells[1:3] == ["test values observed", "0"]


def test_losses_that_are_not_finite_have_no_picture(tmp_path: Path) -> None:
    page = write(tmp_path, None, [(NAN, None), (math.inf, NAN)])
    assert page.pictures == {} and page.cells[1:5] == ["epochs", "2", "time_freq", "H"]


def test_an_error_of_zero_of_seasonal_naive_gives_no_ratio() -> None:
    evaluation = evaluation_of(metrics={**METRICS, "test:seasonal_naive_RMSE": 0.0}, examples=())
    assert [row[2] for row in report.errors("forecaster", evaluation)] == ["–", "–", "–"]
