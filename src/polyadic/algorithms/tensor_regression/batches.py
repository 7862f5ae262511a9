"""The samples that each step of a training sees, and those that it is validated on.

Shapes: B samples of this rank in a step, M modalities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.inputs import Inputs
from polyadic.algorithms.tensor_regression.network import Network, SampleLoss
from polyadic.distributed import World

BATCH_SAMPLES = 512
"""That are validated or scored at a time."""


@dataclass(frozen=True)
class Data:
    """This rank's samples with labels and weights (B each)."""

    inputs: Inputs
    label_B: NDArray[Any]
    weight_B: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label_B)

    def take(self, numbers: NDArray[np.int64] | slice, device: torch.device) -> tuple[Tensor, ...]:
        """The inputs of a network, then labels and weights."""
        label_B = torch.from_numpy(self.label_B[numbers].astype(np.float32))
        told = (label_B, torch.from_numpy(self.weight_B[numbers]))
        return tuple(part.to(device) for part in (*self.inputs.take(numbers), *told))


class Shuffled:
    """Batches (`polyadic.networks.training.Batches`) of the samples of all ranks, in a new order in every epoch.

    data: this rank's samples; a rank computes those of a step that it has. blank: a sample for a rank that has none in
    a step, which counts for nothing. batch_size: over all ranks. steps: of an epoch.
    """

    data = "samples"

    def __init__(
        self, own: Data, blank: Data, batch_size: int, seed: int, world: World, loss: str, l1: float = 0.0
    ) -> None:
        self.own, self._blank, self._size, self._seed, self._world = own, blank, batch_size, seed, world
        self._loss, self._l1 = loss, l1
        sizes = world.collect(len(own))
        self.count, self._offset = sum(sizes), sum(sizes[: world.rank])
        self.steps = math.ceil(self.count / batch_size)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def take(self, epoch: int, step: int) -> tuple[Tensor, ...]:
        """The inputs of a network, then labels and weights."""
        numbers = self._numbers(epoch, step)
        own = self.own if len(numbers) else self._blank
        return own.take(numbers if len(numbers) else slice(0, 1), self._world.device)

    def weight(self, batch: tuple[Tensor, ...]) -> Tensor:
        """The weights of its samples."""
        return batch[-1].sum()

    def loss(self, network: Network, example: tuple[Tensor, ...]) -> nn.Module:
        """The loss of the network."""
        return SampleLoss(network, self._loss, self._l1)

    def extreme(self, epoch: int, step: int) -> str:
        """The sample whose numbers are farthest from 0."""
        numbers, farthest = self._numbers(epoch, step), (-1.0, "")
        if len(numbers):
            parts = [part for part in self.own.take(numbers, torch.device("cpu"))[:-3] if part.is_floating_point()]
            parts.append(torch.from_numpy(self.own.label_B[numbers])[:, None])
            sizes = torch.stack([part.flatten(1).double().abs().nan_to_num(torch.inf).amax(1) for part in parts])
            worst = sizes.amax(0)
            farthest = float(worst.max()), f"sample {int(numbers[int(worst.argmax())])} of process {self._world.rank}"
        return max(self._world.collect(farthest))[1]

    def _numbers(self, epoch: int, step: int) -> NDArray[np.int64]:
        """The numbers of this rank's samples in a step."""
        if self._order[0] != epoch:
            random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self._seed, epoch])))
            self._order = (epoch, random.permutation(self.count))
        mine = self._order[1][step * self._size : (step + 1) * self._size] - self._offset
        chosen: NDArray[np.int64] = mine[(mine >= 0) & (mine < len(self.own))]
        return chosen


@dataclass(frozen=True)
class Held:
    """The samples of this rank that a training is validated on."""

    own: Data
    loss_name: str

    @torch.no_grad()
    def loss(self, network: Network, world: World) -> float:
        """The mean loss of all ranks' samples; a collective."""
        sums, was_training = torch.zeros(2, dtype=torch.float64, device=world.device), network.training
        network.eval()
        summed = SampleLoss(network, self.loss_name, 0.0)
        for first in range(0, len(self.own), BATCH_SAMPLES):
            batch = self.own.take(slice(first, first + BATCH_SAMPLES), world.device)
            sums += torch.stack([summed(*batch), batch[-1].sum()]).double()
        network.train(was_training)
        loss, weight = world.sum_(sums).tolist()
        return float(loss / max(weight, 1e-300))
