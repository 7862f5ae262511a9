"""The recurrent cells."""

from polyadic.forecasting.cells._tensor_train import (
    CELLS,
    LSTM,
    Cell,
    CompressedLSTM,
    MultiLagLSTM,
    State,
    TensorTrainLSTM,
    TensorTrainRNN,
    TrainShape,
)

__all__ = [
    "CELLS",
    "LSTM",
    "Cell",
    "CompressedLSTM",
    "MultiLagLSTM",
    "State",
    "TensorTrainLSTM",
    "TensorTrainRNN",
    "TrainShape",
]
