"""The series of a forecaster's channels, as one rank sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.series import Floats
from polyadic.forecasting.store import SeriesStore
from polyadic.jobs.job import Job
from polyadic.readers.choice import choose
from polyadic.readers.series.files import EVERY, Share, read_files, refuse_differing
from polyadic.readers.series.formats import in_order
from polyadic.readers.shares import few

FEWEST_OBSERVATIONS = 300
"""As many as DeepAR asks for in all of the training data."""
FEW_OBSERVED = 0.2
"""Of all steps. Where so few have a value, months may have been read as days."""


def read_train(job: Job[Any], frequency: Frequency, likelihood: Likelihood) -> SeriesStore:
    """The series to train on, and a line for people where there are fewer observations than DeepAR asks for."""
    series = read_seen(job, "train", frequency, likelihood)
    observed, steps = int(series.observed_S.sum()), int(series.length_S.sum())
    if job.channels["train"].divided:
        observed, steps = map(sum, zip(*job.world.collect((observed, steps)), strict=True))
    if observed < FEW_OBSERVED * steps:
        step = f"{frequency.count if frequency.count > 1 else ''}{frequency.unit}"
        job.note(
            f"warning: channel train has a value at {observed:,} of {steps:,} steps of time_freq {step}: is the time "
            "between its rows longer?"
        )
    if observed < FEWEST_OBSERVATIONS:
        job.note(f"warning: channel train has {observed} observations: give {FEWEST_OBSERVATIONS} or more")
    return series


def read_seen(job: Job[Any], channel: str, frequency: Frequency, likelihood: Likelihood) -> SeriesStore:
    """A channel's series, their targets as the likelihood sees them.

    Where the hosts divide the channel, the ranks of a host share its series; otherwise every rank has all of them.
    """
    return _read(job, channel, frequency, likelihood, likelihood.see, EVERY)


def read_test(job: Job[Any], frequency: Frequency, likelihood: Likelihood, horizon: int) -> SeriesStore | None:
    """This rank's test series that have a past before their last `horizon` points.

    None, and a warning, where no rank has a series with a value to score.
    """
    share = Share(job.world.rank, job.world.size)
    series = _read(job, "test", frequency, likelihood, lambda target: target, share)
    usable = series.where(series.length_S > horizon)
    if not job.world.any(any(np.isfinite(each.target[-horizon:]).any() for each in usable)):
        job.note(
            "warning: NOTHING TO SCORE in channel test: no series of more than prediction_length = "
            f"{horizon} points has a value in its last prediction_length ones. The model is trained and kept; "
            "there are no test metrics"
        )
        return None
    if len(usable) < len(series):
        job.note(f"warning: {len(series) - len(usable)} test series have {horizon} points or fewer and are left out")
    return usable


def _read(
    job: Job[Any],
    channel: str,
    frequency: Frequency,
    likelihood: Likelihood,
    see: Callable[[Floats], Floats],
    share: Share,
) -> SeriesStore:
    """The given share of a channel; where the hosts divide the channel, this rank's share of the host's series."""
    if job.channels[channel].divided:
        share = Share(job.world.local_rank, job.world.local_size)
    files = choose(job, channel, in_order())
    series, extent, valueless = read_files(files, channel, frequency, likelihood.refuse, see, share)
    refuse_differing(extent, channel, job.world)
    if not valueless and not job.world.any(extent is not None):
        raise UserError(
            f"channel {channel} holds no series, for there is no row in {few([path.name for path in files])}"
        )
    left_out = job.world.collect(valueless if job.world.local_rank == 0 else [])
    places = [place for of_rank in left_out for place in of_rank] if job.channels[channel].divided else valueless
    if places:
        job.note(f"warning: channel {channel}: {len(places)} series without any value left out, {few(places)}")
    return series
