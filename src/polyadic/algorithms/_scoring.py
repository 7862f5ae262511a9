"""The score of forecasts on a test channel, in DeepAR's lines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.algorithms._job import Job
from polyadic.forecasting.accuracy import Accuracy, seasonal_naive
from polyadic.forecasting.windows import Series

Forecast = Callable[[list[Series], int], NDArray[np.float32]]
"""Series and a number of sample paths -> paths of what follows: B x S x P."""


def score(job: Job[Any], forecast: Forecast, season: int, series: list[Series]) -> dict[str, float]:
    """Forecasts the withheld end of this rank's series and prints the errors, seasonal naive's beside them.

    The metrics of all ranks' series; one that is not defined, such as a loss relative to zeros, is left out.
    """
    settings, horizon = job.hyperparameters, job.hyperparameters.prediction_length
    began, levels = time.perf_counter(), settings.test_quantiles
    history = [replace(one, target=one.target[:-horizon]) for one in series]
    ours = naive = Accuracy.nothing(len(levels))
    for first in range(0, len(series), 64):
        part = slice(first, first + 64)
        actual = np.stack([one.target[-horizon:] for one in series[part]])
        drawn = forecast(history[part], settings.num_eval_samples)
        ours += Accuracy.of(actual, drawn.mean(1), np.quantile(drawn, levels, axis=1), levels)
        repeated = np.stack([seasonal_naive(one.target, season, horizon) for one in history[part]])
        naive += Accuracy.of(actual, repeated, np.stack([repeated] * len(levels)), levels)
    job.note(f"forecaster: {len(series)} test series in {time.perf_counter() - began:.1f} s on rank 0")
    return _report(job, levels, ours, naive)


def _report(job: Job[Any], levels: list[float], ours: Accuracy, naive: Accuracy) -> dict[str, float]:
    sums = torch.tensor(np.stack([ours.vector(), naive.vector()]), device=job.world.device)
    ours, naive = (Accuracy.from_vector(row) for row in job.world.sum_(sums).cpu().numpy())
    scores = {
        "RMSE": ours.rmse,
        "mean_wQuantileLoss": float(ours.weighted_quantile_losses.mean()),
        "seasonal_naive_RMSE": naive.rmse,
        "seasonal_naive_mean_wQuantileLoss": float(naive.weighted_quantile_losses.mean()),
    }
    for level, loss in zip(levels, ours.weighted_quantile_losses, strict=True):
        job.line(f"#test_score ({job.host}, wQuantileLoss[{level:g}]): {loss:.10g}")
    defined = {name: value for name, value in scores.items() if math.isfinite(value)}
    for name, value in defined.items():
        job.line(f"#test_score ({job.host}, {name}): {value:.10g}")
        job.metric(f"test {name}", value)
    return {f"test:{name}": value for name, value in defined.items()}
