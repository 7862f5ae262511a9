"""forecaster: a sequence-to-sequence forecaster over tensor-train LSTM cells, with DeepAR's jobs and requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyadic.algorithms.forecaster.covariates import refuse_unfit
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.model import NAME, Model, load
from polyadic.algorithms.forecaster.scoring import score
from polyadic.algorithms.forecaster.start import prepare
from polyadic.forecasting import linear_autoregression
from polyadic.forecasting.linear_autoregression import LinearAutoregression
from polyadic.forecasting.training import Cursor, Epoch, Training
from polyadic.forecasting.windows import Series
from polyadic.jobs.earlier_model import channel_spec
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.job import Job
from polyadic.jobs.metrics import Metric
from polyadic.jobs.checkpoints import Snapshot
from polyadic.readers.series.channel import read_test




def fit(job: Job[Hyperparameters]) -> Model:
    """Trains on channel `train`, keeps the weights, and scores channel `test` where there is one."""
    model, training, cursor = prepare(job)
    # Read before the training: a fault in it must not come to light after hours.
    horizon = model.settings.prediction_length
    test = read_test(job, model.frequency, model.likelihood, horizon) if "test" in job.channels else None
    if test is not None:
        refuse_unfit(model.covariates, test, "test")
    settings, count = model.settings, sum(weight.numel() for weight in model.network.parameters())
    job.note(
        f"forecaster: {settings.cell}, {count:,} parameters, {training.windows:,} windows, "
        f"{training.steps} steps of {settings.mini_batch_size} an epoch, {job.world.size} rank(s)"
    )

    if settings.precision == "bf16" and job.world.device.type == "cpu":
        job.note("warning: precision is bf16, but a CPU computes in float32")

    def after_step(at: Cursor) -> bool:
        now = job.boundary(at.step, stride_on_gpu=16)
        if now.stop or (now.save and at.step < training.steps):
            _save(job, training, at)
        return not now.stop

    def after_epoch(at: Cursor, epoch: Epoch) -> None:
        where = {"epoch": epoch.number}
        job.metric("train loss", epoch.loss, where)
        if epoch.validation is not None:
            job.metric("validation loss", epoch.validation, where)
        job.metric("train windows_per_second", epoch.speed, where, unit="speed")
        job.line(f"#progress_metric: host={job.host}, completed {100 * at.epoch // settings.epochs} % of epochs")
        _save(job, training, at)

    finished = training.run(cursor, after_step, after_epoch)
    model.network.eval()
    model.history = [(loss, None if math.isnan(held) else held) for loss, held in cursor.history]
    if math.isfinite(cursor.final_loss):
        model.metrics["train:final_loss"] = cursor.final_loss
        job.metric("train final_loss", cursor.final_loss)
    if test is not None and (finished or job.dry_run):
        linear = Linear(model, linear_autoregression.fit(training.share, job.world, job.channels["train"].divided))
        scored = test[:1] if job.dry_run else test
        model.evaluation = score(job, model.forecast, model.frequency.season, scored, linear)
        model.metrics |= model.evaluation.metrics
    return model


@dataclass(frozen=True)
class Linear:
    """A linear autoregression that sees series as a model does."""

    model: Model
    fitted: LinearAutoregression

    def __call__(self, series: list[Series]) -> NDArray[np.float32]:
        """What follows each series, in its own units: B x P."""
        seen, likelihood = self.fitted.forecast(self.model.windows(series)), self.model.likelihood
        found: NDArray[np.float32] = likelihood.restore_mean(seen, likelihood.restore(seen)[:, None]).cpu().numpy()
        return found


def _save(job: Job[Hyperparameters], training: Training, at: Cursor) -> None:
    """Rank 0's copy stands for all."""
    tensors = training.tensors(at)
    if job.world.rank == 0:
        job.checkpoints.save(Snapshot(at.epoch * training.steps + at.step, tensors, at.numbers))
