"""A linear autoregression of all series, each step of the horizon by itself: what a network has to beat.

Shapes: B windows, C context, P prediction, D = C + 1 coefficients per step, the last of which is for a constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.distributed import World
from polyadic.forecasting.pool import Pool
from polyadic.forecasting.windows import Batch
from polyadic.tensor.arguments import checked

MOST_WINDOWS = 50_000
BATCH_WINDOWS = 2048
WINDOWS_PER_COEFFICIENT = 10
"""With so many windows whose horizon has no gap, those with a gap are left out."""
RIDGE = 1e-4
"""The weight of the squares of coefficients, beside a mean of squares over windows."""


@dataclass(frozen=True)
class LinearAutoregression:
    """y = level + scale · [x; 1] W, where x is the scaled context of the window, gaps filled, and W is D x P."""

    weight_DP: Tensor

    @torch.inference_mode()
    def forecast(self, batch: Batch) -> Tensor:
        """What follows each window (B x P), in the units that it had before it was scaled."""
        weight_DP = self.weight_DP.to(batch.past_BC.device)
        scaled_BP = _regressors(batch) @ weight_DP
        return (batch.level_B[:, None] + batch.scale_B[:, None] * scaled_BP).float()


@checked()
@torch.inference_mode()
def fit(pool: Pool, world: World, divided: bool, ridge: float = RIDGE) -> LinearAutoregression:
    """The coefficients that least squares finds in a sample of the windows of all ranks, the same on every rank.

    W = (X'X + ridge n I)^-1 X'Y (D x P) over n windows, which all weigh the same. Only windows without a gap in the
    horizon count, unless there are few of these; the gaps of the others are filled with the value before. divided:
    whether the ranks have different series. A collective.
    """
    whole, others = _sums(pool, world, divided).cpu()
    gram = whole if whole[-1, pool.context] >= WINDOWS_PER_COEFFICIENT * (pool.context + 1) else whole + others
    gram_DD, moment_DP = gram.split([pool.context + 1, pool.prediction], 1)
    damping = ridge * gram_DD[-1, -1].clamp_min(1) * torch.eye(len(gram_DD), dtype=gram_DD.dtype)
    return LinearAutoregression(torch.linalg.solve(gram_DD + damping, moment_DP))


def _sums(pool: Pool, world: World, divided: bool) -> Tensor:
    """[X'X, X'Y] of the windows without a gap in the horizon, and of the others: 2 x D x (D + P)."""
    sizes = world.collect(len(pool)) if divided else [len(pool)]
    numbers = choose(len(pool), math.ceil(MOST_WINDOWS * len(pool) / max(1, sum(sizes))))
    if not divided:
        numbers = numbers[world.rank :: world.size]
    width = pool.context + 1
    sums = torch.zeros(2, width, width + pool.prediction, dtype=torch.float64, device=world.device)
    for first in range(0, len(numbers), BATCH_WINDOWS):
        batch = pool.take(numbers[first : first + BATCH_WINDOWS]).to(world.device)
        x_BD, gap_B = _regressors(batch), (batch.weight_BP == 0).any(1)
        both = torch.cat([x_BD, batch.future_BP.double()], 1)
        for part, rows in enumerate((~gap_B, gap_B)):
            sums[part] += x_BD[rows].T @ both[rows]
    return world.sum_(sums)


def choose(windows: int, most: int) -> NDArray[np.int64]:
    """The numbers of all windows, or of one window in each of `most` equal stretches of them.

    Which window of a stretch is random, but the same in every call. At even distances all windows might begin at the
    same hour of the day.
    """
    if windows <= most:
        return np.arange(windows)
    random = np.random.Generator(np.random.Philox(0))
    return np.floor((np.arange(most) + random.random(most)) * (windows / most)).astype(np.int64)


def _regressors(batch: Batch) -> Tensor:
    past_BC = batch.past_BC.double()
    return torch.cat([past_BC, torch.ones_like(past_BC[:, :1])], 1)
