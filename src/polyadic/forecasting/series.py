"""A time series as forecasting has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.tensor.arguments import dense, whole_numbers

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def floats(values: Any, name: str, order: int) -> Floats:
    """An array of float32, from arrays, tensors and lists of numbers; UserError for all else, and for other orders."""
    if not _holds(values, np.float32):
        values = dense(values, name).detach().cpu().float().numpy()
    if values.ndim != order:
        raise UserError(
            f"{name} has the shape {values.shape}: it must have {order} dimension{'s' if order > 1 else ''}"
        )
    array: Floats = values
    return array


def _holds(values: object, dtype: type) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == dtype


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

    def __post_init__(self) -> None:
        """Takes arrays, tensors and lists of numbers; UserError for what is none, or of another length."""
        given = {
            "target": floats(self.target, "target", 1),
            "minutes": self.minutes
            if _holds(self.minutes, np.int64)
            else whole_numbers(self.minutes, "minutes").numpy(),
            "dynamic": None if self.dynamic is None else floats(self.dynamic, "dynamic", 2),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        points = len(self.target)
        if self.minutes.ndim != 1 or len(self.minutes) < points:
            raise UserError(f"minutes have the shape {self.minutes.shape}: give one for each of the {points} of target")
        if self.dynamic is not None and self.dynamic.shape[1] < points:
            raise UserError(
                f"dynamic has the shape {self.dynamic.shape}: give a row for each feature, with {points} values or more"
            )

    def end(self, points: int) -> Series:
        """The last `points` points, or all where there are fewer, and what is known of the time stamps to forecast."""
        first = max(0, len(self.target) - points)
        dynamic = None if self.dynamic is None else self.dynamic[:, first:]
        return replace(self, target=self.target[first:], minutes=self.minutes[first:].copy(), dynamic=dynamic)
