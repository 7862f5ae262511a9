"""The series of a forecaster's channels, as one rank sees them."""

from __future__ import annotations

import numpy as np

from polyadic.algorithms._forecaster_settings import Hyperparameters
from polyadic.algorithms._job import Job
from polyadic.algorithms._series_files import SUFFIXES, read_files, refuse_differing
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.windows import Series

FEWEST_OBSERVATIONS = 300
"""That DeepAR asks for in all of training."""


def read_train(job: Job[Hyperparameters]) -> list[Series]:
    """The series to train on, and a line for people where there is less to learn from than DeepAR asks for."""
    series = read_channel(job, "train")
    observed = sum(int(np.isfinite(one.target).sum()) for one in series)
    if job.channels["train"].divided:
        observed = sum(job.world.collect(observed))
    if observed < FEWEST_OBSERVATIONS:
        job.note(f"warning: channel train has {observed} observations: give {FEWEST_OBSERVATIONS} or more")
    return series


def read_test(job: Job[Hyperparameters]) -> list[Series]:
    """This rank's test series that are long enough; UserError where no rank has one with a value to score."""
    settings, horizon = job.hyperparameters, job.hyperparameters.prediction_length
    series = read_channel(job, "test")
    if not job.channels["test"].divided:
        series = series[job.world.rank :: job.world.size]
    needed = settings.context_length + horizon
    usable = [one for one in series if len(one.target) >= needed]
    if not job.world.any(any(np.isfinite(one.target[-horizon:]).any() for one in usable)):
        raise UserError(
            f"channel test has nothing to score: no series of {needed} points or more (context_length + "
            "prediction_length) has a value in its last prediction_length points"
        )
    if len(usable) < len(series):
        job.note(f"warning: {len(series) - len(usable)} test series are shorter than {needed} points and are left out")
    return usable


def read_channel(job: Job[Hyperparameters], channel: str) -> list[Series]:
    """A channel's series; where each host has its own, this rank's share of its host's."""
    world, frequency = job.world, Frequency.parse(job.hyperparameters.time_freq)
    refuse = LIKELIHOODS[job.hyperparameters.likelihood].refuse
    series, extent = read_files(job.files(channel, SUFFIXES), channel, frequency, refuse)
    refuse_differing(extent, channel, world)
    return series[world.local_rank :: world.local_size] if job.channels[channel].divided else series
