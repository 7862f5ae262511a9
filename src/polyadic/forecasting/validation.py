"""The loss of a network on windows that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from polyadic.distributed import World
from polyadic.forecasting.network import Network
from polyadic.forecasting.windows import Pool

MOST_WINDOWS, AT_ONCE = 4096, 512


@dataclass(frozen=True)
class Validation:
    """Windows of this rank: all of what is validated on, or where `divided` its own share of it."""

    share: Pool
    divided: bool

    @torch.no_grad()
    def loss(self, network: Network, world: World) -> float:
        """The mean loss of a value, over all windows or MOST_WINDOWS at even distances; alike on every rank."""
        count = max(1, MOST_WINDOWS // world.size) if self.divided else MOST_WINDOWS
        numbers = np.unique(np.linspace(0, len(self.share) - 1, min(count, len(self.share))).astype(np.int64))
        if not self.divided:
            numbers = numbers[world.rank :: world.size]
        sums, was_training = torch.zeros(2, dtype=torch.float64, device=world.device), network.training
        network.eval()
        for first in range(0, len(numbers), AT_ONCE):
            batch = self.share.take(numbers[first : first + AT_ONCE]).to(world.device)
            sums += torch.stack([network(batch), batch.weight_BP.sum()]).double()
        network.train(was_training)
        loss, weight = world.sum_(sums).tolist()
        return float(loss / max(weight, 1))
