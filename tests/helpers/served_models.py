"""A small model of each algorithm, as a folder of its artifact."""

from __future__ import annotations

from pathlib import Path

import torch

from polyadic.algorithms import choose
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters as ForecasterHyperparameters
from polyadic.algorithms.forecaster.model import Model as ForecasterModel
from polyadic.algorithms.forecaster.network import build
from polyadic.algorithms.lda.hyperparameters import Hyperparameters as LdaHyperparameters
from polyadic.algorithms.lda.model import Model as LdaModel
from polyadic.jobs.model import Model
from polyadic.topics.spectral import Topics
from tests.helpers.opt_ml import FORECASTER
from tests.helpers.small_models import rank_one_model, small_cp, small_train, small_tucker


def small_lda(topics: int = 3, terms: int = 8) -> LdaModel:
    """Topics of terms of their own, each with a little of the others."""
    beta = torch.full((topics, terms), 0.05)
    for topic in range(topics):
        beta[topic, topic::topics] = 1.0
    alpha = torch.full((topics,), 0.1)
    settings = LdaHyperparameters(num_topics=topics, feature_dim=terms)
    return LdaModel(settings=settings, topics=Topics(beta / beta.sum(1, keepdim=True), alpha), metrics={})


def small_forecaster(**changes: str) -> ForecasterModel:
    """A network as it begins."""
    _, settings = choose({**FORECASTER, "algorithm": "forecaster", **changes})
    assert isinstance(settings, ForecasterHyperparameters)
    return ForecasterModel(settings=settings, network=build(settings), fixed=None, metrics={})


def constant_cp(value: float, rows: int = 2) -> Model:
    """A CP model all of whose entries are a value; it has a row of mode 0 for each of `rows`."""
    ones = (torch.ones(2, dtype=torch.float64) for _ in range(2))
    return rank_one_model(torch.full((rows,), value, dtype=torch.float64), *ones)


def written(model: Model, folder: Path) -> Path:
    """The folder of a model, as SageMaker lays it below that of all models: HASH/model."""
    model.artifact().write(folder / "model")
    return folder / "model"


def one_of_each() -> dict[str, Model]:
    """A model of each algorithm."""
    return {
        "cp": small_cp()[0],
        "tucker": small_tucker()[0],
        "tensor-train": small_train()[0],
        "lda": small_lda(),
        "forecaster": small_forecaster(),
    }
