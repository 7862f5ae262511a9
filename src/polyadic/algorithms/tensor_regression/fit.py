"""The fit of a tensor-regression job: the samples of its channels -> a model, and how right it is.

Shapes: B samples of this rank, C scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.tensor_regression.batches import Data
from polyadic.algorithms.tensor_regression.descend import descend
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.inputs import Modalities
from polyadic.algorithms.tensor_regression.labels import Labels, check
from polyadic.algorithms.tensor_regression.model import NAME, Model
from polyadic.algorithms.tensor_regression.scoring import MORE_IS_BETTER, evaluate
from polyadic.algorithms.tensor_regression.solve import Solving
from polyadic.algorithms.tensor_regression.solved import Solved, in_units
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.job import Job
from polyadic.readers.samples.channel import read_samples
from polyadic.regression.losses import named

CHANNELS = ("train", "validation", "test")


class Trained(NamedTuple):
    """A model; its scores of what channels hold; the unit of their loss; whether its training came to its end."""

    model: Model
    scores: Callable[..., Tensor]
    loss_unit: float
    finished: bool


def fit(job: Job[Hyperparameters]) -> Model:
    """Trains on channel `train`, each rank on its part of the samples, and scores every channel.

    Raises UserError for samples and settings that do not fit together.
    """
    settings, world, began = job.hyperparameters, job.world, time.perf_counter()
    samples = _read(job, "train", check(settings))
    labels = Labels.of(settings, samples.label, world)
    modalities = Modalities.learn(settings, samples, world)
    unit = _unit(settings, samples.label, world)
    data = {"train": _data(job, "train", samples, modalities, labels, unit)}
    del samples
    # The other channels are read before the training: a fault in them must not come to light after hours.
    for channel in CHANNELS[1:]:
        if channel in job.channels:
            read = _read(job, channel, labels.check(settings))
            data[channel] = _data(job, channel, read, modalities, labels, unit)
    trained = _trained(job, modalities, labels, unit, data)
    model = trained.model
    if trained.finished or job.dry_run:
        _score(job, trained, data)
    job.note(f"{NAME}: solver {model.solver}; done in {time.perf_counter() - began:.1f} s")
    return model


def _read(job: Job[Hyperparameters], channel: str, fault: Any) -> Any:
    settings = job.hyperparameters
    return read_samples(
        job,
        channel,
        missing=settings.missing == "mask",
        feature_shape=settings.feature_shape,
        label_fault=fault,
    )


def _unit(settings: Hyperparameters, given: Any, world: World) -> tuple[float, float]:
    """Centre and scale of the labels in training: of numbers their mean and deviation, where the loss has a unit."""
    loss = named(settings.loss_name)
    if not loss.degree:
        return 0.0, 1.0
    label_B = world.gather_rows(torch.from_numpy(np.asarray(given, np.float64)).to(world.device))
    return float(label_B.mean()), loss.scale(label_B)


def _data(
    job: Job[Hyperparameters],
    channel: str,
    samples: Any,
    modalities: Modalities,
    labels: Labels,
    unit: tuple[float, float],
) -> Data:
    """The samples of a channel, ready to be taken from; their labels as they are: classes by number."""
    ids = labels.ids(samples.label)
    inputs = modalities.prepare(samples, channel, job.world)
    return Data(inputs, ids, _weights(job, ids, labels))


def _weights(job: Job[Hyperparameters], ids: NDArray[np.float64], labels: Labels) -> NDArray[np.float32]:
    """The weight of each sample, by its class."""
    asked = job.hyperparameters.class_weights
    if asked == "none" or labels.classes is None:
        return np.ones(len(ids), np.float32)
    count = len(labels.classes)
    if asked == "balanced":
        own = torch.from_numpy(np.bincount(ids.astype(np.int64), minlength=count).astype(np.float64))
        counts = job.world.sum_(own.to(job.world.device)).cpu().numpy()
        weights = counts.sum() / count / np.maximum(counts, 1)
    else:
        weights = np.array(orjson.loads(asked), np.float64)
        if len(weights) != count:
            raise UserError(f"class_weights has {len(weights)} numbers, and there are {count} classes: give {count}")
    own_B: NDArray[np.float32] = weights[ids.astype(np.int64)].astype(np.float32)
    return own_B


def _trained(
    job: Job[Hyperparameters], modalities: Modalities, labels: Labels, unit: tuple[float, float], data: dict[str, Data]
) -> Trained:
    """What the solver of the job finds."""
    if _solver(job.hyperparameters, modalities) == "als":
        return _solved(job, modalities, labels, data)
    settings = job.hyperparameters
    units = {channel: Data(own.inputs, _in_units(own.label_B, unit), own.weight_B) for channel, own in data.items()}
    outputs = labels.outputs(settings)
    network, cursor, finished = descend(job, modalities, outputs, units["train"], units.get("validation"))
    model = Model(settings=settings, labels=labels, modalities=modalities, scorer=network, unit=unit)
    model.history = [(loss, None if np.isnan(held) else held) for loss, held in cursor.history]
    if np.isfinite(cursor.final_loss):
        model.metrics["train:final_loss"] = cursor.final_loss
    return Trained(model, model.scores, unit[1], finished)


def _solved(job: Job[Hyperparameters], modalities: Modalities, labels: Labels, data: dict[str, Data]) -> Trained:
    """What als finds; the model has its weight in the units of the data."""
    settings = job.hyperparameters
    for channel, own in data.items():
        data[channel] = replace(own, inputs=own.inputs.settle())
    solving = Solving(job, data["train"], data.get("validation"), labels.outputs(settings))
    found = solving.solve()
    scorer = Solved(found.weight, found.intercept_C, len(modalities.each))
    plain, told = in_units(found.weight.to(torch.device("cpu"), torch.float64), modalities.each)
    kept = Solved(plain.to(torch.device("cpu"), found.intercept_C.dtype), found.intercept_C.cpu(), len(told))
    model = Model(
        settings=settings,
        labels=labels,
        modalities=Modalities(tuple(told), modalities.missing),
        scorer=kept,
        unit=(0.0, 1.0),
        metrics={"train:objective": found.objective[-1]},
        history=[(value, None) for value in found.objective],
        intervals=solving.intervals(found, modalities.each),
        standardised=modalities,
    )
    return Trained(model, lambda *inputs: scorer.scores(*inputs).double(), found.unit, not solving.stopped)


def _in_units(label_B: NDArray[Any], unit: tuple[float, float]) -> NDArray[np.float32]:
    return ((label_B - unit[0]) / unit[1]).astype(np.float32)


def _solver(settings: Hyperparameters, modalities: Modalities) -> str:
    """als or adam; UserError where als is asked for and there is a learned encoder, or a form that it cannot join."""
    learned = [modality.name for modality in modalities.each if modality.encoder.learned]
    several = len(modalities.each) > 1
    if settings.solver == "als" and learned:
        raise UserError(
            f"solver=als has no learned encoders, and {', '.join(learned)} has one: set encoders to raw, bag or "
            "category, or solver=adam"
        )
    if settings.solver != "adam" and several and settings.weight != "cp" and not learned and settings.fusion == "lmf":
        raise UserError(f"several modalities are joined by a weight in CP form: leave weight={settings.weight} out")
    if settings.solver != "auto":
        return settings.solver
    return "adam" if learned or (several and settings.fusion != "lmf") or settings.l1 else "als"


def _score(job: Job[Hyperparameters], trained: Trained, data: dict[str, Data]) -> None:
    """Scores every channel, and prints what was measured."""
    model = trained.model
    classes = None if model.labels.classes is None else len(model.labels.classes)
    loss = named(model.settings.loss_name)
    for channel, own in data.items():
        told = evaluate(channel, trained.scores, own, loss, trained.loss_unit, classes, job.world)
        model.evaluations.append(told)
        for name, value in told.measures.items():
            job.metric(f"{channel} {name}", value, unit="score" if name in MORE_IS_BETTER else "loss")
            model.metrics[f"{channel}:{name}"] = value
