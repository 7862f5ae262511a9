"""A linear autoregression in the place of a model, which the forecasts of the model are measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyadic.algorithms.forecaster.model import Model
from polyadic.forecasting.linear_autoregression import LinearAutoregression
from polyadic.forecasting.series import Series


@dataclass(frozen=True, kw_only=True)
class LinearForecast:
    """A fitted linear autoregression that sees series as a model sees them."""

    model: Model
    fitted: LinearAutoregression

    def __call__(self, series: list[Series]) -> NDArray[np.float32]:
        """What follows each of B series, in the units of the series: B x P."""
        seen, likelihood = self.fitted.forecast(self.model.windows(series)), self.model.likelihood
        mean: NDArray[np.float32] = likelihood.restore_mean(seen, likelihood.restore(seen)[:, None]).cpu().numpy()
        return mean
