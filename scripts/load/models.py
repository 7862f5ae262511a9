"""Models of a usual size, each with what it may be asked: for load alone, since nothing was learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyadic import algorithms
from polyadic.algorithms import forecaster, lda
from polyadic.algorithms.forecaster.network import build
from polyadic.algorithms.lda.model import Model as LdaModel
from polyadic.artifact import Artifact
from polyadic.formats import Row, npy, pack_rows, recordio
from polyadic.jobs.model import Model
from polyadic.lowrank.model import FINAL_ERROR
from polyadic.topics.spectral import Topics

SHAPE, RANK = (1000, 500, 200), 16
TOPICS, TERMS, WORDS = 20, 5000, 60
CONTEXT, HORIZON = 168, 24
SMALL_SHAPE, SMALL_TERMS = (6, 5, 4), 8


@dataclass(frozen=True)
class Work:
    """What a server is asked: a body of a content type that holds so many instances."""

    kind: str
    body: bytes
    instances: int


def artifact(name: str, small: bool = False) -> Artifact:
    """The artifact of `cp`, `lda` or `forecaster`, of a usual size or of the smallest."""
    random = torch.Generator().manual_seed(0)
    if name == "cp":
        shape = SMALL_SHAPE if small else SHAPE
        factors = {f"factor_{n}": torch.randn(rows, RANK, generator=random) for n, rows in enumerate(shape)}
        return Artifact("cp", {"rank": RANK}, {"weights": torch.ones(RANK), **factors}, metrics={FINAL_ERROR: 0.1})
    model: Model
    if name == "lda":
        terms = SMALL_TERMS if small else TERMS
        beta = -(torch.rand(TOPICS, terms, generator=random).log() ** 8)  # Few words make up most of a topic.
        settings = lda.Hyperparameters(num_topics=TOPICS, feature_dim=terms)
        alpha = torch.full((TOPICS,), 0.1)
        model = LdaModel(settings=settings, topics=Topics(beta / beta.sum(1, keepdim=True), alpha), metrics={})
    else:
        lengths = {"context_length": str(24 if small else CONTEXT), "prediction_length": str(12 if small else HORIZON)}
        _, options = algorithms.choose({"time_freq": "H", **lengths, "epochs": "1"})
        assert isinstance(options, forecaster.Hyperparameters)
        model = forecaster.model.Model(settings=options, network=build(options), fixed=None, metrics={})
    return model.artifact()


def work(name: str, instances: int, kind: str = "application/json") -> Work:
    """A body with so many instances for a model."""
    random = np.random.default_rng(0)
    if name == "cp":
        index = np.stack([random.integers(0, rows, instances) for rows in SHAPE], 1)
        if kind == "application/x-npy":
            return Work(kind, npy.encode(index), instances)
        return _json([{"index": row} for row in index.tolist()])
    if name == "lda":
        columns = [np.sort(random.choice(TERMS, WORDS, replace=False)) for _ in range(instances)]
        counts = [random.integers(1, 5, WORDS) for _ in range(instances)]
        if kind == "application/x-recordio-protobuf":
            return Work(kind, _records(columns, counts), instances)
        each = zip(columns, counts, strict=True)
        return _json(
            [{"data": {"features": {"keys": k.tolist(), "shape": [TERMS], "values": v.tolist()}}} for k, v in each]
        )
    hours = np.arange(CONTEXT)
    days = [3 + np.sin(2 * np.pi * (hours + shift) / 24) for shift in range(instances)]
    series = [{"start": "2020-01-01 00:00:00", "target": np.round(day, 4).tolist()} for day in days]
    return _json(
        series, configuration={"num_samples": 100, "output_types": ["mean", "quantiles"], "quantiles": ["0.1", "0.9"]}
    )


def written(name: str, base: Path, small: bool = False) -> Path:
    """The folder base, in whose `model` the model of that name lies."""
    artifact(name, small).write(base / "model")
    return base


def _json(instances: list[Any], **more: Any) -> Work:
    return Work("application/json", json.dumps({"instances": instances, **more}).encode(), len(instances))


def _records(columns: list[Any], counts: list[Any]) -> bytes:
    rows = [Row(n + 1, k, v, TERMS) for n, (k, v) in enumerate(zip(columns, counts, strict=True))]
    return recordio.encode(pack_rows(rows))
