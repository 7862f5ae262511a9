"""tt-lstm: an LSTM whose gates are polynomials of several hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyadic.forecasting.cells import State
from polyadic.forecasting.cells._options import TensorTrainOptions
from polyadic.forecasting.cells._tensor_train import TensorTrainCell
from polyadic.forecasting.recurrence import recurrence


class TensorTrainLSTM(TensorTrainCell):
    """The higher-order tensor-train LSTM of Yu, Zheng, Anandkumar and Yue (2017, arXiv 1711.00073).

    z = W_x x_t + b + W · s_t^{⊗P} (B x 4 H), s_t = [h_{t-1}; ...; h_{t-L}; 1] (B x S, S = L H + 1), split into i, j,
    f, o; c_t = c_{t-1} sigmoid(f + 1) + sigmoid(i) tanh(j), h_t = tanh(c_t) sigmoid(o).
    A step costs O(P R² S + R S G) operations, core by core, where W itself has S^P G entries, G = 4 H.
    The state is the lags (B x L H, newest first) and c (B x H).
    """

    name = "tt-lstm"
    gates = 4

    def __init__(self, input_size: int, hidden_size: int, options: TensorTrainOptions) -> None:
        super().__init__(input_size, hidden_size, options)
        self._forget: Tensor
        forget = torch.arange(4).repeat_interleave(hidden_size) == 2
        self.register_buffer("_forget", forget.float(), persistent=False)

    def initial(self, x_BTD: Tensor) -> State:
        """All lags (B x L H) and c (B x H) are 0."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.lags * self.hidden_size)
        return zeros, zeros[:, : self.hidden_size]

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H); the cores are contracted one after the other, so that the work is linear in P."""
        x_TBD = x_BTD.transpose(0, 1)
        linear = nn.functional.linear(x_TBD, self.input.weight, self.input.bias + self._forget)
        (lags, c_before), cores, first = state, list(self.cores), self.input_part(x_TBD)
        h_BTH, lags, c = recurrence(linear, lags, c_before, cores, self.output, first, self.matrix)
        assert c is not None
        return h_BTH, (lags, c)

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H) step by step."""
        lags_BX, c = state
        outputs = []
        for x_BD in x_BTD.unbind(1):
            i, j, f, o = self.dense_sum(x_BD, lags_BX).chunk(4, -1)
            c = c * (f + 1).sigmoid() + i.sigmoid() * j.tanh()
            outputs.append(c.tanh() * o.sigmoid())
            lags_BX = self.shifted(lags_BX, outputs[-1])
        return torch.stack(outputs, 1), (lags_BX, c)


CELL = TensorTrainLSTM
