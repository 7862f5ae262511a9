"""Windows cut out of series, and their scaling by what the model may see.

Shapes: B windows, C context, P prediction, T = C + P, K calendar features, J dynamic features, N groupings; a missing
value is NaN in a series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polyadic.forecasting.series import Floats, Integers

Scale = tuple[float | None, float]
"""The level and the scale of all windows; where the level is None, each window has that of its own context."""

SMALLEST_RATIO = 0.02
"""The smallest scale of a context, as a share of its mean size.

A context that hardly moves says little about how far the horizon will.
"""


@dataclass(frozen=True)
class Batch:
    """B windows, each in its own scale: a value of a series is level + scale times a value of its window.

    past, future: the values of context and horizon; a missing one is the value before it, or 0. observed, weight: 1
    where such a value is observed, else 0. calendar: sine and cosine of the place in each cycle. dynamic: the features
    as they were given. cat: the category of the series in each grouping.
    """

    past_BC: Tensor
    observed_BC: Tensor
    future_BP: Tensor
    weight_BP: Tensor
    calendar_BTK: Tensor
    dynamic_BTJ: Tensor
    cat_BN: Tensor
    level_B: Tensor
    scale_B: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same windows on a device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def scale(context: Floats) -> tuple[Floats, Floats]:
    """The level and the scale (B each) of contexts (B x C): the mean of the observed values, and their deviation.

    scale² = variance + (SMALLEST_RATIO · mean |y|)², or 1 where all values are zero or missing. Nothing after the
    context enters. Forecasts are equivariant: those of twice a series are twice those of the series.
    """
    seen = np.isfinite(context)
    values = np.where(seen, context, 0).astype(np.float64)
    count = np.maximum(seen.sum(1), 1)
    level = values.sum(1) / count
    variance = (seen * (values - level[:, None]) ** 2).sum(1) / count
    size = np.sqrt(variance + (SMALLEST_RATIO * np.abs(values).sum(1) / count) ** 2)
    size[size == 0] = 1
    return level.astype(np.float32), size.astype(np.float32)


def fill_forward(values: Floats) -> Floats:
    """Each missing value (B x T) as the one before it, or as 0, which is the level of a window, where there is none."""
    last_known = np.where(np.isfinite(values), np.arange(values.shape[1]), 0)
    filled = np.take_along_axis(values, np.maximum.accumulate(last_known, axis=1), 1)
    return np.where(np.isfinite(filled), filled, 0).astype(np.float32)


def batch(
    context: Floats,
    horizon: Floats,
    calendar: Floats,
    dynamic: Floats | None = None,
    cat: Integers | None = None,
    fixed: Scale | None = None,
) -> Batch:
    """Windows of a context (B x C), a horizon (B x P, NaN where unknown) and calendar features (B x T x K).

    dynamic: features, B x T x J; None for J = 0. cat: categories, B x N; None for N = 0. fixed: the level and the scale
    of all windows; None where each window has those of its context.
    """
    level, size = scale(context)
    if fixed is not None:
        level = level if fixed[0] is None else np.full_like(level, fixed[0])
        size = np.full_like(size, fixed[1])
    dynamic = np.zeros((*calendar.shape[:2], 0), np.float32) if dynamic is None else dynamic
    cat = np.zeros((len(context), 0), np.int64) if cat is None else cat
    window = (np.concatenate([context, horizon], 1) - level[:, None]) / size[:, None]
    length = context.shape[1]
    values = torch.from_numpy(fill_forward(window))
    return Batch(
        past_BC=values[:, :length],
        observed_BC=torch.from_numpy(np.isfinite(context).astype(np.float32)),
        future_BP=values[:, length:],
        weight_BP=torch.from_numpy(np.isfinite(horizon).astype(np.float32)),
        calendar_BTK=torch.from_numpy(calendar),
        dynamic_BTJ=torch.from_numpy(dynamic),
        cat_BN=torch.from_numpy(cat),
        level_B=torch.from_numpy(level),
        scale_B=torch.from_numpy(size),
    )
