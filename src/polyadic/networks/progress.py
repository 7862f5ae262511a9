"""What a training is to do, where it stands, and what an epoch of it came to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training is to do.

    batch_size: windows or samples per step, over all ranks. learning_rate: at its peak. patience: epochs without a
    lower loss before the training stops; None for all epochs. weight_decay: that of AdamW, for the weights that
    the network's `by_decay` names. gradient_clip: the largest norm of a step's gradient, over all weights together.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    patience: int | None = None
    weight_decay: float = 0.0
    gradient_clip: float = 10.0


@dataclass
class Cursor:
    """Where a training stands; with the weights and the moments of the optimizer it is enough to resume to the bit.

    step: within the epoch. loss: summed over this rank's values of the epoch so far. weight: how many values of all
    ranks that is. best: the weights after the best epoch, by name. history: the loss of each epoch and that of
    validation, which is NaN where there is none.
    """

    epoch: int = 0
    step: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    weight: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    best_loss: float = math.inf
    best_epoch: int = -1
    last_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[float, float]] = field(default_factory=list)

    @property
    def final_loss(self) -> float:
        """The loss of the epoch whose weights are kept; infinite before the first has ended."""
        return self.best_loss if self.best else self.last_loss

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers that `Training.restore` needs beside the tensors."""
        return {name: getattr(self, name) for name in ("epoch", "step", "best_loss", "best_epoch", "last_loss")}


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: the mean loss per value in training and in validation, and how many a second it saw."""

    number: int
    loss: float
    speed: float
    validation: float | None = None
