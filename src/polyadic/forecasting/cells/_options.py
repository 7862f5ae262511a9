"""The options that several cells share."""

from __future__ import annotations

from typing import Literal

from polyadic.options import Options, option


class LagOptions(Options):
    """How many hidden states a cell looks back on."""

    tt_lags: int = option("hidden states that mlstm and the tensor-train cells look back on", 2, ge=1, le=1000)


class TrainOptions(Options):
    """The size of a tensor train: how many cores it has, and the rank between them."""

    tt_order: int = option(
        "order of a tensor-train cell's polynomial in these states; cores of a compressed matrix", 2, ge=1, le=32
    )
    tt_rank: int = option("rank of the tensor train", 4, ge=1, tunable=(1, 16))


class TensorTrainOptions(TrainOptions, LagOptions):
    """What a cell whose weight is a tensor train lets a job set.

    The train has `tt_order` cores of rank `tt_rank` over the last `tt_lags` hidden states. It may have a core of the
    output (`tt_output`), the inputs in its first core (`tt_input`), and a matrix beside it (`tt_linear`).
    """

    tt_output: Literal["inside", "core"] = option(
        "where the gates' index stands: inside the last core, or in a core of its own, with far fewer parameters",
        "inside",
    )
    tt_input: Literal["beside", "core"] = option(
        "where a step's inputs stand: beside the polynomial of the states, or in its first core as well, so that it "
        "has their products with the states",
        "beside",
    )
    tt_linear: Literal["train", "matrix"] = option(
        "where the terms linear in the newest state stand: in the train, as the higher ones; or in a matrix of their "
        "own beside it, as an LSTM's, to which the train adds",
        "train",
    )
