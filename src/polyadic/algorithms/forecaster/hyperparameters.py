"""What a forecaster job may set: its own hyperparameters, and the options of every cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from polyadic.algorithms.forecaster.calendar import CalendarText
from polyadic.algorithms.forecaster.covariates import CardinalityText, Covariates, FeaturesText
from polyadic.algorithms.forecaster.requests import DECILES, MOST_SAMPLES
from polyadic.algorithms.forecaster.values import Quantiles, TimeFrequency
from polyadic.forecasting.cells import CELLS, Cell
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.jobs import hyperparameters as hyper
from polyadic.options import Options, option

if TYPE_CHECKING:
    CellName = str
    DecoderName = str
    LikelihoodName = str
else:
    CellName = Literal[tuple(CELLS)]
    DecoderName = Literal[tuple(DECODERS)]
    LikelihoodName = Literal[tuple(LIKELIHOODS)]


class WindowOptions(hyper.Hyperparameters):
    """Which windows of which series are forecast, how, and by which cell; DeepAR's names where it has one."""

    time_freq: TimeFrequency = option("step of the series: M, W, D, H or min, with a count before it such as 15min")
    context_length: int = option("points that the model sees before it forecasts", ge=1, tunable=(1, 200))
    prediction_length: int = option("points that it forecasts", ge=1)
    epochs: int = option(
        "passes over the training data: windows enough to cover its points once, and 32 steps at least",
        ge=1,
        tunable=(1, 1000),
    )
    decoder: DecoderName = option(
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
        "ridge, per window, of the linear autoregression that the direct decoder counts from", 1e-3, gt=0
    )
    cell: CellName = option("recurrent cell", "tt-lstm")


class TrainingOptions(hyper.Hyperparameters):
    """The size of the network, its training, and what it is told about a series; DeepAR's names where it has one."""

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
    test_quantiles: Quantiles = option("quantiles scored on the test channel", DECILES)
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


def with_cell_options(cells: Mapping[str, type[Cell]]) -> Any:
    """The class of a forecaster's hyperparameters: its own, and the options that each of these cells brings.

    Raises ImportError where two declarations of one name differ.
    """
    own: tuple[type[Options], ...] = (WindowOptions, TrainingOptions)
    kinds = list(dict.fromkeys(cell.options for cell in cells.values()))
    _refuse_differing([*own, *kinds])
    # A class that another one extends comes with that one. The fields of the last base come first.
    last = [
        kind for kind in kinds if not any(other is not kind and issubclass(other, kind) for other in (*kinds, *own))
    ]
    bases: tuple[type[Any], ...] = (TrainingOptions, *reversed(last), WindowOptions)
    return create_model(
        "Hyperparameters", __base__=bases, __module__=__name__, __doc__="What a forecaster job may set."
    )


def cell_options(settings: hyper.Hyperparameters, cell: type[Cell]) -> Options:
    """The options of a cell, as hyperparameters that include them have them."""
    return cell.options(**{name: getattr(settings, name) for name in cell.options.model_fields})


def _refuse_differing(kinds: Iterable[type[Options]]) -> None:
    declared: dict[str, tuple[type[Options], str]] = {}
    for kind in kinds:
        for name, field in kind.model_fields.items():
            first, declaration = declared.setdefault(name, (kind, repr(field)))
            if repr(field) != declaration:
                raise ImportError(
                    f"option {name} is declared by {first.__module__}.{first.__name__}, and otherwise by "
                    f"{kind.__module__}.{kind.__name__}: share one declaration, or choose another name"
                )


if TYPE_CHECKING:

    class Hyperparameters(TrainingOptions, WindowOptions):
        """What a forecaster job may set; the options of the cells are not known to a type checker."""
else:
    Hyperparameters = with_cell_options(CELLS)
