"""The series of a forecaster's channels, as one rank sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.store import SeriesStore
from polyadic.forecasting.windows import Floats
from polyadic.jobs.job import Job
from polyadic.readers.series.files import EVERY, SUFFIXES, Share, read_files, refuse_differing

FEWEST_OBSERVATIONS = 300
"""That DeepAR asks for in all of training."""


def read_train(job: Job[Hyperparameters]) -> SeriesStore:
    """The series to train on, and a line for people where there is less to learn from than DeepAR asks for."""
    series = read_seen(job, "train")
    observed = int(series.observed_S.sum())
    if job.channels["train"].divided:
        observed = sum(job.world.collect(observed))
    if observed < FEWEST_OBSERVATIONS:
        job.note(f"warning: channel train has {observed} observations: give {FEWEST_OBSERVATIONS} or more")
    return series


def read_seen(job: Job[Hyperparameters], channel: str) -> SeriesStore:
    """A channel's series as the likelihood sees them: all, or this rank's of its host's where each host has its own."""
    return _read(job, channel, LIKELIHOODS[job.hyperparameters.likelihood].see, EVERY)


def read_test(job: Job[Hyperparameters]) -> SeriesStore:
    """This rank's test series that have a past; UserError where no rank has one with a value to score."""
    horizon = job.hyperparameters.prediction_length
    series = _read(job, "test", lambda target: target, Share(job.world.rank, job.world.size))
    usable = series.where(series.length_S > horizon)
    if not job.world.any(any(np.isfinite(one.target[-horizon:]).any() for one in usable)):
        raise UserError(
            f"channel test has nothing to score: no series of more than prediction_length = {horizon} points has a "
            "value in its last prediction_length ones"
        )
    if len(usable) < len(series):
        job.note(f"warning: {len(series) - len(usable)} test series have {horizon} points or fewer and are left out")
    return usable


def _read(job: Job[Hyperparameters], channel: str, see: Callable[[Floats], Floats], share: Share) -> SeriesStore:
    """A share of a channel that all hosts have; of one where each has its own, this rank's share of its host's."""
    world, frequency = job.world, Frequency.parse(job.hyperparameters.time_freq)
    if job.channels[channel].divided:
        share = Share(world.local_rank, world.local_size)
    refuse = LIKELIHOODS[job.hyperparameters.likelihood].refuse
    series, extent = read_files(job.files(channel, SUFFIXES), channel, frequency, refuse, see, share)
    refuse_differing(extent, channel, world)
    return series
