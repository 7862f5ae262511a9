"""The training of a network: data-parallel, and resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.networks.progress import Cursor, Epoch, Plan

Batch: TypeAlias = tuple[Tensor, ...]

STEPS_PER_LOOK = 16
"""Steps on a GPU between two looks at whether all numbers were finite: a look waits for the GPU."""
WARM_UP_SHARE = 0.05
"""The share of all steps in which the learning rate rises to its peak."""


class Batches(Protocol):
    """What each step of a training sees: batches of tensors on this rank's device, by epoch and step.

    steps: of an epoch. data: what they are made of, in a message.
    """

    steps: int
    data: str

    def take(self, epoch: int, step: int) -> Batch:
        """This rank's part of a step's batch, a function of the two numbers alone; of weight 0 where it has none."""

    def weight(self, batch: Batch) -> Tensor:
        """How many values its loss is summed over."""

    def loss(self, network: Any, example: Batch) -> nn.Module:
        """The loss of a network, summed over the values of a batch, as a module of the batch's tensors."""

    def extreme(self, epoch: int, step: int) -> str:
        """Where the most extreme value of a step's batch is, over all ranks: a collective."""


class Decays(Protocol):
    """A network that says which of its weights decay."""

    def by_decay(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights that never decay, and all others."""


B_co = TypeVar("B_co", bound=Batches, covariant=True)


class Validation(Protocol):
    """What tells which epoch was the best."""

    def loss(self, network: Any, world: World) -> float:
        """The mean loss of a value, the same on every rank; a collective."""


class Training(Generic[B_co]):
    """A network, its optimizer and the batches of this rank.

    network: an nn.Module that is `Decays`. validation: what tells which epoch was the best; without it the training
    loss does.
    """

    def __init__(
        self, network: Any, batches: B_co, plan: Plan, world: World, validation: Validation | None = None
    ) -> None:
        self.network, self.batches, self.plan, self.world = network, batches, plan, world
        self.validation, self.steps = validation, batches.steps
        self._first_bad = torch.tensor(self.steps, device=world.device)
        kept, decayed = network.by_decay()
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)

    def run(
        self,
        cursor: Cursor,
        after_step: Callable[[Cursor], bool],
        after_epoch: Callable[[Cursor, Epoch], None],
    ) -> bool:
        """Trains from `cursor` to the end; the weights to keep are then in the network.

        after_step: called after each step, answers whether to go on. after_epoch: called after each epoch. Returns
        False where `after_step` has stopped the training. Raises UserError where a loss is not finite.
        """
        self.network.train()
        parallel = self.world.data_parallel(
            self.batches.loss(self.network, self.batches.take(cursor.epoch, cursor.step))
        )
        while cursor.epoch < self.plan.epochs and not self._out_of_patience(cursor):
            began, first = time.perf_counter(), cursor.step
            while cursor.step < self.steps:
                self._step(parallel, cursor)
                if not after_step(cursor):
                    self._keep_best(cursor)
                    return False
            loss = self._mean_loss(cursor)
            speed = (self.steps - first) * self.plan.batch_size / (time.perf_counter() - began)
            validation = self._validate(cursor)
            cursor.history.append((loss, math.nan if validation is None else validation))
            self._close(cursor, loss if validation is None else validation)
            after_epoch(cursor, Epoch(cursor.epoch - 1, loss, speed, validation))
        self._keep_best(cursor)
        return True

    def _keep_best(self, cursor: Cursor) -> None:
        if cursor.best:
            self.network.load_state_dict(cursor.best)

    def _step(self, parallel: torch.nn.Module, cursor: Cursor) -> None:
        # The noise of dropout is a function of (seed, epoch, step) too, and differs between ranks.
        noise = np.random.SeedSequence([self.plan.seed, cursor.epoch, cursor.step, self.world.rank])
        torch.manual_seed(int(noise.generate_state(1, np.uint64)[0]))
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * self._warmth(cursor)
        batch = self.batches.take(cursor.epoch, cursor.step)
        weight = self.world.sum_(self.batches.weight(batch))
        loss = parallel(*batch) / weight.clamp_min(1)
        self.optimizer.zero_grad(set_to_none=True)
        # Data parallelism averages over the ranks, but the loss is this rank's part of the mean of the whole batch.
        (loss * self.world.size).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_clip)
        self._watch(norm, cursor)
        self.optimizer.step()
        cursor.step += 1
        cursor.loss = cursor.loss.to(loss.device) + loss.detach().double() * weight
        cursor.weight = cursor.weight.to(loss.device) + weight.double()

    def _watch(self, norm: Tensor, cursor: Cursor) -> None:
        """Raises UserError where the norm of the gradient of all ranks is not finite; a GPU is asked seldom."""
        self._first_bad = torch.where(norm.isfinite(), self._first_bad, self._first_bad.clamp_max(cursor.step))
        done = cursor.step + 1  # Checkpoints are taken at multiples of STEPS_PER_LOOK too, so that none is unchecked.
        if norm.device.type == "cuda" and done % STEPS_PER_LOOK and done < self.steps:
            return
        if (step := int(self._first_bad)) < self.steps:
            raise UserError(
                f"the loss or its gradient was no longer finite in epoch {cursor.epoch}, batch {step}, whose most "
                f"extreme value is in {self.batches.extreme(cursor.epoch, step)}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the {self.batches.data}"
            )

    def _warmth(self, cursor: Cursor) -> float:
        """The learning rate as a share of its peak: a linear warm-up, then half a cosine down to 0."""
        done = (cursor.epoch * self.steps + cursor.step + 1) / (self.plan.epochs * self.steps + 1)
        if done < WARM_UP_SHARE:
            return done / WARM_UP_SHARE
        return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))

    def _mean_loss(self, cursor: Cursor) -> float:
        """The mean loss per value of the epoch, over the values of all ranks."""
        loss = (self.world.sum_(cursor.loss.clone()) / cursor.weight.clamp_min(1)).item()
        if not math.isfinite(loss):
            raise UserError(
                f"the loss was {loss} in epoch {cursor.epoch}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the {self.batches.data}"
            )
        return float(loss)

    def _validate(self, cursor: Cursor) -> float | None:
        """The loss of what it is not trained on; None where there is none."""
        if self.validation is None:
            return None
        loss = self.validation.loss(self.network, self.world)
        if not math.isfinite(loss):
            raise UserError(
                f"the loss of channel validation was {loss} after epoch {cursor.epoch}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the {self.batches.data} there"
            )
        return loss

    def _close(self, cursor: Cursor, loss: float) -> None:
        """Ends an epoch that is judged by this loss."""
        cursor.last_loss = loss
        if loss < cursor.best_loss:
            cursor.best_loss, cursor.best_epoch = loss, cursor.epoch
            if self.plan.patience is not None or self.validation is not None:
                cursor.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        cursor.loss, cursor.weight = torch.zeros_like(cursor.loss), torch.zeros_like(cursor.weight)
        cursor.epoch, cursor.step = cursor.epoch + 1, 0

    def _out_of_patience(self, cursor: Cursor) -> bool:
        patience = self.plan.patience
        return patience is not None and cursor.epoch - 1 - cursor.best_epoch >= patience and cursor.epoch > 0

    def tensors(self, cursor: Cursor) -> dict[str, Tensor]:
        """All tensors of the state by name: weights, moments, the best weights and the sums of the epoch. A collective.

        The loss is that of all ranks. From now on it counts as rank 0's, as in a training that is resumed from here.
        """
        loss = self.world.sum_(cursor.loss.clone())
        cursor.loss = loss if self.world.rank == 0 else torch.zeros_like(loss)
        moments = {
            f"optimizer.{index}.{name}": value
            for index, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        weights = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        best = {f"best.{name}": value for name, value in cursor.best.items()}
        history = torch.tensor(cursor.history, dtype=torch.float64).reshape(-1, 2)
        return {**weights, **moments, **best, "loss": loss, "weight": cursor.weight, "history": history}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> Cursor:
        """Puts the tensors and the numbers of a state back, and returns the cursor where it stood."""
        self.network.load_state_dict(_below(tensors, "network."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimizer.").items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        return Cursor(
            epoch=int(numbers["epoch"]),
            step=int(numbers["step"]),
            best_loss=numbers["best_loss"],
            best_epoch=int(numbers["best_epoch"]),
            last_loss=numbers["last_loss"],
            loss=tensors["loss"] if self.world.rank == 0 else torch.zeros_like(tensors["loss"]),
            weight=tensors["weight"],
            best=_below(tensors, "best."),
            history=[(train, validation) for train, validation in tensors["history"].tolist()],
        )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
