"""A time series as forecasting has it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """A time series of T points, J dynamic features and N groupings.

    target: T values, NaN where one is missing. minutes: minutes since 1970 of the T time stamps, and of those to
    forecast where they are known. cat: the category of the series in each grouping, from 0. dynamic: the features of
    every time stamp, those to forecast included (J x T or more); None where there are none.
    """

    target: Floats
    minutes: Integers
    cat: tuple[int, ...] = ()
    dynamic: Floats | None = None

    def end(self, points: int) -> Series:
        """The last `points` points, or all where there are fewer, and what is known of the time stamps to forecast."""
        first = max(0, len(self.target) - points)
        dynamic = None if self.dynamic is None else self.dynamic[:, first:]
        return replace(self, target=self.target[first:], minutes=self.minutes[first:].copy(), dynamic=dynamic)
