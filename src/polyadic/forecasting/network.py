"""What the forecasting networks share: an encoder of the context, and the inputs of a step.

Shapes: B windows, C context, P prediction, T time, F inputs per step, H hidden, S sample paths; K calendar features,
J dynamic features, N groupings, E numbers that embed a category.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.forecasting import by_rows
from polyadic.forecasting.cells import Cell, State
from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.windows import Batch
from polyadic.tensor.kernels.threads import side_by_side


@dataclass(frozen=True)
class Forecasts:
    """What follows each of B series, in the units of the series: the mean (B x P), and S sample paths (B x S x P)."""

    mean_BP: NDArray[np.float32]
    samples_BSP: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a network.

    context, prediction: C and P. cell: makes the cell for a number of inputs. layers: how many cells lie one upon the
    other. dropout: the share of outputs dropped after each. calendar: K. dynamic: J. cardinalities: how many categories
    each of the N groupings has. embedding: E. bf16: whether a GPU computes the products of the cells in bfloat16.
    """

    context: int
    prediction: int
    cell: Callable[[int], Cell]
    layers: int = 1
    dropout: float = 0.0
    calendar: int = 0
    dynamic: int = 0
    cardinalities: tuple[int, ...] = ()
    embedding: int = 10
    bf16: bool = False

    @property
    def inputs(self) -> int:
        """F, the numbers that `Network.inputs` makes of a step."""
        return 3 + self.calendar + self.dynamic + self.embedding * len(self.cardinalities)


class Stack(nn.Module):
    """Cells one upon the other, with dropout after each; the first takes `inputs` numbers per step."""

    def __init__(self, shape: Shape, inputs: int) -> None:
        super().__init__()
        first = shape.cell(inputs)
        self.hidden_size, self.bf16 = first.hidden_size, shape.bf16
        self.cells = nn.ModuleList([first, *(shape.cell(first.hidden_size) for _ in range(shape.layers - 1))])
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_BTF: Tensor, states: list[State] | None) -> tuple[Tensor, list[State]]:
        """The hidden states of the top cell (B x T x H), and the last state of every cell.

        x_BTF: the inputs of the first cell. states: those before the first step; None where each begins as `initial`.
        """
        after = []
        with torch.autocast("cuda", torch.bfloat16, enabled=self.bf16 and x_BTF.is_cuda):
            for layer, cell in enumerate(cast(Iterable[Cell], self.cells)):
                before = cell.initial(x_BTF) if states is None else states[layer]
                x_BTF, state = by_rows.run(cell, x_BTF, before)
                x_BTF = self.dropout(x_BTF)
                after.append(tuple(part.float() for part in state))
        return x_BTF.float(), after


class Network(nn.Module, ABC):
    """A forecaster of windows: its loss, and what it forecasts.

    The input of a step is [y_{t-1}; observed_{t-1}; asinh(level/scale); calendar_t; dynamic_t; embedded categories],
    where y is in the scale of the window, and each dynamic feature is standardised: less its mean, over its deviation.
    """

    solved: ClassVar[tuple[str, ...]] = ()
    """The names of weights that begin at a solution of their own, which a decay would undo."""
    feature_mean_J: Tensor
    feature_deviation_J: Tensor

    def __init__(self, shape: Shape, likelihood: Likelihood) -> None:
        super().__init__()
        self.shape, self.likelihood = shape, likelihood
        self.encoder = Stack(shape, shape.inputs)
        self.embeddings = nn.ModuleList(nn.Embedding(count, shape.embedding) for count in shape.cardinalities)
        self.register_buffer("feature_mean_J", torch.zeros(shape.dynamic), persistent=shape.dynamic > 0)
        self.register_buffer("feature_deviation_J", torch.ones(shape.dynamic), persistent=shape.dynamic > 0)

    def by_decay(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights that never decay, which are biases and those named in `solved`, and then all others."""
        kept, decayed = list[nn.Parameter](), list[nn.Parameter]()
        for name, weight in self.named_parameters():
            (kept if weight.ndim < 2 or name in self.solved else decayed).append(weight)
        return kept, decayed

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The loss, a scalar summed over the observed values of all horizons."""

    @abstractmethod
    def forecast(self, batch: Batch, paths: int, seed: int) -> Forecasts:
        """What follows each window, in S = paths sample paths; it does not depend on the batch's other windows."""

    def encode(self, batch: Batch) -> list[State]:
        """The state of every cell of the encoder after the context."""
        previous = nn.functional.pad(batch.past_BC[:, :-1], (1, 0))
        observed = nn.functional.pad(batch.observed_BC[:, :-1], (1, 0))
        states: list[State] = self.encoder(self.inputs(batch, previous, observed, 0), None)[1]
        return states

    def inputs(self, batch: Batch, previous_BT: Tensor, observed_BT: Tensor, first: int) -> Tensor:
        """What T steps from number `first` on see, B x T x F.

        previous_BT: the value before each step. observed_BT: 1 where that is observed, else 0.
        """
        steps = slice(first, first + previous_BT.shape[1])
        ratio = torch.asinh(batch.level_B / batch.scale_B)[:, None].expand_as(previous_BT)
        dynamic = (batch.dynamic_BTJ[:, steps] - self.feature_mean_J) / self.feature_deviation_J
        embedded = [
            embedding(cat_B)[:, None] for embedding, cat_B in zip(self.embeddings, batch.cat_BN.unbind(1), strict=True)
        ]
        return torch.cat(
            [
                torch.stack([previous_BT, observed_BT, ratio], -1),
                batch.calendar_BTK[:, steps],
                dynamic,
                *(embedded_B1E.expand(-1, previous_BT.shape[1], -1) for embedded_B1E in embedded),
            ],
            -1,
        )


def forecast_in_parts(forecast: Callable[[Batch], Forecasts], batch: Batch, rows: int) -> Forecasts:
    """The forecasts of a batch of B windows, made of parts of at most `rows` windows.

    On a CPU each thread that torch may use takes a part at a time.
    """
    threads = 1 if batch.past_BC.is_cuda else torch.get_num_threads()
    rows = max(1, min(rows, math.ceil(len(batch.past_BC) / threads)))
    parts = [
        Batch(**{name: value[first : first + rows] for name, value in vars(batch).items()})
        for first in range(0, len(batch.past_BC), rows)
    ]
    forecasts = list[Forecasts]()
    for first in range(0, len(parts), threads):
        group = parts[first : first + threads]
        forecasts += side_by_side(lambda number, group=group: forecast(group[number]), len(group))  # type: ignore[misc]
    means, samples = zip(*((part.mean_BP, part.samples_BSP) for part in forecasts), strict=True)
    return Forecasts(np.concatenate(means), np.concatenate(samples))
