"""/opt/ml/model -> a model, warm."""

from __future__ import annotations

from pathlib import Path

from polyadic import algorithms
from polyadic.artifact import Artifact
from polyadic.jobs.model import Model


def load(folder: Path) -> Model:
    """The model in a folder, after a first prediction, which takes longer than those that follow."""
    artifact = Artifact.read(folder)
    model = algorithms.named(artifact.algorithm).load(artifact)
    warm_up(model)
    return model


def warm_up(model: Model) -> None:
    """One prediction of the model's own example."""
    model.predict([model.parse(model.example(), {})])
