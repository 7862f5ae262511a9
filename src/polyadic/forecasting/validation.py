"""The loss of a network on windows that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from polyadic.distributed import World
from polyadic.forecasting.network import Network
from polyadic.forecasting.pool import Pool

MOST_WINDOWS = 4096
BATCH_WINDOWS = 512


@dataclass(frozen=True)
class Validation:
    """The windows to validate on.

    share: those of this rank. divided: whether the ranks have different series; otherwise all have the same.
    """

    share: Pool
    divided: bool

    @torch.no_grad()
    def loss(self, network: Network, world: World) -> float:
        """The mean loss per value over all windows, or MOST_WINDOWS at even distances; the same on every rank.

        A collective.
        """
        count = max(1, MOST_WINDOWS // world.size) if self.divided else MOST_WINDOWS
        numbers = np.unique(np.linspace(0, len(self.share) - 1, min(count, len(self.share))).astype(np.int64))
        if not self.divided:
            numbers = numbers[world.rank :: world.size]
        sums, was_training = torch.zeros(2, dtype=torch.float64, device=world.device), network.training
        network.eval()
        for first in range(0, len(numbers), BATCH_WINDOWS):
            batch = self.share.take(numbers[first : first + BATCH_WINDOWS]).to(world.device)
            sums += torch.stack([network(batch), batch.weight_BP.sum()]).double()
        network.train(was_training)
        loss, weight = world.sum_(sums).tolist()
        return float(loss / max(weight, 1))
