"""The training of a forecaster, from the channels of a job to a model."""

from __future__ import annotations

import math

from polyadic.algorithms.forecaster.covariates import refuse_unfit
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.linear import LinearForecast
from polyadic.algorithms.forecaster.model import Model
from polyadic.algorithms.forecaster.scoring import score
from polyadic.algorithms.forecaster.start import prepare
from polyadic.forecasting import linear_autoregression
from polyadic.forecasting.draws import Draws
from polyadic.forecasting.store import SeriesStore
from polyadic.jobs import epochs
from polyadic.jobs.job import Job
from polyadic.networks.training import Training
from polyadic.readers.series.channel import read_test


def fit(job: Job[Hyperparameters]) -> Model:
    """Trains on channel `train`, keeps the weights, and scores channel `test` where there is one.

    Raises UserError for data and settings that do not fit together.
    """
    model, training, cursor = prepare(job)
    # The test channel is read before the training: a fault in it must not come to light after hours.
    test = _read_test(job, model) if "test" in job.channels else None
    _describe(job, model, training)
    finished = epochs.run(job, training, cursor, "windows")
    model.network.eval()
    model.history = [(loss, None if math.isnan(validation) else validation) for loss, validation in cursor.history]
    if math.isfinite(cursor.final_loss):
        model.metrics["train:final_loss"] = cursor.final_loss
        job.metric("train final_loss", cursor.final_loss)
    if test is not None and (finished or job.dry_run):
        _score(job, model, training, test[:1] if job.dry_run else test)
    return model


def _read_test(job: Job[Hyperparameters], model: Model) -> SeriesStore | None:
    test = read_test(job, model.frequency, model.likelihood, model.settings.prediction_length)
    if test is None:
        return None
    refuse_unfit(model.covariates, test, "test")
    return test


def _describe(job: Job[Hyperparameters], model: Model, training: Training[Draws]) -> None:
    settings, count = model.settings, sum(weight.numel() for weight in model.network.parameters())
    job.note(
        f"forecaster: {settings.cell}, {count:,} parameters, {training.batches.windows:,} windows, "
        f"{training.steps} steps of {settings.mini_batch_size} an epoch, {job.world}"
    )
    if settings.precision == "bf16" and job.world.device.type == "cpu":
        job.note("warning: precision is bf16, but a CPU computes in float32")


def _score(job: Job[Hyperparameters], model: Model, training: Training[Draws], test: SeriesStore) -> None:
    """Scores the model, and a linear autoregression beside it, on the test series of this rank."""
    fitted = linear_autoregression.fit(training.batches.share, job.world, job.channels["train"].divided)
    linear = LinearForecast(model=model, fitted=fitted)
    model.evaluation = score(job, model.forecast, model.frequency.season, test, linear)
    model.metrics |= model.evaluation.metrics
