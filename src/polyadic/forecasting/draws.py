"""The windows that each step of a training sees, drawn from those of all ranks."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.distributed import World
from polyadic.forecasting import cuda_graph
from polyadic.forecasting.network import Network
from polyadic.forecasting.pool import Pool, draw
from polyadic.forecasting.windows import Batch

FEWEST_STEPS = 32
"""The fewest steps of an epoch, however small the training data are."""


class Draws:
    """Batches of windows (`polyadic.networks.training.Batches`), drawn with the seed.

    share: the windows of this rank. batch_size: windows of a step over all ranks. divided: whether the ranks have
    different series. If so, a rank computes the windows of a step that it has; if not, the windows of a step are dealt
    out among the ranks. Either way a step equals that of one rank which has everything.
    windows: of all ranks. steps: of an epoch, which covers the points of all series once.
    """

    data = "target"

    def __init__(self, share: Pool, batch_size: int, seed: int, world: World, divided: bool) -> None:
        self.share, self._batch_size, self._seed, self._world = share, batch_size, seed, world
        sizes = world.collect(len(share)) if divided else [len(share)]
        points = sum(world.collect(share.points)) if divided else share.points
        self.windows = sum(sizes)
        self._offset = sum(sizes[: world.rank]) if divided else None
        self.steps = max(FEWEST_STEPS, math.ceil(points / share.prediction / batch_size))

    def take(self, epoch: int, step: int) -> tuple[Tensor, ...]:
        """The tensors of a `Batch`, in their order."""
        mine = self.numbers(epoch, step)
        batch = self.share.take(mine) if len(mine) else self.share.blank()
        return tuple(vars(batch.to(self._world.device)).values())

    def weight(self, batch: tuple[Tensor, ...]) -> Tensor:
        """How many values of the future are observed."""
        return Batch(*batch).weight_BP.sum()

    def loss(self, network: Network, example: tuple[Tensor, ...]) -> nn.Module:
        """The loss of the network; on a GPU a captured graph where all batches have one shape."""
        return cuda_graph.step(network, Batch(*example), static=self._offset is None)

    def extreme(self, epoch: int, step: int) -> str:
        """The place of the series in a batch of all ranks whose value is farthest from its context."""
        numbers, farthest = self.numbers(epoch, step), (-1.0, "")
        if len(numbers):
            batch = self.share.take(numbers)
            sizes = (torch.cat([batch.past_BC, batch.future_BP], 1).abs()).nan_to_num(torch.inf).amax(1)
            farthest = float(sizes.max()), self.share.owner(int(numbers[int(sizes.argmax())]))
        return max(self._world.collect(farthest))[1]

    def numbers(self, epoch: int, step: int) -> NDArray[np.int64]:
        """The numbers of this rank's windows in a step."""
        numbers = draw(self._seed, epoch, step, self._batch_size, self.windows)
        if self._offset is None:
            return numbers[self._world.rank :: self._world.size]
        mine = numbers - self._offset
        return mine[(mine >= 0) & (mine < len(self.share))]
