"""The training of a forecaster: data-parallel, resumable at any step, the loop in one screen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting import cuda_graph
from polyadic.forecasting.network import Network
from polyadic.forecasting.validation import Validation
from polyadic.forecasting.windows import Batch, Pool, draw

FEWEST_STEPS = 32
"""Steps in an epoch of a small corpus."""
LOOKS = 16
"""Steps on a GPU from one look at whether all was finite to the next: to look is to wait for it."""
WARM_UP = 0.05
SMALLEST_DEVIATION = 1e-6
"""Of a feature's mean: what is less is rounding."""


@dataclass(frozen=True)
class Plan:
    """What a training is to do. `patience` counts epochs; None never stops early.

    weight_decay: AdamW's, of what `Network.by_decay` decays; gradient_clip: the largest norm that a step's gradient may
    have, of all weights together.
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
    """Where a training stands: with the weights and the optimizer's moments, enough to go on from, to the bit.

    `loss` sums this rank's windows of the epoch so far, `weight` counts the values of every rank's. `history` has the
    loss of every epoch and that of validation, NaN without one.
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
        """What `restore` needs beside the tensors."""
        return {name: getattr(self, name) for name in ("epoch", "step", "best_loss", "best_epoch", "last_loss")}


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: the mean loss of a value in training and in validation, and windows a second."""

    number: int
    loss: float
    speed: float
    validation: float | None = None


class Training:
    """A network, its optimizer and the windows of all ranks.

    `share` are this rank's windows. Where the ranks hold the same series (`divided` false) a step's windows are
    dealt out among them; where each has its own, every window is computed by its owner. Either way a step is
    the step of one rank that holds everything. With a `validation` it is its loss that tells a better epoch.
    """

    def __init__(
        self,
        network: Network,
        share: Pool,
        plan: Plan,
        world: World,
        divided: bool,
        validation: Validation | None = None,
    ) -> None:
        self.network, self.share, self.plan, self.world = network, share, plan, world
        self.validation = validation
        sizes = world.collect(len(share)) if divided else [len(share)]
        points = sum(world.collect(share.points)) if divided else share.points
        self.windows = sum(sizes)
        self._offset = sum(sizes[: world.rank]) if divided else None
        self.steps = max(FEWEST_STEPS, math.ceil(points / share.prediction / plan.batch_size))
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
        """Trains from `cursor` to the end, leaving the weights in the network; False when `after_step` stops it."""
        self.network.train()
        parallel = self.world.data_parallel(cuda_graph.step(self.network, self._batch(cursor), self._offset is None))
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
        # Dropout's noise, too, is a function of (seed, epoch, step), and differs between ranks.
        noise = np.random.SeedSequence([self.plan.seed, cursor.epoch, cursor.step, self.world.rank])
        torch.manual_seed(int(noise.generate_state(1, np.uint64)[0]))
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * self._warmth(cursor)
        batch = self._batch(cursor)
        weight = self.world.sum_(batch.weight_BP.sum())
        loss = parallel(*vars(batch).values()) / weight.clamp_min(1)
        self.optimizer.zero_grad(set_to_none=True)
        # Data parallelism averages over the ranks; the loss is already a share of the whole batch's mean.
        (loss * self.world.size).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_clip)
        self._watch(norm, cursor)
        self.optimizer.step()
        cursor.step += 1
        cursor.loss = cursor.loss.to(loss.device) + loss.detach().double() * weight
        cursor.weight = cursor.weight.to(loss.device) + weight.double()

    def _watch(self, norm: Tensor, cursor: Cursor) -> None:
        """UserError where the norm of all ranks' gradient is not finite; a GPU is asked every LOOKS steps alone."""
        self._first_bad = torch.where(norm.isfinite(), self._first_bad, self._first_bad.clamp_max(cursor.step))
        done = cursor.step + 1  # Checkpoints are of whole multiples of LOOKS too: none has what was not looked at.
        if norm.device.type == "cuda" and done % LOOKS and done < self.steps:
            return
        if (step := int(self._first_bad)) < self.steps:
            raise UserError(
                f"the loss or its gradient was no longer finite in epoch {cursor.epoch}, batch {step}, whose most "
                f"extreme value is in {self._most_extreme(cursor.epoch, step)}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the target"
            )

    def _most_extreme(self, epoch: int, step: int) -> str:
        """The series of a batch, over all ranks, with the value farthest from its context's."""
        numbers, found = self._numbers(epoch, step), (-1.0, "")
        if len(numbers):
            batch = self.share.take(numbers)
            far = (torch.cat([batch.past_BC, batch.future_BP], 1).abs()).nan_to_num(torch.inf).amax(1)
            found = float(far.max()), self.share.owner(int(numbers[int(far.argmax())]))
        return max(self.world.collect(found))[1]

    def _numbers(self, epoch: int, step: int) -> NDArray[np.int64]:
        """This rank's windows of a step."""
        numbers = draw(self.plan.seed, epoch, step, self.plan.batch_size, self.windows)
        if self._offset is None:
            return numbers[self.world.rank :: self.world.size]
        mine = numbers - self._offset
        return mine[(mine >= 0) & (mine < len(self.share))]

    def _batch(self, cursor: Cursor) -> Batch:
        mine = self._numbers(cursor.epoch, cursor.step)
        return (self.share.take(mine) if len(mine) else self.share.blank()).to(self.world.device)

    def _warmth(self, cursor: Cursor) -> float:
        """The learning rate's share of its peak: a linear warm-up, then half a cosine down to nothing."""
        done = (cursor.epoch * self.steps + cursor.step + 1) / (self.plan.epochs * self.steps + 1)
        return done / WARM_UP if done < WARM_UP else 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))

    def _mean_loss(self, cursor: Cursor) -> float:
        """The epoch's, over the windows of all ranks."""
        loss = (self.world.sum_(cursor.loss.clone()) / cursor.weight.clamp_min(1)).item()
        if not math.isfinite(loss):
            raise UserError(
                f"the loss was {loss} in epoch {cursor.epoch}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the target"
            )
        return float(loss)

    def _validate(self, cursor: Cursor) -> float | None:
        """The loss on the windows to validate on; None without any."""
        if self.validation is None:
            return None
        loss = self.validation.loss(self.network, self.world)
        if not math.isfinite(loss):
            raise UserError(
                f"the loss of channel validation was {loss} after epoch {cursor.epoch}: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}), or look for extreme values in the target there"
            )
        return loss

    def _close(self, cursor: Cursor, loss: float) -> None:
        """Ends the epoch; `loss` is what it is judged by."""
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
        """Every tensor of the state: weights, moments, the best weights and the running sums. Every rank joins.

        The loss is that of all ranks, and rank 0 goes on with it, so that one that is resumed here does so too.
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
        """Puts a state back; `numbers` are the cursor's."""
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


def standardise(network: Network, share: Pool, world: World, divided: bool) -> None:
    """Gives the network mean and deviation of each dynamic feature over the training data of all ranks."""

    def moments(mean_J: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = torch.from_numpy(share.moments(mean_J)).to(world.device)
        count, *rest = (world.sum_(sums) if divided else sums).cpu().numpy()
        scaled: NDArray[np.float64] = np.array(rest).reshape(2, -1) / max(count, 1)
        return scaled

    mean_J = moments(np.zeros(network.feature_mean_J.shape))[0]
    # About the mean itself: the squares of a feature far from zero would leave no digit of its deviation.
    deviation_J = np.sqrt(moments(mean_J)[1])
    network.feature_mean_J.copy_(torch.from_numpy(mean_J))
    known = deviation_J > SMALLEST_DEVIATION * np.abs(mean_J)
    network.feature_deviation_J.copy_(torch.from_numpy(np.where(known, deviation_J, 1)))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
