"""A trained forecaster: requests in, forecasts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.algorithms.forecaster.calendar import calendar_of
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.requests import parse_configuration
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.forecasting.autoregressive import Autoregressive
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.cells import CELLS, Cell, TrainShape
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.evaluation import Evaluation
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Forecasts, Network, Shape
from polyadic.reports.forecast import write_report
from polyadic.forecasting.windows import Batch, Scale, Series, batch
from polyadic.readers.series.records import read_series

NAME = "forecaster"
DECODERS: dict[str, type[Network]] = {"autoregressive": Autoregressive, "direct": Direct}


@dataclass(frozen=True)
class Query:
    """A series to forecast, and how."""

    series: Series
    samples: int
    quantiles: tuple[str, ...]
    outputs: tuple[str, ...]


class Model:
    """A trained network that forecasts what follows a series."""

    def __init__(
        self, settings: Hyperparameters, network: Network, fixed: Scale | None, metrics: dict[str, float]
    ) -> None:
        self.settings, self.network, self.fixed, self.metrics = settings, network.eval(), fixed, metrics
        self.frequency, self.likelihood = Frequency.parse(settings.time_freq), network.likelihood
        self.calendar, self.covariates = calendar_of(settings.calendar), settings.covariates
        self.evaluation: Evaluation | None = None
        self.history: list[tuple[float, float | None]] = []

    def artifact(self) -> Artifact:
        """The network's weights under their own names."""
        facts = {} if self.fixed is None else {"level": self.fixed[0], "scale": self.fixed[1]}
        return Artifact(NAME, self.settings.model_dump(), self.network.state_dict(), facts, self.metrics)

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """A series and DeepAR's configuration; UserError where nothing says at what level the series is."""
        series = read_series(instance, self.frequency, self.settings.prediction_length)
        context, of_training = self.settings.context_length, self.fixed is not None and self.fixed[0] is not None
        if not of_training and not np.isfinite(series.target[-context:]).any():
            raise UserError(
                f"target has no value in its context, the last context_length = {context} time stamps: "
                "give one or more, best all of them"
            )
        self.likelihood.refuse(series.target)
        self.covariates.refuse(series)
        return Query(series, *parse_configuration(configuration))

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """DeepAR's answers: the outputs that each instance asks for."""
        answers: list[dict[str, Any]] = [{} for _ in instances]
        for paths in sorted({query.samples for query in instances}):
            chosen = [number for number, query in enumerate(instances) if query.samples == paths]
            found = self.forecast([instances[number].series for number in chosen], paths)
            for number, mean_P, samples_SP in zip(chosen, found.mean_BP, found.samples_BSP, strict=True):
                answers[number] = _answer(instances[number], mean_P, samples_SP)
        return answers

    def forecast(self, series: list[Series], paths: int) -> Forecasts:
        """The prediction_length points after each series."""
        return self.network.forecast(self.windows(series), paths, self.settings.seed)

    def windows(self, series: list[Series]) -> Batch:
        """The context at the end of each series, nothing known of what follows it but its features.

        Of a series that is shorter than the context the values before its first are missing.
        """
        context, steps = self.settings.context_length, self.settings.prediction_length
        past = np.full((len(series), context), np.nan, np.float32)
        for row, one in enumerate(series):
            end = one.target[-context:]
            past[row, context - len(end) :] = end
        past = self.likelihood.see(past)
        starts_B1 = np.array([[one.minutes[0]] for one in series])
        firsts_B1 = np.array([[len(one.target) - context] for one in series])
        minutes = self.frequency.after(starts_B1, firsts_B1 + np.arange(context + steps))
        unknown = np.full((len(series), steps), np.nan, np.float32)
        features = self.calendar.features(minutes), self._dynamic(series), self._cat(series)
        return batch(past, unknown, *features, self.fixed).to(next(self.network.parameters()).device)

    def _dynamic(self, series: list[Series]) -> NDArray[np.float32]:
        """The features of each context and of what follows it, their means before a series begins: B x T x J."""
        count, context = self.covariates.features or 0, self.settings.context_length
        length = context + self.settings.prediction_length
        mean_J = self.network.feature_mean_J.cpu().numpy()
        features: NDArray[np.float32] = np.tile(mean_J, (len(series), length, 1)).astype(np.float32)
        for row, one in enumerate(series):
            if one.dynamic is not None:
                first, lacking = max(0, len(one.target) - context), max(0, context - len(one.target))
                features[row, lacking:] = one.dynamic[:count, first : first + length - lacking].T
        return features

    def _cat(self, series: list[Series]) -> NDArray[np.int64]:
        """The categories: B x N."""
        count = len(self.covariates.cardinalities or ())
        return np.array([one.cat[:count] for one in series], np.int64).reshape(len(series), count)

    def example(self) -> object:
        """A series that rises with every step, in the first category of each grouping, its features zero."""
        length = self.settings.context_length + self.settings.prediction_length
        used = self.covariates
        return {
            "start": "2000-01-01 00:00:00",
            "target": self.likelihood.example(self.settings.context_length),
            **({"cat": [0] * len(used.cardinalities)} if used.cardinalities else {}),
            **({"dynamic_feat": [[0.0] * length] * used.features} if used.features else {}),
        }


def build(settings: Hyperparameters) -> Network:
    """The untrained network: its weights are a function of the seed."""

    ends = settings.tt_output == "core", settings.tt_input == "core", settings.tt_linear == "matrix"
    train = TrainShape(settings.tt_lags, settings.tt_order, settings.tt_rank, *ends)

    def cell(inputs: int) -> Cell:
        return CELLS[settings.cell].make(inputs, settings.num_cells, train)

    torch.manual_seed(settings.seed)
    used = settings.covariates
    shape = Shape(
        context=settings.context_length,
        prediction=settings.prediction_length,
        cell=cell,
        layers=settings.num_layers,
        dropout=settings.dropout_rate,
        calendar=calendar_of(settings.calendar).num_features,
        dynamic=used.features or 0,
        cardinalities=used.cardinalities or (),
        embedding=settings.embedding_dimension,
        bf16=settings.precision == "bf16",
    )
    return DECODERS[settings.decoder](shape, LIKELIHOODS[settings.likelihood])


def load(artifact: Artifact) -> Model:
    """The model that was written down."""
    settings = Hyperparameters(**artifact.hyperparameters)
    network = build(settings)
    network.load_state_dict(dict(artifact.tensors))
    fixed = (artifact.metadata["level"], artifact.metadata["scale"]) if artifact.metadata else None
    return Model(settings, network.to("cuda" if torch.cuda.is_available() else "cpu"), fixed, dict(artifact.metrics))


def write_model_report(folder: Path, model: Model) -> None:
    """Writes forecasts, errors, calibration and losses of a model into a folder: tables, pictures and a page."""
    write_report(folder, NAME, model.settings.model_dump(), model.evaluation, model.history)


def _answer(query: Query, mean_P: NDArray[np.float32], samples_SP: NDArray[np.float32]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if "mean" in query.outputs:
        answer["mean"] = mean_P
    if "quantiles" in query.outputs:
        levels = np.quantile(samples_SP, [float(one) for one in query.quantiles], axis=0).astype(np.float32)
        answer["quantiles"] = dict(zip(query.quantiles, levels, strict=True))
    if "samples" in query.outputs:
        answer["samples"] = samples_SP
    return answer
