"""Recurrent cells, each with its equation, its parameter count and a readable reference form.

Shapes: B batch, T time, D input, H hidden, L lags, S = H L + 1 state with its constant 1, G gates, R rank.
A cell maps x_BTD and a state to h_BTH and the next state; a state is a tuple of tensors, the batch first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from polyadic.forecasting.recurrence import Held, gates, recurrence
from polyadic.forecasting.tt_matrix import TensorTrainMatrix

State = tuple[Tensor, ...]

SMALL = 0.3
"""Of what a train adds at first to what a matrix beside it does."""


@dataclass(frozen=True)
class TrainShape:
    """A cell's tensor train: L lags, order P, rank R.

    `output_core`: G as a core of its own, not inside the last; `input_core`: the input in the first core as well;
    `matrix`: the newest state has a matrix beside the train.
    """

    lags: int = 1
    order: int = 2
    rank: int = 2
    output_core: bool = False
    input_core: bool = False
    matrix: bool = False


class Cell(nn.Module, ABC):
    """A recurrence over time."""

    name: ClassVar[str]
    hidden_size: int

    @classmethod
    @abstractmethod
    def make(cls, input_size: int, hidden_size: int, train: TrainShape) -> Cell:
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
    def make(cls, input_size: int, hidden_size: int, train: TrainShape) -> Cell:
        """A cell without a tensor train."""
        return cls(input_size, hidden_size)

    def initial(self, x_BTD: Tensor) -> State:
        """h = c = 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        return zeros, zeros

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """By torch's fused kernel; by ours where a forecast takes one step after the other on a CPU."""
        if x_BTD.shape[1] == 1 and x_BTD.device.type == "cpu" and not torch.is_grad_enabled():
            return self._step(x_BTD[:, 0], *state)
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

    def _step(self, x_BD: Tensor, h_BH: Tensor, c_BH: Tensor) -> tuple[Tensor, State]:
        # oneDNN's layer lays weights and states out anew at every call, which costs half as much as the step itself.
        input_weight, hidden_weight, input_bias, hidden_bias = map(self._as_ijfo, self._weights())
        z = torch.addmm(input_bias + hidden_bias, x_BD, input_weight.T).addmm_(h_BH, hidden_weight.T)
        h, c, squashed = (torch.empty_like(h_BH, memory_format=torch.contiguous_format) for _ in range(3))
        z_, before, after, squashed_, h_ = (Held.of(one).array for one in (z, c_BH.contiguous(), c, squashed, h))
        gates(z_, before, after, squashed_, h_, 0)
        return h[:, None], (h, c)

    def _as_ijfo(self, weight: Tensor) -> Tensor:
        i, f, j, o = weight.chunk(4)
        return torch.cat([i, j, f, o])

    def _weights(self) -> list[nn.Parameter]:
        return list(self.lstm.parameters())

    def count(self) -> int:
        """4 H (D + H + 2)."""
        return 4 * self.hidden_size * (self.lstm.input_size + self.hidden_size + 2)


class _TensorTrainCell(Cell):
    """z = W_x x_t + b + W · s_t^{⊗P}, s_t = [h_{t-1}; ...; h_{t-L}; 1], W (S x ... x S x G) a tensor train.

    Core p is R_{p-1} x S x R_p, with R_0 = 1 and R between; the last ends in G, or in the R rows of a core R x G.
    With an input core the first factor is [x_t; s_t] instead of s_t, so that W has products of the input and the
    states too (after the TALSTM beside the authors' code, whose every factor is). A lone core would but repeat W_x.
    With a matrix W_h h_{t-1} is added to z, and W has to learn but the higher terms.
    """

    gates: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int, train: TrainShape) -> None:
        super().__init__()
        self.hidden_size, self.lags = hidden_size, train.lags
        gates, state = self.gates * hidden_size, hidden_size * train.lags + 1
        self.input = nn.Linear(input_size, gates)
        ranks = [1, *[train.rank] * (train.order - 1), train.rank if train.output_core else gates]
        self.cores = nn.ParameterList(torch.empty(before, state, after) for before, after in pairwise(ranks))
        self.output = nn.Parameter(torch.empty(train.rank, gates)) if train.output_core else None
        wide = train.input_core and (train.order > 1 or train.output_core)
        self.first = nn.Parameter(torch.empty(input_size, train.rank)) if wide else None
        self.matrix = nn.Parameter(torch.empty(hidden_size, gates)) if train.matrix else None
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """The linear terms as an LSTM's, the higher ones small.

        The first channel of each core carries the constant 1 on, so that the last core's first slice is W's
        linear part; with cores of independent noise the recurrence would be a product of small numbers. Beside a
        matrix, which is that linear part, the train is such noise.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        if self.matrix is not None:
            self.matrix.uniform_(-bound, bound)
            self._begin_small()
            return
        for core in self.cores:
            core.normal_(std=0.1 / math.sqrt(core.shape[1]))
        for core in self.cores[:-1]:
            core[0, :, 0] = 0
            core[0, -1, 0] = 1
        self.cores[-1][0].uniform_(-bound, bound).div_(math.sqrt(self.lags))
        self.cores[-1][0, -1] = 0
        if self.output is not None:
            bound = math.sqrt(3 / len(self.output))  # The variance of a product with as many rows is kept.
            self.output.uniform_(-bound, bound)
        if self.first is not None:
            self.first.normal_(std=1 / math.sqrt(self.cores[0].shape[1]))
            self.first[:, 0] = 0

    def _begin_small(self) -> None:
        ends = [] if self.first is None else [self.first]
        for core in [*self.cores, *ends]:
            core.normal_(std=1 / math.sqrt(self.cores[0].shape[1]))
        if self.output is not None:
            self.output.normal_(std=SMALL / math.sqrt(len(self.output)))
        else:
            self.cores[-1].mul_(SMALL / math.sqrt(len(self.cores[-1])))

    @classmethod
    def make(cls, input_size: int, hidden_size: int, train: TrainShape) -> Cell:
        """A cell with all of the train."""
        return cls(input_size, hidden_size, train)

    def _first(self, x_TBD: Tensor) -> Tensor | None:
        """What the first core makes of the input (T x B x R)."""
        return None if self.first is None else x_TBD @ self.first

    def _sum(self, x_BD: Tensor, lags_BX: Tensor) -> Tensor:
        """z, with W and the outer product formed in full: B x G."""
        s_BS = torch.cat([lags_BX, lags_BX.new_ones(len(lags_BX), 1)], 1)
        weight, power = self.cores[0], s_BS
        if self.first is not None:
            weight, power = torch.cat([self.first[None], weight], 1), torch.cat([x_BD, s_BS], 1)
        for core in self.cores[1:]:
            weight = torch.tensordot(weight, core, 1)
            power = (power[:, :, None] * s_BS[:, None, :]).flatten(1)
        z: Tensor = self.input(x_BD) + power @ (weight if self.output is None else weight @ self.output).flatten(0, -2)
        return z if self.matrix is None else z + lags_BX[:, : self.hidden_size] @ self.matrix

    def _shifted(self, lags_BX: Tensor, h: Tensor) -> Tensor:
        return torch.cat([h, lags_BX[:, : -self.hidden_size]], 1)

    def count(self) -> int:
        """sum_p R_{p-1} S R_p + G (D + 1); R G for a core of the output, D R for the input's, H G for a matrix."""
        cores: int = sum(math.prod(core.shape) for core in self.cores)
        ends = sum(end.numel() for end in (self.first, self.output, self.matrix) if end is not None)
        return cores + ends + self.gates * self.hidden_size * (self.input.in_features + 1)


class TensorTrainLSTM(_TensorTrainCell):
    """The higher-order tensor-train LSTM of Yu, Zheng, Anandkumar and Yue (2017, arXiv 1711.00073).

    z = W_x x_t + b + W · s_t^{⊗P}, split into i, j, f, o;
    c_t = c_{t-1} sigmoid(f + 1) + sigmoid(i) tanh(j), h_t = tanh(c_t) sigmoid(o).
    Contracted core by core: O(P R² S + R S G) a step, where W itself has S^P G entries.
    """

    name = "tt-lstm"
    gates = 4

    def __init__(self, input_size: int, hidden_size: int, train: TrainShape) -> None:
        super().__init__(input_size, hidden_size, train)
        self._forget: Tensor
        forget = torch.arange(4).repeat_interleave(hidden_size) == 2
        self.register_buffer("_forget", forget.float(), persistent=False)

    def initial(self, x_BTD: Tensor) -> State:
        """Every lag and c = 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.lags * self.hidden_size)
        return zeros, zeros[:, : self.hidden_size]

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Contracts the cores one after the other: linear in P."""
        x_TBD = x_BTD.transpose(0, 1)
        linear = nn.functional.linear(x_TBD, self.input.weight, self.input.bias + self._forget)
        (lags, before), cores, first = state, list(self.cores), self._first(x_TBD)
        h_BTH, lags, c = recurrence(linear, lags, before, cores, self.output, first, self.matrix)
        assert c is not None
        return h_BTH, (lags, c)

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Step by step."""
        lags_BX, c = state
        outputs = []
        for x_BD in x_BTD.unbind(1):
            i, j, f, o = self._sum(x_BD, lags_BX).chunk(4, -1)
            c = c * (f + 1).sigmoid() + i.sigmoid() * j.tanh()
            outputs.append(c.tanh() * o.sigmoid())
            lags_BX = self._shifted(lags_BX, outputs[-1])
        return torch.stack(outputs, 1), (lags_BX, c)


class MultiLagLSTM(TensorTrainLSTM):
    """An LSTM of L hidden states: z = W_x x_t + b + W_1 h_{t-1} + ... + W_L h_{t-L}; the rest as above."""

    name = "mlstm"

    @classmethod
    def make(cls, input_size: int, hidden_size: int, train: TrainShape) -> Cell:
        """A train of order 1, of the lags alone."""
        return cls(input_size, hidden_size, TrainShape(train.lags, order=1))


class TensorTrainRNN(_TensorTrainCell):
    """The same paper's recurrence without gates: h_t = tanh(W_x x_t + b + W · s_t^{⊗P})."""

    name = "tt-rnn"
    gates = 1

    def initial(self, x_BTD: Tensor) -> State:
        """Every lag = 0."""
        return (x_BTD.new_zeros(len(x_BTD), self.lags * self.hidden_size),)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Contracts the cores one after the other: linear in P."""
        x_TBD = x_BTD.transpose(0, 1)
        cores, first = list(self.cores), self._first(x_TBD)
        h_BTH, lags, _ = recurrence(self.input(x_TBD), state[0], None, cores, self.output, first, self.matrix)
        return h_BTH, (lags,)

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Step by step."""
        (lags_BX,), outputs = state, []
        for x_BD in x_BTD.unbind(1):
            outputs.append(self._sum(x_BD, lags_BX).tanh())
            lags_BX = self._shifted(lags_BX, outputs[-1])
        return torch.stack(outputs, 1), (lags_BX,)


class CompressedLSTM(Cell):
    """An LSTM whose matrices W_x (4 H x D) and W_h (4 H x H) are tensor trains of P cores (Yang, Krompass, Tresp 2017).

    The equation is that of `lstm`; the trains are those of Novikov, Podoprikhin, Osokin and Vetrov (NIPS 2015).
    """

    name = "tt-compressed-lstm"

    def __init__(self, input_size: int, hidden_size: int, train: TrainShape) -> None:
        super().__init__()
        self.hidden_size, std = hidden_size, 1 / math.sqrt(3 * hidden_size)
        self.of_input = TensorTrainMatrix(4 * hidden_size, input_size, train.order, train.rank, std)
        self.of_hidden = TensorTrainMatrix(4 * hidden_size, hidden_size, train.order, train.rank, std)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = 1

    @classmethod
    def make(cls, input_size: int, hidden_size: int, train: TrainShape) -> Cell:
        """A cell with as many cores and the rank, but no lags."""
        return cls(input_size, hidden_size, train)

    def initial(self, x_BTD: Tensor) -> State:
        """h = c = 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        return zeros, zeros

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """The dense matrices once, then torch's fused kernel."""
        weights = [self.of_input.dense(), self.of_hidden.dense(), self.bias, torch.zeros_like(self.bias)]
        before = (state[0][None].contiguous(), state[1][None].contiguous())
        h_BTH, h, c = torch.lstm(x_BTD, before, weights, True, 1, 0.0, self.training, False, True)
        return h_BTH, (h[0], c[0])

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Step by step, each product core by core."""
        h, c = state
        outputs = []
        for x in x_BTD.unbind(1):
            i, f, j, o = (self.of_input(x) + self.of_hidden(h) + self.bias).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * j.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, 1), (h, c)

    def count(self) -> int:
        """The cores of both matrices, and 4 H."""
        return self.of_input.count() + self.of_hidden.count() + 4 * self.hidden_size


CELLS: dict[str, type[Cell]] = {
    cell.name: cell for cell in (LSTM, MultiLagLSTM, TensorTrainLSTM, TensorTrainRNN, CompressedLSTM)
}
"""Every cell of this file, by its name."""
