"""A trained forecaster: requests in, forecasts out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyadic.algorithms.forecaster.calendar import calendar_of
from polyadic.algorithms.forecaster.contexts import Contexts
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.network import build
from polyadic.algorithms.forecaster.requests import Query, answer, parse_query
from polyadic.algorithms.forecaster.schemas import schemas
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.forecasting.evaluation import Evaluation
from polyadic.forecasting.network import Forecasts, Network
from polyadic.forecasting.series import Series
from polyadic.forecasting.windows import Batch, Scale
from polyadic.jobs.model import Schemas
from polyadic.readers.series.records import read_series
from polyadic.reports.forecast import write_report

NAME = "forecaster"
USUAL_SAMPLES = 100


class Model:
    """A trained network that forecasts what follows a series.

    settings: hyperparameters without `auto`. fixed: the level and the scale of all windows; None where each window has
    those of its context. evaluation: what the test channel said; None where there was none. history: the losses of each
    epoch, in training and in validation.
    """

    most_weight = 64 * USUAL_SAMPLES

    def __init__(
        self, *, settings: Hyperparameters, network: Network, fixed: Scale | None, metrics: dict[str, float]
    ) -> None:
        self.settings, self.network, self.fixed, self.metrics = settings, network.eval(), fixed, metrics
        self.frequency, self.likelihood = settings.time_freq, network.likelihood
        self.calendar, self.covariates = calendar_of(settings.calendar), settings.covariates
        self.evaluation: Evaluation | None = None
        self.history: list[tuple[float, float | None]] = []

    def artifact(self) -> Artifact:
        """The weights of the network under their own names, and the scaling of all windows where there is one."""
        metadata = {} if self.fixed is None else {"level": self.fixed[0], "scale": self.fixed[1]}
        return Artifact(NAME, self.settings.model_dump(), self.network.state_dict(), metadata, self.metrics)

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """A series and what is asked about it, as DeepAR has them.

        Raises UserError for what DeepAR would not take, and where nothing says at what level the series is.
        """
        series = read_series(instance, self.frequency, self.settings.prediction_length)
        context, has_level = self.settings.context_length, self.fixed is not None and self.fixed[0] is not None
        if not has_level and not np.isfinite(series.target[-context:]).any():
            raise UserError(
                f"target has no value in its context, the last context_length = {context} time stamps: "
                "give one or more, best all of them"
            )
        self.likelihood.refuse(series.target)
        self.covariates.refuse(series)
        return parse_query(series, configuration)

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """The answers of DeepAR: for each query the outputs that it asks for."""
        answers: list[dict[str, Any]] = [{} for _ in instances]
        for paths in sorted({query.samples for query in instances}):
            numbers = [number for number, query in enumerate(instances) if query.samples == paths]
            forecasts = self.forecast([instances[number].series for number in numbers], paths)
            for number, mean_P, samples_SP in zip(numbers, forecasts.mean_BP, forecasts.samples_BSP, strict=True):
                answers[number] = answer(instances[number], mean_P, samples_SP)
        return answers

    def weight(self, query: Query) -> int:
        """The sample paths; fewer than usual hardly cost less."""
        return max(query.samples, USUAL_SAMPLES)

    def numbers(self, query: Query) -> int:
        """For each step its mean, its quantiles and its samples, where they are asked for."""
        sizes = {"mean": 1, "quantiles": len(query.quantiles), "samples": query.samples}
        return self.settings.prediction_length * sum(sizes[output] for output in query.outputs)

    def schemas(self) -> Schemas:
        """DeepAR's, with the categories and features of this model."""
        return schemas(self.settings.prediction_length, self.covariates.cardinalities, self.covariates.features)

    def forecast(self, series: list[Series], paths: int) -> Forecasts:
        """The P = prediction_length points after each of B series: means (B x P) and sample paths (B x S x P)."""
        return self.network.forecast(self.windows(series), paths, self.settings.seed)

    def windows(self, series: list[Series]) -> Batch:
        """The windows at the ends of series, on the device of the network; see `Contexts`."""
        contexts = Contexts(
            context=self.settings.context_length,
            prediction=self.settings.prediction_length,
            frequency=self.frequency,
            calendar=self.calendar,
            likelihood=self.likelihood,
            features=self.covariates.features or 0,
            groupings=len(self.covariates.cardinalities or ()),
            feature_mean_J=self.network.feature_mean_J.cpu().numpy(),
            fixed=self.fixed,
        )
        return contexts.windows(series).to(next(self.network.parameters()).device)

    def example(self) -> object:
        """A series that rises with every step, in the first category of each grouping, its features all zero."""
        length = self.settings.context_length + self.settings.prediction_length
        used = self.covariates
        return {
            "start": "2000-01-01 00:00:00",
            "target": self.likelihood.example(self.settings.context_length),
            **({"cat": [0] * len(used.cardinalities)} if used.cardinalities else {}),
            **({"dynamic_feat": [[0.0] * length] * used.features} if used.features else {}),
        }


def load(artifact: Artifact) -> Model:
    """The model that was written down, on a GPU where there is one."""
    settings = Hyperparameters(**artifact.hyperparameters)
    network = build(settings)
    network.load_state_dict(dict(artifact.tensors))
    network = network.to("cuda" if torch.cuda.is_available() else "cpu")
    fixed = (artifact.metadata["level"], artifact.metadata["scale"]) if artifact.metadata else None
    return Model(settings=settings, network=network, fixed=fixed, metrics=dict(artifact.metrics))


def write_model_report(folder: Path, model: Model) -> None:
    """Writes forecasts, errors, calibration and losses of a model into a folder: tables, pictures and a page."""
    write_report(folder, NAME, model.settings.model_dump(), model.evaluation, model.history)
