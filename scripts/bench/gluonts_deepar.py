"""GluonTS's DeepAR (torch, Lightning) at the sizes of a forecaster of ours, as its makers have it, and silent.

Its own settings are kept: lags of up to a month and features of the time stamps as inputs, Adam with a rate that falls
on a plateau, the best epoch's weights. The transformed series are cached, which more than halves an epoch.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import pandas as pd
import torch
from gluonts.torch import DeepAREstimator
from gluonts.torch.model.predictor import PyTorchPredictor
from numpy.typing import NDArray

from polyadic.algorithms.forecaster import Hyperparameters
from polyadic.forecasting.series import Series

BATCH_SERIES = 32
"""Series that it forecasts in one batch: its default, and the fastest of 16, 32, 64, 128 and 500."""


def train(settings: Hyperparameters, series: list[Series], steps: int) -> tuple[PyTorchPredictor, float]:
    """A predictor, and the median seconds of its epochs but the first, each of `steps` batches; saving left out."""
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed)  # What its sampler draws from.
    clock = _Clock()
    with tempfile.TemporaryDirectory() as scratch, _silence():
        trainer = {"max_epochs": settings.epochs, "callbacks": [clock], "default_root_dir": scratch, "logger": False}
        trainer |= {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
        estimator = _estimator(settings, num_batches_per_epoch=steps, trainer_kwargs=trainer)
        predictor = estimator.train(_entries(series), cache_data=True)
    predictor.batch_size = BATCH_SERIES
    return predictor, statistics.median(clock.seconds[1:] or clock.seconds)


def untrained(settings: Hyperparameters) -> PyTorchPredictor:
    """A predictor with weights as they are drawn."""
    estimator = _estimator(settings)
    predictor = estimator.create_predictor(estimator.create_transformation(), estimator.create_lightning_module())
    predictor.batch_size = BATCH_SERIES
    return predictor


def forecast(predictor: PyTorchPredictor, series: list[Series], paths: int) -> NDArray[np.float32]:
    """Sample paths of what follows each series: B x S x P."""
    with _silence():
        return np.stack([drawn.samples for drawn in predictor.predict(_entries(series), num_samples=paths)])


def parameters(predictor: PyTorchPredictor) -> int:
    """How many weights its network has."""
    return sum(weight.numel() for weight in predictor.network.parameters())


class _Clock(lightning.Callback):
    """Seconds of each epoch, from its start to its end."""

    def __init__(self) -> None:
        self.began, self.seconds = 0.0, list[float]()

    def on_train_epoch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def _estimator(settings: Hyperparameters, **more: Any) -> DeepAREstimator:
    """Of the same sizes; its likelihood is Student's t by default."""
    return DeepAREstimator(
        freq="h",
        prediction_length=settings.prediction_length,
        context_length=settings.context_length,
        num_layers=settings.num_layers,
        hidden_size=settings.num_cells,
        lr=settings.learning_rate,
        dropout_rate=settings.dropout_rate,
        batch_size=settings.mini_batch_size,
        **more,
    )


def _entries(series: list[Series]) -> list[dict[str, Any]]:
    starts = [pd.Period(np.datetime64(int(each.minutes[0]), "m"), freq="h") for each in series]
    return [{"start": start, "target": each.target} for start, each in zip(starts, series, strict=True)]


@contextmanager
def _silence() -> Iterator[None]:
    """Silences Lightning's advice, and torch's warnings of a deprecated index, one line per batch."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
