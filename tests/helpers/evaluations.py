"""What a forecaster's report is made from: examples of forecasts, and the evaluation of a test channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.evaluation import FORECASTS, LEVELS, SHOWN, Evaluation, Example

HISTORY = [(1.5, None), (0.9, 1.25), (0.75, math.nan), (0.8, 1.5)]
"""The losses of four epochs."""
METRICS = {
    "test:RMSE": 1.5,
    "test:mean_wQuantileLoss": 0.125,
    "test:seasonal_naive_RMSE": 2.0,
    "test:seasonal_naive_mean_wQuantileLoss": 0.25,
    "test:linear_autoregression_RMSE": 1.75,
}


def example_of(
    history: int = 12, steps: int = 4, frequency: str = "H", start: str = "2024-02-28 00:00:00", scale: float = 1.0
) -> Example:
    """A sine wave whose forecast is exact, with quantiles from `scale` below it to `scale` above it."""
    values = scale * np.sin(np.arange(history + steps, dtype=np.float32))
    spread = scale * np.linspace(-1, 1, len(SHOWN))[:, None]
    actual = values[history:]
    return Example(
        minutes=Frequency.parse(frequency).minutes(parse_start(start), history + steps),
        history_H=values[:history],
        actual_P=actual,
        mean_P=actual.copy(),
        quantiles_QP=actual + spread,
    )


def evaluation_of(steps: int = 4, **changes: Any) -> Evaluation:
    """An evaluation of 24 values: the errors of three forecasts, and shares below the quantiles that are too low."""
    curves = {name: number + 1 + np.arange(steps) / 10 for number, name in enumerate(FORECASTS)}
    whole = {"metrics": METRICS, "rmse_P": curves, "below_Q": np.array(LEVELS) ** 1.2, "values": 24}
    return Evaluation(**{**whole, "examples": (example_of(steps=steps),) * 6, **changes})
