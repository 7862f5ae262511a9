"""A folder with a model's files -> a model that is served, warm."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from polyadic import algorithms
from polyadic.artifact import Artifact
from polyadic.jobs.model import Model
from polyadic.serving import metrics
from polyadic.serving.served import Served
from polyadic.serving.settings import Settings

MOST_HELD_BYTES = 2**28
"""Of a model's tensors, which are copied: larger ones are mapped from their file, which workers then share."""


def load(folder: Path, settings: Settings, name: str = "") -> Served:
    """The model in a folder, after a first prediction, which takes longer than those that follow.

    name: of the model where there are several. Raises UserError for what is no model.
    """
    began = time.monotonic()
    artifact = _held(Artifact.read(folder))
    model = algorithms.named(artifact.algorithm).load(artifact)
    warm_up(model)
    metrics.loaded(artifact.algorithm, time.monotonic() - began)
    return Served(model, settings, artifact.algorithm, name)


def _held(artifact: Artifact) -> Artifact:
    """An artifact that stays what it is where its file is overwritten in place, unless it is large."""
    if sum(tensor.nbytes for tensor in artifact.tensors.values()) > MOST_HELD_BYTES:
        return artifact
    return replace(artifact, tensors={name: tensor.clone() for name, tensor in artifact.tensors.items()})


def warm_up(model: Model) -> None:
    """One prediction of the model's own example."""
    model.predict([model.parse(model.example(), {})])
