"""tt-compressed-lstm: an LSTM whose matrices are tensor trains."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from polyadic.forecasting.cells import Cell, State
from polyadic.forecasting.cells._options import TrainOptions
from polyadic.forecasting.tt_matrix import TensorTrainMatrix


class CompressedLSTM(Cell):
    """An LSTM whose matrices W_x (4 H x D) and W_h (4 H x H) are tensor trains of P cores (Yang, Krompass, Tresp 2017).

    The equation is that of `lstm`; the trains are those of Novikov, Podoprikhin, Osokin and Vetrov (NIPS 2015).
    The state is h and c, each B x H.
    """

    name = "tt-compressed-lstm"
    options = TrainOptions

    def __init__(self, input_size: int, hidden_size: int, options: TrainOptions) -> None:
        super().__init__()
        self.hidden_size, std = hidden_size, 1 / math.sqrt(3 * hidden_size)
        order, rank = options.tt_order, options.tt_rank
        self.of_input = TensorTrainMatrix(4 * hidden_size, input_size, order, rank, std)
        self.of_hidden = TensorTrainMatrix(4 * hidden_size, hidden_size, order, rank, std)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = 1

    @classmethod
    def make(cls, input_size: int, hidden_size: int, options: TrainOptions) -> Cell:
        """A cell for D = input_size inputs and H = hidden_size units, its trains of tt_order cores of rank tt_rank."""
        return cls(input_size, hidden_size, options)

    def initial(self, x_BTD: Tensor) -> State:
        """h = c = 0, each B x H."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        return zeros, zeros

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H); both matrices are formed in full, then torch's fused kernel takes all steps."""
        weights = [self.of_input.dense(), self.of_hidden.dense(), self.bias, torch.zeros_like(self.bias)]
        before = (state[0][None].contiguous(), state[1][None].contiguous())
        h_BTH, h, c = torch.lstm(x_BTD, before, weights, True, 1, 0.0, self.training, False, True)
        return h_BTH, (h[0], c[0])

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H) step by step, each product core by core."""
        h, c = state
        outputs = []
        for x in x_BTD.unbind(1):
            i, f, j, o = (self.of_input(x) + self.of_hidden(h) + self.bias).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * j.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, 1), (h, c)

    def count(self) -> int:
        """The entries of all cores of both matrices, and 4 H."""
        return self.of_input.count() + self.of_hidden.count() + 4 * self.hidden_size


CELL = CompressedLSTM
