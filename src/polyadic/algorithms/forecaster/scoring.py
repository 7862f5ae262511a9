"""The score of forecasts on a test channel, in DeepAR's lines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.forecasting.accuracy import Accuracy, seasonal_naive
from polyadic.forecasting.evaluation import LEVELS, Evaluation, Example, Tally, history_shown, spread
from polyadic.forecasting.series import Series
from polyadic.jobs.job import Job

if TYPE_CHECKING:
    from polyadic.forecasting.network import Forecasts

Forecast = Callable[[list[Series], int], "Forecasts"]
"""B series and a number S of sample paths -> what follows each: the mean (B x P) and the paths (B x S x P)."""
Linear = Callable[[list[Series]], NDArray[np.float32]]
"""B series -> what follows each (B x P)."""
BATCH_SERIES = 64


def score(
    job: Job[Any], forecast: Forecast, season: int, series: Sequence[Series], linear: Linear | None = None
) -> Evaluation:
    """Forecasts the withheld ends of this rank's series; prints the errors beside those of a seasonal naive forecast.

    season: the steps that the naive forecast repeats. linear: one more forecast to compare with. The metrics are those
    of the series of all ranks; a metric that is not defined, such as a loss relative to zeros, is left out.
    """
    settings, horizon = job.hyperparameters, job.hyperparameters.prediction_length
    began, levels = time.perf_counter(), settings.test_quantiles
    ours = naive = Accuracy.nothing(len(levels))
    tally, examples = Tally.nothing(2 + (linear is not None), horizon), list[Example]()
    shown, needed = spread(series, horizon), horizon + history_shown(settings.context_length, horizon)
    for first in range(0, len(series), BATCH_SERIES):
        # Only the end of a long series is held in memory.
        part = [
            (member.end(needed), seasonal_naive(member.target[:-horizon], season, horizon))
            for member in series[first : first + BATCH_SERIES]
        ]
        ends, naive_BP = [end for end, _ in part], np.stack([repeated for _, repeated in part])
        history = [replace(end, target=end.target[:-horizon]) for end in ends]
        actual_BP = np.stack([end.target[-horizon:] for end in ends])
        forecasts = forecast(history, settings.num_eval_samples)
        both = np.quantile(forecasts.samples_BSP, [*levels, *LEVELS], axis=1)
        quantiles, ladder = np.split(both, [len(levels)])
        ours += Accuracy.of(actual_BP, forecasts.mean_BP, quantiles, levels)
        naive += Accuracy.of(actual_BP, naive_BP, np.stack([naive_BP] * len(levels)), levels)
        others = [naive_BP] if linear is None else [naive_BP, linear(history)]
        tally += Tally.of(actual_BP, [forecasts.mean_BP, *others], ladder)
        examples += [
            Example.of(ends[row], settings.context_length, forecasts.mean_BP[row], ladder[:, row])
            for row in (number - first for number in shown)
            if 0 <= row < len(ends)
        ]
    job.note(f"forecaster: {len(series)} test series in {time.perf_counter() - began:.1f} s on rank 0")
    tally = tally.over(job.world)
    return tally.evaluation(_print_scores(job, levels, ours, naive, tally.rmse), examples)


def _print_scores(
    job: Job[Any], levels: Sequence[float], ours: Accuracy, naive: Accuracy, rmse: Mapping[str, float]
) -> dict[str, float]:
    sums = torch.tensor(np.stack([ours.vector(), naive.vector()]), device=job.world.device)
    ours, naive = (Accuracy.from_vector(row) for row in job.world.sum_(sums).cpu().numpy())
    scores = {
        "RMSE": ours.rmse,
        "mean_wQuantileLoss": float(ours.weighted_quantile_losses.mean()),
        "seasonal_naive_RMSE": naive.rmse,
        "seasonal_naive_mean_wQuantileLoss": float(naive.weighted_quantile_losses.mean()),
    }
    if "linear_autoregression" in rmse:
        scores["linear_autoregression_RMSE"] = rmse["linear_autoregression"]
    for level, loss in zip(levels, ours.weighted_quantile_losses, strict=True):
        job.line(f"#test_score ({job.host}, wQuantileLoss[{level:g}]): {loss:.10g}")
    defined = {name: value for name, value in scores.items() if math.isfinite(value)}
    for name, value in defined.items():
        job.line(f"#test_score ({job.host}, {name}): {value:.10g}")
        job.metric(f"test {name}", value)
    return {f"test:{name}": value for name, value in defined.items()}
