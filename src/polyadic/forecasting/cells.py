"""Recurrent cells, each with its equation, its parameter count and a readable reference form.

Shapes: B batch, T time, D input, H hidden, L lags, S = H L + 1 state with its constant 1, G = 4 H gates, R rank.
A cell maps x_BTD and a state to h_BTH and the next state; a state is a tuple of tensors, the batch first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class Cell(nn.Module, ABC):
    """A recurrence over time."""

    name: ClassVar[str]
    hidden_size: int

    @classmethod
    @abstractmethod
    def make(cls, input_size: int, hidden_size: int, *, lags: int, order: int, rank: int) -> Cell:
        """The cell of these sizes, which takes of a tensor train's what it has a use for."""

    @abstractmethod
    def initial(self, x_BTD: Tensor) -> State:
        """The state before the first step of x."""

    @abstractmethod
    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h_BTH and the state after the last step."""

    @abstractmethod
    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """The same, written as the equation stands, whatever it costs."""

    @abstractmethod
    def count(self) -> int:
        """The number of parameters, by formula."""


class LSTM(Cell):
    """The long short-term memory of Hochreiter and Schmidhuber (1997), its forget gate biased by 1.

    z = W_x x_t + W_h h_{t-1} + b, split into i, f, j, o;
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(j), h_t = sigmoid(o) tanh(c_t).
    """

    name = "lstm"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        with torch.no_grad():
            self._weights()[2][hidden_size : 2 * hidden_size] += 1

    @classmethod
    def make(cls, input_size: int, hidden_size: int, *, lags: int, order: int, rank: int) -> Cell:
        """A cell without a tensor train."""
        return cls(input_size, hidden_size)

    def initial(self, x_BTD: Tensor) -> State:
        """h = c = 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        return zeros, zeros

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """By torch's fused kernel."""
        h_BTH, (h, c) = self.lstm(x_BTD, (state[0][None].contiguous(), state[1][None].contiguous()))
        return h_BTH, (h[0], c[0])

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Step by step."""
        h, c = state
        input_weight, hidden_weight, input_bias, hidden_bias = self._weights()
        outputs = []
        for x in x_BTD.unbind(1):
            z = x @ input_weight.T + h @ hidden_weight.T + input_bias + hidden_bias
            i, f, j, o = z.chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * j.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, 1), (h, c)

    def _weights(self) -> list[nn.Parameter]:
        return list(self.lstm.parameters())

    def count(self) -> int:
        """4 H (D + H + 2)."""
        return 4 * self.hidden_size * (self.lstm.input_size + self.hidden_size + 2)


class TensorTrainLSTM(Cell):
    """The higher-order tensor-train LSTM of Yu, Zheng, Anandkumar and Yue (2017, arXiv 1711.00073).

    s_t = [h_{t-1}; ...; h_{t-L}; 1], z = W_x x_t + b + W · s_t^{⊗P}, split into i, j, f, o;
    c_t = c_{t-1} sigmoid(f + 1) + sigmoid(i) tanh(j), h_t = tanh(c_t) sigmoid(o).
    W, of shape S x ... x S x G, is a tensor train: core p is R_{p-1} x S x R_p, with R_0 = 1, R_P = G, R between.
    Contracted core by core: O(P R² S + R S G) a step, where W itself has S^P G entries.
    """

    name = "tt-lstm"

    def __init__(self, input_size: int, hidden_size: int, lags: int, order: int, rank: int) -> None:
        super().__init__()
        self.hidden_size, self.lags = hidden_size, lags
        self.input = nn.Linear(input_size, 4 * hidden_size)
        ranks = [1, *[rank] * (order - 1), 4 * hidden_size]
        state = hidden_size * lags + 1
        self.cores = nn.ParameterList(torch.empty(before, state, after) for before, after in pairwise(ranks))
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """The linear terms as an LSTM's, the higher ones small.

        The first channel of each core carries the constant 1 on, so that the last core's first slice is W's
        linear part; with cores of independent noise the recurrence would be a product of small numbers.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        for core in self.cores:
            core.normal_(std=0.1 / math.sqrt(core.shape[1]))
        for core in self.cores[:-1]:
            core[0, :, 0] = 0
            core[0, -1, 0] = 1
        self.cores[-1][0].uniform_(-bound, bound).div_(math.sqrt(self.lags))
        self.cores[-1][0, -1] = 0

    @classmethod
    def make(cls, input_size: int, hidden_size: int, *, lags: int, order: int, rank: int) -> Cell:
        """A cell with all of them."""
        return cls(input_size, hidden_size, lags, order, rank)

    def initial(self, x_BTD: Tensor) -> State:
        """Every lag and c = 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.lags * self.hidden_size)
        return zeros, zeros[:, : self.hidden_size]

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Contracts the cores one after the other: linear in P."""
        lags_BLH, c = state
        one = x_BTD.new_ones(len(x_BTD), 1)
        cores = [core.flatten(0, 1) for core in self.cores]
        outputs = []
        for linear in self.input(x_BTD).unbind(1):
            s = torch.cat([lags_BLH, one], 1)
            v = s @ cores[0]
            for core in cores[1:]:
                v = (v[:, :, None] * s[:, None, :]).flatten(1) @ core
            h, c = _gates(linear + v, c)
            lags_BLH = torch.cat([h, lags_BLH[:, : -self.hidden_size]], 1)
            outputs.append(h)
        return torch.stack(outputs, 1), (lags_BLH, c)

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Forms W and the outer product s^{⊗P} in full."""
        lags_BLH, c = state
        order, weight = len(self.cores), self.cores[0]
        for core in self.cores[1:]:
            weight = torch.tensordot(weight, core, 1)
        outputs = []
        for linear in self.input(x_BTD).unbind(1):
            s = torch.cat([lags_BLH, x_BTD.new_ones(len(x_BTD), 1)], 1)
            power = s
            for _ in range(order - 1):
                power = (power[:, :, None] * s[:, None, :]).flatten(1)
            h, c = _gates(linear + power @ weight.flatten(0, -2), c)
            lags_BLH = torch.cat([h, lags_BLH[:, : -self.hidden_size]], 1)
            outputs.append(h)
        return torch.stack(outputs, 1), (lags_BLH, c)

    def count(self) -> int:
        """sum_p R_{p-1} S R_p + 4 H (D + 1)."""
        cores: int = sum(math.prod(core.shape) for core in self.cores)
        return cores + 4 * self.hidden_size * (self.input.in_features + 1)


def _gates(z_BG: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, j, f, o = z_BG.chunk(4, -1)
    c = c * (f + 1).sigmoid() + i.sigmoid() * j.tanh()
    return c.tanh() * o.sigmoid(), c


CELLS: dict[str, type[Cell]] = {cell.name: cell for cell in Cell.__subclasses__()}
"""Every cell of this file, by its name."""
