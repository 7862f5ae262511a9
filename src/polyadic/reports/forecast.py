"""What a forecaster shows of itself: forecasts against what came, errors, losses, and one page of it all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from polyadic.forecasting.evaluation import LEVELS, Evaluation, coverage
from polyadic.reports import forecast_figures as figures
from polyadic.reports.page import document, figure, table, write_page

History = Sequence[tuple[float, float | None]]
"""The loss in training and in validation after each epoch."""


def write_report(
    folder: Path, name: str, hyperparameters: Mapping[str, object], evaluation: Evaluation | None, history: History
) -> None:
    """Writes evaluation.json, the pictures as .png, and report.html with the pictures in it, that one last.

    name: of the algorithm. Without an evaluation there is only the loss to show; what is not known is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = orjson.dumps(describe(evaluation, history), option=orjson.OPT_INDENT_2)
    (folder / "evaluation.json").write_bytes(numbers + b"\n")
    pictures = draw(name, evaluation, history)
    for file, (_, picture) in pictures.items():
        (folder / file).write_bytes(picture)
    write_page(folder, page(name, hyperparameters, evaluation, history, pictures))


def describe(evaluation: Evaluation | None, history: History) -> dict[str, Any]:
    """The numbers behind the pictures; NaN where something is not known, null in JSON."""
    losses = {"loss": {"train": [one for one, _ in history], "validation": [one for _, one in history]}}
    if evaluation is None:
        return losses
    return losses | {
        "metrics": dict(evaluation.metrics),
        "values": evaluation.values,
        "rmse_by_step": {forecast: values.tolist() for forecast, values in evaluation.rmse_P.items()},
        "calibration": {"levels": list(LEVELS), "below": evaluation.below_Q.tolist()},
        "coverage": {f"{one:g}": share for one, share in coverage(evaluation.below_Q).items()},
    }


def draw(name: str, evaluation: Evaluation | None, history: History) -> dict[str, tuple[str, bytes]]:
    """The pictures by their file names, each with what it shows."""
    drawn = {}
    if evaluation is not None and evaluation.examples:
        about = "Some test series: what came, the median forecast, and the intervals that hold half and nine tenths"
        drawn["forecasts.png"] = about, figures.forecasts(evaluation.examples)
    if evaluation is not None and evaluation.values:
        by_step = {_label(name, one): values for one, values in evaluation.rmse_P.items()}
        overall = {_label(name, one): _score(evaluation, one, "RMSE") for one in evaluation.rmse_P}
        drawn["horizon.png"] = "The root of the mean squared error at each step", figures.horizon(by_step, overall)
        about = f"How often {evaluation.values:,} actual values lie below a quantile forecast, and inside an interval"
        drawn["calibration.png"] = about, figures.calibration(evaluation.below_Q)
    if any(loss is not None and math.isfinite(loss) for epoch in history for loss in epoch):
        drawn["loss.png"] = "The loss after each epoch", figures.loss(history)
    return drawn


def page(
    name: str,
    hyperparameters: Mapping[str, object],
    evaluation: Evaluation | None,
    history: History,
    pictures: Mapping[str, tuple[str, bytes]],
) -> str:
    """One HTML page that needs no other file and no network."""
    steps, frequency = (hyperparameters.get(one) for one in ("prediction_length", "time_freq"))
    title = f"{name}: {steps} steps ahead ({frequency})" if steps and frequency else name
    columns = ("forecast", "RMSE", "relative to seasonal naive", "mean wQuantileLoss")
    parts = [
        table("Errors on channel test", errors(name, evaluation), columns) if evaluation is not None else "",
        *(figure(file, about, picture) for file, (about, picture) in pictures.items()),
        table("The training and the test", facts(evaluation, history).items()),
        table("Hyperparameters", hyperparameters.items()),
    ]
    return document(title, parts)


def errors(name: str, evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A row a forecast: its name, RMSE, that over seasonal naive's, and mean weighted quantile loss."""
    naive = _score(evaluation, "seasonal_naive", "RMSE")
    rows = []
    for forecast in evaluation.rmse_P if evaluation.values else ():
        rmse, loss = (_score(evaluation, forecast, one) for one in ("RMSE", "mean_wQuantileLoss"))
        ratio = rmse / naive if naive else math.nan
        rows.append((_label(name, forecast), *map(_number, (rmse, ratio, loss))))
    return rows


def facts(evaluation: Evaluation | None, history: History) -> dict[str, str]:
    """What is known of the training and the test, in words."""
    found = {}
    train, validation = np.array(history, dtype=np.float64).reshape(-1, 2).T
    if len(history):
        found["epochs"] = f"{len(history):,}"
    for what, losses in (("training", train), ("validation", validation)):
        if np.isfinite(losses).any():
            at = int(np.nanargmin(losses))
            found[f"lowest loss in {what}"] = f"{losses[at]:.6g}, after epoch {at + 1:,}"
    if evaluation is not None:
        found["test values observed"] = f"{evaluation.values:,}"
        for one, share in coverage(evaluation.below_Q).items():
            if math.isfinite(share):
                found[f"of these in the {100 * one:.0f} % interval"] = f"{100 * share:.1f} %"
    return found


def _label(name: str, forecast: str) -> str:
    return name if forecast == "forecaster" else forecast.replace("_", " ")


def _score(evaluation: Evaluation, forecast: str, measure: str) -> float:
    """One of the metrics; NaN where it is not defined."""
    key = f"test:{measure}" if forecast == "forecaster" else f"test:{forecast}_{measure}"
    return evaluation.metrics.get(key, math.nan)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"
