"""A report of a forecaster: forecasts against the actual values, errors, losses, and a page with all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson

from polyadic.forecasting.evaluation import LEVELS, Evaluation, coverage
from polyadic.reports import forecast_figures as figures
from polyadic.reports.page import Picture, document, figure, table, write_page

History: TypeAlias = Sequence[tuple[float, float | None]]
"""The loss in training and in validation after each epoch; None where nothing was validated on."""


def write_report(
    folder: Path, name: str, hyperparameters: Mapping[str, object], evaluation: Evaluation | None, history: History
) -> None:
    """Writes evaluation.json, the pictures as .png, and last of all report.html with the pictures in it.

    name: that of the algorithm. Without an evaluation only the loss is shown; what is not known is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = orjson.dumps(describe(evaluation, history), option=orjson.OPT_INDENT_2)
    (folder / "evaluation.json").write_bytes(numbers + b"\n")
    pictures = draw(name, evaluation, history)
    for file_name, picture in pictures.items():
        (folder / file_name).write_bytes(picture.png)
    write_page(folder, page(name, hyperparameters, evaluation, history, pictures))


def describe(evaluation: Evaluation | None, history: History) -> dict[str, Any]:
    """The numbers behind the pictures; NaN where something is not known, which JSON writes as null."""
    losses = {"train": [train for train, _ in history], "validation": [validation for _, validation in history]}
    if evaluation is None:
        return {"loss": losses}
    return {
        "loss": losses,
        "metrics": dict(evaluation.metrics),
        "values": evaluation.values,
        "rmse_by_step": {forecast: rmse_P.tolist() for forecast, rmse_P in evaluation.rmse_P.items()},
        "calibration": {"levels": list(LEVELS), "below": evaluation.below_Q.tolist()},
        "coverage": {f"{interval:g}": share for interval, share in coverage(evaluation.below_Q).items()},
    }


def draw(name: str, evaluation: Evaluation | None, history: History) -> dict[str, Picture]:
    """The pictures by their file names: forecasts.png, horizon.png, calibration.png, loss.png, as far as known."""
    pictures = {}
    if evaluation is not None and evaluation.examples:
        caption = "Some test series: actual values, median forecast, and the intervals that hold half and nine tenths"
        pictures["forecasts.png"] = Picture(caption, figures.forecasts(evaluation.examples))
    if evaluation is not None and evaluation.values:
        rmse_by_step = {_label(name, forecast): rmse_P for forecast, rmse_P in evaluation.rmse_P.items()}
        overall = {_label(name, forecast): _score(evaluation, forecast, "RMSE") for forecast in evaluation.rmse_P}
        caption = "The root of the mean squared error at each step"
        pictures["horizon.png"] = Picture(caption, figures.horizon(rmse_by_step, overall))
        caption = f"How often {evaluation.values:,} actual values lie below a quantile forecast, and inside an interval"
        pictures["calibration.png"] = Picture(caption, figures.calibration(evaluation.below_Q))
    if any(loss is not None and math.isfinite(loss) for epoch in history for loss in epoch):
        pictures["loss.png"] = Picture("The loss after each epoch", figures.loss(history))
    return pictures


def page(
    name: str,
    hyperparameters: Mapping[str, object],
    evaluation: Evaluation | None,
    history: History,
    pictures: Mapping[str, Picture],
) -> str:
    """An HTML page that needs no other file and no network; pictures by their file names."""
    steps, frequency = hyperparameters.get("prediction_length"), hyperparameters.get("time_freq")
    title = f"{name}: {steps} steps ahead ({frequency})" if steps and frequency else name
    columns = ("forecast", "RMSE", "relative to seasonal naive", "mean wQuantileLoss")
    parts = [
        table("Errors on channel test", errors(name, evaluation), columns) if evaluation is not None else "",
        *(figure(file_name, *picture) for file_name, picture in pictures.items()),
        table("The training and the test", summarise(evaluation, history).items()),
        table("Hyperparameters", hyperparameters.items()),
    ]
    return document(title, parts)


def errors(name: str, evaluation: Evaluation) -> list[tuple[str, ...]]:
    """One row per forecast: its name, RMSE, RMSE over that of seasonal naive, mean weighted quantile loss."""
    naive = _score(evaluation, "seasonal_naive", "RMSE")
    rows = []
    for forecast in evaluation.rmse_P if evaluation.values else ():
        rmse, loss = _score(evaluation, forecast, "RMSE"), _score(evaluation, forecast, "mean_wQuantileLoss")
        ratio = rmse / naive if naive else math.nan
        rows.append((_label(name, forecast), *map(_number, (rmse, ratio, loss))))
    return rows


def summarise(evaluation: Evaluation | None, history: History) -> dict[str, str]:
    """The figures of the training and the test by their names, in words."""
    summary = {}
    losses_2E = np.array(history, dtype=np.float64).reshape(-1, 2).T  # None becomes NaN.
    if len(history):
        summary["epochs"] = f"{len(history):,}"
    for purpose, losses in zip(("training", "validation"), losses_2E, strict=True):
        if np.isfinite(losses).any():
            lowest = int(np.nanargmin(losses))
            summary[f"lowest loss in {purpose}"] = f"{losses[lowest]:.6g}, after epoch {lowest + 1:,}"
    if evaluation is not None:
        summary["test values observed"] = f"{evaluation.values:,}"
        for interval, share in coverage(evaluation.below_Q).items():
            if math.isfinite(share):
                summary[f"of these in the {100 * interval:.0f} % interval"] = f"{100 * share:.1f} %"
    return summary


def _label(name: str, forecast: str) -> str:
    return name if forecast == "forecaster" else forecast.replace("_", " ")


def _score(evaluation: Evaluation, forecast: str, measure: str) -> float:
    """One of the metrics; NaN where it is not defined."""
    key = f"test:{measure}" if forecast == "forecaster" else f"test:{forecast}_{measure}"
    return evaluation.metrics.get(key, math.nan)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"
