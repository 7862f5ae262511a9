"""The sequence-to-sequence forecaster: an encoder and a decoder, each a stack of one kind of cell.

Shapes: B windows, C context, P prediction, T time, F inputs a step, H hidden, S sample paths; K calendar features,
J dynamic features, N groupings, E numbers that embed a category.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from polyadic.forecasting.cells import Cell, State
from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.windows import Batch

SEQUENCES_AT_ONCE = 8192


class Stack(nn.Module):
    """Cells one upon the other, with dropout between them."""

    def __init__(self, cell: Callable[[int], Cell], input_size: int, layers: int, dropout: float) -> None:
        super().__init__()
        first = cell(input_size)
        self.hidden_size = first.hidden_size
        self.cells = nn.ModuleList([first, *(cell(first.hidden_size) for _ in range(layers - 1))])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTF: Tensor, states: list[State] | None) -> tuple[Tensor, list[State]]:
        """The top cell's h_BTH and every cell's last state, from `states` or from nothing."""
        after = []
        for layer, cell in enumerate(cast(Iterable[Cell], self.cells)):
            before = cell.initial(x_BTF) if states is None else states[layer]
            x_BTF, state = cell(x_BTF, before)
            x_BTF = self.dropout(x_BTF)
            after.append(state)
        return x_BTF, after


class Forecaster(nn.Module):
    """p(y_{t} | y_{<t}, features_{<=t}), its location a step away from y_{t-1} (Sutskever et al. 2014; DeepAR 2017).

    The input of a step is [y_{t-1}; observed_{t-1}; asinh(level/scale); calendar_t; dynamic_t; embedded categories]:
    y in the window's scale, each dynamic feature less its mean over its deviation.
    """

    feature_mean_J: Tensor
    feature_deviation_J: Tensor

    def __init__(
        self,
        cell: Callable[[int], Cell],
        likelihood: Likelihood,
        calendar: int,
        layers: int,
        dropout: float,
        dynamic: int = 0,
        cardinalities: Sequence[int] = (),
        embedding: int = 10,
    ) -> None:
        super().__init__()
        inputs = 3 + calendar + dynamic + embedding * len(cardinalities)
        self.likelihood = likelihood
        self.encoder = Stack(cell, inputs, layers, dropout)
        self.decoder = Stack(cell, inputs, layers, dropout)
        self.head = nn.Linear(self.decoder.hidden_size, likelihood.size)
        nn.init.zeros_(self.head.bias)
        self.embeddings = nn.ModuleList(nn.Embedding(cardinality, embedding) for cardinality in cardinalities)
        self.register_buffer("feature_mean_J", torch.zeros(dynamic), persistent=dynamic > 0)
        self.register_buffer("feature_deviation_J", torch.ones(dynamic), persistent=dynamic > 0)

    def forward(self, batch: Batch) -> Tensor:
        """The weighted sum of the horizon's negative log-likelihoods, with the actual past of each step."""
        previous = torch.cat([batch.past_BC[:, -1:], batch.future_BP[:, :-1]], 1)
        observed = torch.cat([batch.observed_BC[:, -1:], batch.weight_BP[:, :-1]], 1)
        inputs = self.inputs(batch, previous, observed, batch.past_BC.shape[1])
        hidden, _ = self.decoder(inputs, self.encode(batch))
        level, scale = batch.level_B[:, None], batch.scale_B[:, None]
        nll = self.likelihood.nll(self.raw(hidden, previous), batch.future_BP, level, scale)
        return (nll * batch.weight_BP).sum()

    def encode(self, batch: Batch) -> list[State]:
        """The states after the context."""
        previous = torch.nn.functional.pad(batch.past_BC[:, :-1], (1, 0))
        observed = torch.nn.functional.pad(batch.observed_BC[:, :-1], (1, 0))
        states: list[State] = self.encoder(self.inputs(batch, previous, observed, 0), None)[1]
        return states

    def inputs(self, batch: Batch, previous_BT: Tensor, observed_BT: Tensor, first: int) -> Tensor:
        """What the steps from `first` on see, B x T x F, given the value before each and whether it is observed."""
        steps = slice(first, first + previous_BT.shape[1])
        ratio = torch.asinh(batch.level_B / batch.scale_B)[:, None].expand_as(previous_BT)
        dynamic = (batch.dynamic_BTJ[:, steps] - self.feature_mean_J) / self.feature_deviation_J
        embedded = [one(cat_B)[:, None] for one, cat_B in zip(self.embeddings, batch.cat_BN.unbind(1), strict=True)]
        return torch.cat(
            [
                torch.stack([previous_BT, observed_BT, ratio], -1),
                batch.calendar_BTK[:, steps],
                dynamic,
                *(one_B1E.expand(-1, previous_BT.shape[1], -1) for one_B1E in embedded),
            ],
            -1,
        )

    def raw(self, hidden_BTH: Tensor, previous_BT: Tensor) -> Tensor:
        """The likelihood's raw outputs, the location counted from the value before."""
        raw: Tensor = self.head(hidden_BTH)
        return torch.cat([raw[..., :1] + previous_BT[..., None], raw[..., 1:]], -1)


@torch.inference_mode()
def sample(network: Forecaster, batch: Batch, paths: int, seed: int) -> Tensor:
    """Sample paths of the horizon in the series' own units: B x S x P.

    Each window sees the same random numbers, so that its forecast does not depend on its neighbours;
    the second half of the paths mirrors the first, which takes most of the noise out of the mean.
    """
    device = batch.past_BC.device
    uniforms = _uniforms(paths, batch.future_BP.shape[1], seed).to(device)
    chunk = max(1, SEQUENCES_AT_ONCE // paths)
    parts = []
    for first in range(0, len(batch.past_BC), chunk):
        part = Batch(**{name: value[first : first + chunk] for name, value in vars(batch).items()})
        parts.append(_sample_chunk(network, part, *uniforms))
    return torch.cat(parts)


def _uniforms(paths: int, steps: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    u, v = torch.rand(2, (paths + 1) // 2, steps, generator=random).clamp(1e-7, 1 - 1e-7)
    return torch.stack([torch.cat([u, u]), torch.cat([v, (v + 0.5) % 1])])[:, :paths]


def _sample_chunk(network: Forecaster, batch: Batch, u_SP: Tensor, v_SP: Tensor) -> Tensor:
    paths, steps = u_SP.shape
    length = batch.past_BC.shape[1]
    states = [tuple(part.repeat_interleave(paths, 0) for part in state) for state in network.encode(batch)]
    many = Batch(**{name: value.repeat_interleave(paths, 0) for name, value in vars(batch).items()})
    previous, observed = many.past_BC[:, -1:], many.observed_BC[:, -1:]
    level, scale = many.level_B[:, None], many.scale_B[:, None]
    drawn = []
    for step in range(steps):
        hidden, states = network.decoder(network.inputs(many, previous, observed, length + step), states)
        u, v = (uniform[:, step].repeat(len(batch.past_BC))[:, None] for uniform in (u_SP, v_SP))
        previous = network.likelihood.sample(network.raw(hidden, previous), u, v, level, scale)
        observed = torch.ones_like(previous)
        drawn.append(previous)
    path = network.likelihood.restore(torch.cat(drawn, 1) * scale + level)
    return path.reshape(len(batch.past_BC), paths, steps)
