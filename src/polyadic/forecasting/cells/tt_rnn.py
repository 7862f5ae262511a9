"""tt-rnn: a recurrence without gates, a polynomial of several hidden states."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.forecasting.cells import State
from polyadic.forecasting.cells._tensor_train import TensorTrainCell
from polyadic.forecasting.recurrence import recurrence


class TensorTrainRNN(TensorTrainCell):
    """The recurrence without gates of Yu, Zheng, Anandkumar and Yue (2017, arXiv 1711.00073).

    h_t = tanh(W_x x_t + b + W · s_t^{⊗P}) (B x H), s_t = [h_{t-1}; ...; h_{t-L}; 1] (B x S, S = L H + 1).
    The state is the lags (B x L H, newest first).
    """

    name = "tt-rnn"
    gates = 1

    def initial(self, x_BTD: Tensor) -> State:
        """All lags (B x L H) are 0."""
        return (x_BTD.new_zeros(len(x_BTD), self.lags * self.hidden_size),)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H); the cores are contracted one after the other, so that the work is linear in P."""
        x_TBD = x_BTD.transpose(0, 1)
        cores, first = list(self.cores), self.input_part(x_TBD)
        h_BTH, lags, _ = recurrence(self.input(x_TBD), state[0], None, cores, self.output, first, self.matrix)
        return h_BTH, (lags,)

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H) step by step."""
        (lags_BX,), outputs = state, []
        for x_BD in x_BTD.unbind(1):
            outputs.append(self.dense_sum(x_BD, lags_BX).tanh())
            lags_BX = self.shifted(lags_BX, outputs[-1])
        return torch.stack(outputs, 1), (lags_BX,)


CELL = TensorTrainRNN
