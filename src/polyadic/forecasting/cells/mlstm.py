"""mlstm: an LSTM that looks back on several hidden states."""

from __future__ import annotations

from polyadic.forecasting.cells import Cell
from polyadic.forecasting.cells._options import LagOptions, TensorTrainOptions
from polyadic.forecasting.cells.tt_lstm import TensorTrainLSTM


class MultiLagLSTM(TensorTrainLSTM):
    """An LSTM of L hidden states: z = W_x x_t + b + W_1 h_{t-1} + ... + W_L h_{t-L} (B x 4 H), split into i, j, f, o.

    c_t = c_{t-1} sigmoid(f + 1) + sigmoid(i) tanh(j), h_t = tanh(c_t) sigmoid(o). It is a tensor train of one core.
    """

    name = "mlstm"
    options = LagOptions

    @classmethod
    def make(cls, input_size: int, hidden_size: int, options: LagOptions) -> Cell:
        """A cell for D = input_size inputs and H = hidden_size units, which looks back on L = tt_lags states."""
        return cls(input_size, hidden_size, TensorTrainOptions(tt_lags=options.tt_lags, tt_order=1))


CELL = MultiLagLSTM
