"""forecaster: a sequence-to-sequence forecaster over tensor-train LSTM cells, with DeepAR's jobs and requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.algorithms import _hyperparameters as hyper
from polyadic.algorithms._covariates import CardinalityText, Covariates, FeaturesText, refuse_test, resolve
from polyadic.algorithms._deepar import (
    DECILES,
    MOST_SAMPLES,
    parse_configuration,
    read_series,
    refuse_quantiles,
)
from polyadic.algorithms._job import ChannelSpec, Job, Metric, Snapshot
from polyadic.algorithms._scoring import score
from polyadic.algorithms._series_files import CONTENT_TYPES, SUFFIXES, read_files, refuse_differing
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.cells import CELLS, Cell, TrainShape
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Forecaster, sample
from polyadic.forecasting.training import Cursor, Epoch, Plan, Training, standardise
from polyadic.forecasting.windows import Pool, Series, batch

if TYPE_CHECKING:
    CellName = str
    LikelihoodName = str
else:
    CellName = Literal[tuple(CELLS)]
    LikelihoodName = Literal[tuple(LIKELIHOODS)]

FEWEST_OBSERVATIONS = 300
"""That DeepAR asks for in all of training."""

NAME = "forecaster"
SUMMARY = "probabilistic forecasts of many time series by a tensor-train LSTM; a drop-in for DeepAR"
CHANNELS = (
    ChannelSpec(
        "train",
        "series: start, target, cat, dynamic_feat in JSON Lines (.json, .json.gz) or Parquet (.parquet); or CSV (.csv, "
        ".csv.gz), long (item_id,timestamp,target and features) or wide (timestamp and a series a column)",
        CONTENT_TYPES,
    ),
    ChannelSpec("test", "the same; the last prediction_length points are withheld", CONTENT_TYPES, False),
)
METRICS = (
    Metric("train loss", about="mean negative log-likelihood of a value (scaled, unless a count or between 0 and 1)"),
    Metric("train windows_per_second", unit="speed", minimize=False),
    Metric("train final_loss", objective=True),
    Metric("test RMSE", objective=True),
    Metric("test mean_wQuantileLoss", objective=True),
    Metric("test seasonal_naive_RMSE"),
    Metric("test seasonal_naive_mean_wQuantileLoss"),
)


class Hyperparameters(hyper.Hyperparameters):
    """What a forecaster job may set: DeepAR's names, types and defaults, and the cell's own."""

    time_freq: str = hyper.hyperparameter("step of the series: M, W, D, H or min, with a count before it such as 15min")
    context_length: int = hyper.hyperparameter("points that the model sees before it forecasts", ge=1, tunable=(1, 200))
    prediction_length: int = hyper.hyperparameter("points that it forecasts", ge=1)
    epochs: int = hyper.hyperparameter(
        "passes over the training data: windows enough to cover its points once, and 32 steps at least",
        ge=1,
        tunable=(1, 1000),
    )
    cell: CellName = hyper.hyperparameter("recurrent cell", "tt-lstm")
    tt_lags: int = hyper.hyperparameter("hidden states that mlstm and the tensor-train cells look back on", 2, ge=1)
    tt_order: int = hyper.hyperparameter(
        "order of a tensor-train cell's polynomial in these states; cores of a compressed matrix", 2, ge=1
    )
    tt_rank: int = hyper.hyperparameter("rank of the tensor train", 4, ge=1, tunable=(1, 16))
    tt_output: Literal["inside", "core"] = hyper.hyperparameter(
        "where the gates' index stands: inside the last core, or in a core of its own, with far fewer parameters",
        "inside",
    )
    num_cells: int = hyper.hyperparameter("hidden units of a layer", 40, ge=1, tunable=(30, 200))
    num_layers: int = hyper.hyperparameter("layers of encoder and of decoder", 2, ge=1, tunable=(1, 8))
    likelihood: LikelihoodName = hyper.hyperparameter(
        "noise model: gaussian and student-T for any numbers, beta for values between 0 and 1, negative-binomial for "
        "counts; deterministic-L1 forecasts a point",
        "student-T",
    )
    learning_rate: float = hyper.hyperparameter("of AdamW, at its peak", 1e-3, gt=0, tunable=(1e-5, 1e-1))
    mini_batch_size: int = hyper.hyperparameter("windows in a step, over all hosts", 128, ge=1, tunable=(32, 1028))
    dropout_rate: float = hyper.hyperparameter("after each layer", 0.1, ge=0, lt=1, tunable=(0, 0.2))
    early_stopping_patience: int | None = hyper.hyperparameter(
        "epochs without a lower loss before it stops", None, ge=1
    )
    weight_decay: float = hyper.hyperparameter("of AdamW", 0.0, ge=0)
    gradient_clip: float = hyper.hyperparameter("largest norm of a step's gradient", 10.0, gt=0)
    num_eval_samples: int = hyper.hyperparameter("sample paths of a test forecast", 100, ge=1, le=MOST_SAMPLES)
    test_quantiles: list[float] = hyper.hyperparameter("quantiles scored on the test channel", list(DECILES))
    seed: int = hyper.hyperparameter("of weights, windows and sample paths", 0, ge=0)
    cardinality: CardinalityText = hyper.hyperparameter(
        "categories in each grouping of `cat`: `auto` (as many as the training data have), `ignore`, or a list such as "
        "[3,7]",
        "auto",
    )
    embedding_dimension: int = hyper.hyperparameter("numbers that embed a category", 10, ge=1, tunable=(1, 50))
    num_dynamic_feat: FeaturesText = hyper.hyperparameter(
        "features in `dynamic_feat`: `auto` (as many as the training data have), `ignore`, or their number", "auto"
    )

    @property
    def covariates(self) -> Covariates:
        """What a network of these hyperparameters uses of cat and dynamic_feat."""
        return Covariates.of(self.cardinality, self.num_dynamic_feat)


@dataclass(frozen=True)
class Query:
    """A series to forecast, and how."""

    series: Series
    samples: int
    quantiles: tuple[str, ...]
    outputs: tuple[str, ...]


class Model:
    """A trained network that forecasts what follows a series."""

    def __init__(self, settings: Hyperparameters, network: Forecaster, metrics: Mapping[str, float]) -> None:
        self.settings, self.network, self.metrics = settings, network.eval(), metrics
        self.frequency, self.likelihood = Frequency.parse(settings.time_freq), network.likelihood
        self.covariates = settings.covariates

    def artifact(self) -> Artifact:
        """The network's weights under their own names."""
        return Artifact(NAME, self.settings.model_dump(), self.network.state_dict(), metrics=self.metrics)

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """A series of at least context_length points, and DeepAR's configuration."""
        series = read_series(instance, self.frequency, self.settings.prediction_length)
        needed = self.settings.context_length
        if len(series.target) < needed:
            raise UserError(f"target has {len(series.target)} values: at least context_length, {needed}, are needed")
        self.likelihood.refuse(series.target)
        self.covariates.refuse(series)
        return Query(series, *parse_configuration(configuration))

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """DeepAR's answers: the outputs that each instance asks for."""
        answers: list[dict[str, Any]] = [{} for _ in instances]
        for paths in sorted({query.samples for query in instances}):
            chosen = [number for number, query in enumerate(instances) if query.samples == paths]
            drawn = self.forecast([instances[number].series for number in chosen], paths)
            for number, samples_SP in zip(chosen, drawn, strict=True):
                answers[number] = _answer(instances[number], samples_SP)
        return answers

    def forecast(self, series: list[Series], paths: int) -> NDArray[np.float32]:
        """Sample paths of the prediction_length points after each series: B x S x P."""
        context, steps = self.settings.context_length, self.settings.prediction_length
        past = self.likelihood.see(np.stack([one.target[-context:] for one in series]))
        minutes = np.stack([one.minutes[len(one.target) - context :][: context + steps] for one in series])
        calendar = self.frequency.features(minutes.reshape(-1)).reshape(*minutes.shape, -1)
        unknown = np.full((len(series), steps), np.nan, np.float32)
        device = next(self.network.parameters()).device
        windows = batch(past, unknown, calendar, self._dynamic(series), self._cat(series)).to(device)
        return sample(self.network, windows, paths, self.settings.seed).cpu().numpy()

    def _dynamic(self, series: list[Series]) -> NDArray[np.float32]:
        """The features of each context and of what follows it: B x T x J."""
        count, context = self.covariates.features or 0, self.settings.context_length
        length = context + self.settings.prediction_length
        features = np.zeros((len(series), length, count), np.float32)
        for row, one in enumerate(series):
            if one.dynamic is not None:
                first = len(one.target) - context
                features[row] = one.dynamic[:count, first : first + length].T
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


def build(settings: Hyperparameters) -> Forecaster:
    """The untrained network: its weights are a function of the seed."""

    train = TrainShape(settings.tt_lags, settings.tt_order, settings.tt_rank, settings.tt_output == "core")

    def cell(inputs: int) -> Cell:
        return CELLS[settings.cell].make(inputs, settings.num_cells, train)

    torch.manual_seed(settings.seed)
    features = Frequency.parse(settings.time_freq).num_features
    used = settings.covariates
    return Forecaster(
        cell,
        LIKELIHOODS[settings.likelihood],
        features,
        settings.num_layers,
        settings.dropout_rate,
        used.features or 0,
        used.cardinalities or (),
        settings.embedding_dimension,
    )


def load(artifact: Artifact) -> Model:
    """The model that was written down."""
    settings = Hyperparameters(**artifact.hyperparameters)
    network = build(settings)
    network.load_state_dict(dict(artifact.tensors))
    return Model(settings, network.to("cuda" if torch.cuda.is_available() else "cpu"), artifact.metrics)


def fit(job: Job[Hyperparameters]) -> Model:
    """Trains on channel `train`, keeps the weights, and scores channel `test` where there is one."""
    settings, training, cursor = _prepare(job)
    # Read before the training: a fault in it must not come to light after hours.
    test = _read_test(job) if "test" in job.channels else None
    if test is not None:
        refuse_test(settings.covariates, test)
    network, count = training.network, sum(p.numel() for p in training.network.parameters())
    job.note(
        f"forecaster: {settings.cell}, {count:,} parameters, {training.windows:,} windows, "
        f"{training.steps} steps of {settings.mini_batch_size} an epoch, {job.world.size} rank(s)"
    )
    metrics: dict[str, float] = {}

    def after_step(at: Cursor) -> bool:
        now = job.boundary(at.step, stride_on_gpu=16)
        if now.stop or (now.save and at.step < training.steps):
            _save(job, training, at)
        return not now.stop

    def after_epoch(at: Cursor, epoch: Epoch) -> None:
        job.metric("train loss", epoch.loss, {"epoch": epoch.number})
        job.metric("train windows_per_second", epoch.speed, {"epoch": epoch.number}, unit="speed")
        job.line(f"#progress_metric: host={job.host}, completed {100 * at.epoch // settings.epochs} % of epochs")
        _save(job, training, at)

    finished = training.run(cursor, after_step, after_epoch)
    if math.isfinite(cursor.final_loss):
        metrics["train:final_loss"] = cursor.final_loss
        job.metric("train final_loss", cursor.final_loss)
    model = Model(settings, network, metrics)
    if test is not None and (finished or job.dry_run):
        metrics |= score(job, model.forecast, model.frequency.season, test[:1] if job.dry_run else test)
    return model


def _prepare(job: Job[Hyperparameters]) -> tuple[Hyperparameters, Training, Cursor]:
    """The hyperparameters with `auto` found, the training, and where it stands."""
    settings = job.hyperparameters
    frequency = Frequency.parse(settings.time_freq)
    refuse_quantiles(settings.test_quantiles)
    series = _read_channel(job, "train", frequency)
    used = resolve(settings.cardinality, settings.num_dynamic_feat, series, job.world)
    settings = settings.model_copy(update=used.written)
    seen = [replace(one, target=LIKELIHOODS[settings.likelihood].see(one.target)) for one in series]
    pool = Pool(
        seen,
        frequency,
        settings.context_length,
        settings.prediction_length,
        len(used.cardinalities or ()),
        used.features or 0,
    )
    needed = settings.context_length + settings.prediction_length
    short = sum(len(one.target) < needed for one in series)
    if not job.world.any(len(pool) > 0):
        raise UserError(
            f"no series of channel train is as long as context_length + prediction_length = {needed} points "
            f"(an observed one among them; the longest series has {max((len(s.target) for s in series), default=0)}): "
            "lower one of the two, or give longer series"
        )
    if short:
        job.note(f"warning: {short} of {len(series)} series are shorter than {needed} points and are left out")
    plan = Plan(
        settings.epochs,
        settings.mini_batch_size,
        settings.learning_rate,
        settings.seed,
        settings.early_stopping_patience,
        settings.weight_decay,
        settings.gradient_clip,
    )
    network, divided = build(settings).to(job.world.device), job.channels["train"].divided
    standardise(network, pool, job.world, divided)
    training = Training(network, pool, plan, job.world, divided)
    snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
    if snapshot is None:
        return settings, training, Cursor()
    cursor = training.restore(dict(snapshot.tensors), dict(snapshot.numbers))
    job.note(f"resuming from the checkpoint of epoch {cursor.epoch}, step {cursor.step}")
    return settings, training, cursor


def _save(job: Job[Hyperparameters], training: Training, at: Cursor) -> None:
    """Rank 0's copy stands for all; the running loss is a sum over the ranks, kept whole in rank 0's share."""
    loss = job.world.sum_(at.loss.clone())
    at.loss = loss if job.world.rank == 0 else torch.zeros_like(loss)
    if job.world.rank == 0:
        job.checkpoints.save(Snapshot(at.epoch * training.steps + at.step, training.tensors(at), at.numbers))


def _read_test(job: Job[Hyperparameters]) -> list[Series]:
    """This rank's test series that are long enough; UserError where no rank has one with a value to score."""
    settings, horizon = job.hyperparameters, job.hyperparameters.prediction_length
    series = _read_channel(job, "test", Frequency.parse(settings.time_freq))
    if not job.channels["test"].divided:
        series = series[job.world.rank :: job.world.size]
    needed = settings.context_length + horizon
    usable = [one for one in series if len(one.target) >= needed]
    if not job.world.any(any(np.isfinite(one.target[-horizon:]).any() for one in usable)):
        raise UserError(
            f"channel test has nothing to score: no series of {needed} points or more (context_length + "
            "prediction_length) has a value in its last prediction_length points"
        )
    if len(usable) < len(series):
        job.note(f"warning: {len(series) - len(usable)} test series are shorter than {needed} points and are left out")
    return usable


def _read_channel(job: Job[Hyperparameters], channel: str, frequency: Frequency) -> list[Series]:
    """A channel's series; where each host has its own, this rank's share of its host's."""
    world, refuse = job.world, LIKELIHOODS[job.hyperparameters.likelihood].refuse
    series, extent = read_files(job.files(channel, SUFFIXES), channel, frequency, refuse)
    refuse_differing(extent, channel, world)
    if job.channels[channel].divided:
        series = series[world.local_rank :: world.local_size]
    if channel == "train":
        _warn_of_few(job, sum(int(np.isfinite(one.target).sum()) for one in series))
    return series


def _warn_of_few(job: Job[Hyperparameters], observed: int) -> None:
    """A line for people where all ranks' training series have less to learn from than DeepAR asks for."""
    if job.channels["train"].divided:
        observed = sum(job.world.collect(observed))
    if observed < FEWEST_OBSERVATIONS:
        job.note(f"warning: channel train has {observed} observations: give {FEWEST_OBSERVATIONS} or more")


def _answer(query: Query, samples_SP: NDArray[np.float32]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if "mean" in query.outputs:
        answer["mean"] = samples_SP.mean(0)
    if "quantiles" in query.outputs:
        levels = np.quantile(samples_SP, [float(one) for one in query.quantiles], axis=0).astype(np.float32)
        answer["quantiles"] = dict(zip(query.quantiles, levels, strict=True))
    if "samples" in query.outputs:
        answer["samples"] = samples_SP
    return answer
