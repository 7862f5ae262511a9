"""What a forecaster job may set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from polyadic.algorithms.forecaster.calendar import CalendarText
from polyadic.algorithms.forecaster.covariates import CardinalityText, Covariates, FeaturesText
from polyadic.algorithms.forecaster.requests import DECILES, MOST_SAMPLES
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option

if TYPE_CHECKING:
    CellName = str
    LikelihoodName = str
else:
    CellName = Literal[tuple(CELLS)]
    LikelihoodName = Literal[tuple(LIKELIHOODS)]


class Hyperparameters(hyper.Hyperparameters):
    """What a forecaster job may set: DeepAR's names, types and defaults, and the cell's own."""

    time_freq: str = option("step of the series: M, W, D, H or min, with a count before it such as 15min")
    context_length: int = option("points that the model sees before it forecasts", ge=1, tunable=(1, 200))
    prediction_length: int = option("points that it forecasts", ge=1)
    epochs: int = option(
        "passes over the training data: windows enough to cover its points once, and 32 steps at least",
        ge=1,
        tunable=(1, 1000),
    )
    decoder: Literal["autoregressive", "direct"] = option(
        "autoregressive: sample paths, each step fed the one before, by the likelihood; direct: a mean and quantiles "
        "of every step at once, the likelihood saying no more than which values there can be",
        "autoregressive",
    )
    scaling: Literal["context", "level", "train"] = option(
        "what a window is shifted and scaled by: mean and deviation of its own context; the mean of its context and "
        "the deviation of all training data; or both of all training data",
        "context",
    )
    linear_ridge: float = option(
        "ridge, a window, of the linear autoregression that the direct decoder counts from", 1e-3, gt=0
    )
    cell: CellName = option("recurrent cell", "tt-lstm")
    tt_lags: int = option("hidden states that mlstm and the tensor-train cells look back on", 2, ge=1)
    tt_order: int = option(
        "order of a tensor-train cell's polynomial in these states; cores of a compressed matrix", 2, ge=1
    )
    tt_rank: int = option("rank of the tensor train", 4, ge=1, tunable=(1, 16))
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
    num_cells: int = option("hidden units of a layer", 40, ge=1, tunable=(30, 200))
    num_layers: int = option("layers of encoder and of decoder", 2, ge=1, tunable=(1, 8))
    likelihood: LikelihoodName = option(
        "noise model: gaussian and student-T for any numbers, beta for values between 0 and 1, negative-binomial for "
        "counts; deterministic-L1 forecasts a point",
        "student-T",
    )
    learning_rate: float = option("of AdamW, at its peak", 1e-3, gt=0, tunable=(1e-5, 1e-1))
    mini_batch_size: int = option("windows in a step, over all hosts", 128, ge=1, tunable=(32, 1028))
    dropout_rate: float = option("after each layer", 0.1, ge=0, lt=1, tunable=(0, 0.2))
    early_stopping_patience: int | None = option(
        "epochs without a lower loss, that of channel validation where there is one, before it stops", None, ge=1
    )
    weight_decay: float = option(
        "of AdamW; biases and the direct decoder's linear autoregression never decay", 0.0, ge=0
    )
    gradient_clip: float = option("largest norm of a step's gradient", 10.0, gt=0)
    num_eval_samples: int = option("sample paths of a test forecast", 100, ge=1, le=MOST_SAMPLES)
    test_quantiles: list[float] = option("quantiles scored on the test channel", list(DECILES))
    seed: int = option("of weights, windows and sample paths", 0, ge=0)
    cardinality: CardinalityText = option(
        "categories in each grouping of `cat`: `auto` (as many as the training data have), `ignore`, or a list such as "
        "[3,7]",
        "auto",
    )
    embedding_dimension: int = option("numbers that embed a category", 10, ge=1, tunable=(1, 50))
    num_dynamic_feat: FeaturesText = option(
        "features in `dynamic_feat`: `auto` (as many as the training data have), `ignore`, or their number", "auto"
    )

    calendar: CalendarText = option(
        "cycles whose place a time stamp is known by: `auto` (those of time_freq that the training data cover twice), "
        "`none`, or a list such as [day,week,year]",
        "auto",
    )
    precision: Literal["float32", "bf16"] = option("of the cells' products; bf16 is for GPUs", "float32")

    @property
    def covariates(self) -> Covariates:
        """What a network of these hyperparameters uses of cat and dynamic_feat."""
        return Covariates.of(self.cardinality, self.num_dynamic_feat)
