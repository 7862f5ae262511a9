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
from polyadic.forecasting.windows import Series
from polyadic.jobs.job import Job

if TYPE_CHECKING:
    from polyadic.forecasting.network import Forecasts

Forecast = Callable[[list[Series], int], "Forecasts"]
"""Series and a number of sample paths -> the mean and paths of what follows each."""
Linear = Callable[[list[Series]], NDArray[np.float32]]
"""Series -> what follows each, B x P."""
AT_ONCE = 64


def score(
    job: Job[Any], forecast: Forecast, season: int, series: Sequence[Series], linear: Linear | None = None
) -> Evaluation:
    """Forecasts the withheld end of this rank's series and prints the errors, seasonal naive's beside them.

    linear: another forecast to measure it by. The metrics are of all ranks' series; one that is not defined, such as a
    loss relative to zeros, is left out.
    """
    settings, horizon = job.hyperparameters, job.hyperparameters.prediction_length
    began, levels = time.perf_counter(), settings.test_quantiles
    ours = naive = Accuracy.nothing(len(levels))
    tally, examples = Tally.nothing(2 + (linear is not None), horizon), list[Example]()
    shown, needed = spread(series, horizon), horizon + history_shown(settings.context_length, horizon)
    for first in range(0, len(series), AT_ONCE):
        # Of a long series no more than its end is held.
        part = [
            (one.end(needed), seasonal_naive(one.target[:-horizon], season, horizon))
            for one in series[first : first + AT_ONCE]
        ]
        ends, repeated = [end for end, _ in part], np.stack([again for _, again in part])
        history = [replace(end, target=end.target[:-horizon]) for end in ends]
        actual = np.stack([end.target[-horizon:] for end in ends])
        found = forecast(history, settings.num_eval_samples)
        quantiles, ladder = np.split(np.quantile(found.samples_BSP, [*levels, *LEVELS], axis=1), [len(levels)])
        ours += Accuracy.of(actual, found.mean_BP, quantiles, levels)
        naive += Accuracy.of(actual, repeated, np.stack([repeated] * len(levels)), levels)
        others = [repeated] if linear is None else [repeated, linear(history)]
        tally += Tally.of(actual, [found.mean_BP, *others], ladder)
        examples += [
            Example.of(ends[at], settings.context_length, found.mean_BP[at], ladder[:, at])
            for at in (number - first for number in shown)
            if 0 <= at < len(ends)
        ]
    job.note(f"forecaster: {len(series)} test series in {time.perf_counter() - began:.1f} s on rank 0")
    tally = tally.over(job.world)
    return tally.evaluation(_report(job, levels, ours, naive, tally.rmse), examples)


def _report(
    job: Job[Any], levels: list[float], ours: Accuracy, naive: Accuracy, rmse: Mapping[str, float]
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
