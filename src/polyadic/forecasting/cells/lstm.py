"""lstm: the usual long short-term memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyadic.forecasting.cells import Cell, State
from polyadic.forecasting.recurrence_operations import Buffer, gates
from polyadic.options import Options


class LSTM(Cell):
    """The long short-term memory of Hochreiter and Schmidhuber (1997), with a bias of 1 on its forget gate.

    z = W_x x_t + W_h h_{t-1} + b (B x 4 H), split into i, f, j, o;
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(j), h_t = sigmoid(o) tanh(c_t).
    The state is h and c, each B x H.
    """

    name = "lstm"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        with torch.no_grad():
            self._weights()[2][hidden_size : 2 * hidden_size] += 1

    @classmethod
    def make(cls, input_size: int, hidden_size: int, options: Options) -> Cell:
        """A cell for D = input_size inputs and H = hidden_size units; it has no options."""
        return cls(input_size, hidden_size)

    def initial(self, x_BTD: Tensor) -> State:
        """h = c = 0, each B x H."""
        zeros = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        return zeros, zeros

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H) by torch's fused kernel; by this project's where a CPU forecasts one step after the other."""
        if x_BTD.shape[1] == 1 and x_BTD.device.type == "cpu" and not torch.is_grad_enabled():
            return self._step(x_BTD[:, 0], *state)
        h_BTH, (h, c) = self.lstm(x_BTD, (state[0][None].contiguous(), state[1][None].contiguous()))
        return h_BTH, (h[0], c[0])

    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """h (B x T x H) step by step."""
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
        h, c, tanh_c = (torch.empty_like(h_BH, memory_format=torch.contiguous_format) for _ in range(3))
        z_, c_before, c_, tanh_c_, h_ = (Buffer.of(tensor).array for tensor in (z, c_BH.contiguous(), c, tanh_c, h))
        gates(z_, c_before, c_, tanh_c_, h_, 0)
        return h[:, None], (h, c)

    def _as_ijfo(self, weight: Tensor) -> Tensor:
        i, f, j, o = weight.chunk(4)
        return torch.cat([i, j, f, o])

    def _weights(self) -> list[nn.Parameter]:
        return list(self.lstm.parameters())

    def count(self) -> int:
        """4 H (D + H + 2)."""
        return 4 * self.hidden_size * (self.lstm.input_size + self.hidden_size + 2)


CELL = LSTM
