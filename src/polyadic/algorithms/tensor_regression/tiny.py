"""A tensor-regression job of a few kilobytes."""

from __future__ import annotations

import numpy as np

from polyadic.formats import jsonlines
from polyadic.jobs.algorithm import TinyJob


def _samples(count: int, seed: int) -> list[dict[str, object]]:
    """Tensors of 4 x 3 with a number that a weight of rank 1 gives, but for some noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 4, 3)).round(3)
    label = np.einsum("bij,i,j->b", x, [1.0, -1.0, 0.5, 0.0], [1.0, 0.5, -0.5]) + 0.05 * random.normal(size=count)
    return [{"label": round(float(y), 4), "features": tensor.tolist()} for y, tensor in zip(label, x, strict=True)]


def _channels() -> dict[str, dict[str, bytes]]:
    """Forty samples in two files to train on, and ten to test on."""
    one, two = jsonlines.encode(_samples(25, 0)), jsonlines.encode(_samples(15, 1))
    return {"train": {"a.jsonl": one, "b.jsonl": two}, "test": {"a.jsonl": jsonlines.encode(_samples(10, 2))}}


TINY_JOB = TinyJob(
    hyperparameters={"predictor_type": "regressor", "rank": "1", "wd": "0.001"},
    channels=_channels,
    instances=[{"features": sample["features"]} for sample in _samples(3, 3)],
    steps="max_sweeps",
)
