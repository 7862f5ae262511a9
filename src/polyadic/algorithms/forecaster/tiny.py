"""A forecaster job of a few kilobytes."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from polyadic.formats import jsonlines
from polyadic.jobs.algorithm import TinyJob


def _records(count: int, length: int) -> list[dict[str, Any]]:
    """Series of noise, each with a level of its own, one value missing."""
    random, records = np.random.default_rng(0), []
    for number in range(count):
        target: list[float | None] = (5 + number + random.normal(size=length)).round(3).tolist()
        target[2] = None
        records.append({"start": f"2021-03-0{number + 1} 00:00:00", "target": target})
    return records


def _channels() -> dict[str, dict[str, bytes]]:
    """Six series to train on, in a plain and in a gzipped file, and four to test on."""
    four, two = jsonlines.encode(_records(4, 24)), jsonlines.encode(_records(2, 30))
    return {"train": {"a.json": four, "b.json.gz": gzip.compress(two, mtime=0)}, "test": {"a.json": four}}


TINY_JOB = TinyJob(
    hyperparameters={
        "time_freq": "H",
        "context_length": "6",
        "prediction_length": "3",
        "epochs": "2",
        "num_cells": "4",
        "num_layers": "1",
        "mini_batch_size": "4",
        "learning_rate": "0.01",
        "num_eval_samples": "10",
    },
    channels=_channels,
    instances=[{"start": "2021-05-01 03:00:00", "target": record["target"]} for record in _records(3, 12)],
    steps="epochs",
)
