"""The windows from which a model forecasts: the ends of series, as the network sees them.

Shapes: B series, C context, P prediction, T = C + P, J dynamic features, N groupings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyadic.forecasting.calendar import Calendar, Frequency
from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.series import Floats, Integers, Series
from polyadic.forecasting.windows import Batch, Scale, batch


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """How the ends of series become windows.

    context, prediction: C and P. features: J. groupings: N. feature_mean_J: what a feature is before a series begins.
    fixed: the level and the scale of all windows; None where each window has those of its context.
    """

    context: int
    prediction: int
    frequency: Frequency
    calendar: Calendar
    likelihood: Likelihood
    features: int
    groupings: int
    feature_mean_J: Floats
    fixed: Scale | None

    def windows(self, series: Sequence[Series]) -> Batch:
        """The context at the end of each series; of what follows it, nothing is known but time stamps and features.

        Where a series is shorter than the context, the values before its first are missing.
        """
        past = np.full((len(series), self.context), np.nan, np.float32)
        for row, member in enumerate(series):
            end = member.target[-self.context :]
            past[row, self.context - len(end) :] = end
        unknown = np.full((len(series), self.prediction), np.nan, np.float32)
        calendar_BTK = self.calendar.features(self._minutes(series))
        cat = [member.cat[: self.groupings] for member in series]
        cat_BN = np.array(cat, np.int64).reshape(len(series), self.groupings)
        return batch(self.likelihood.see(past), unknown, calendar_BTK, self._dynamic(series), cat_BN, self.fixed)

    def _minutes(self, series: Sequence[Series]) -> Integers:
        """Minutes since 1970 of the time stamps of each window: B x T."""
        starts_B1 = np.array([[member.minutes[0]] for member in series])
        firsts_B1 = np.array([[len(member.target) - self.context] for member in series])
        return self.frequency.after(starts_B1, firsts_B1 + np.arange(self.context + self.prediction))

    def _dynamic(self, series: Sequence[Series]) -> Floats:
        """The features of each window, their means before a series begins: B x T x J."""
        length = self.context + self.prediction
        features: Floats = np.tile(self.feature_mean_J, (len(series), length, 1)).astype(np.float32)
        for row, member in enumerate(series):
            if member.dynamic is not None:
                first, lacking = max(0, len(member.target) - self.context), max(0, self.context - len(member.target))
                features[row, lacking:] = member.dynamic[: self.features, first : first + length - lacking].T
        return features
