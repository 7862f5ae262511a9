"""An lda job of a few kilobytes."""

from __future__ import annotations

import numpy as np

from polyadic.formats import csv
from polyadic.jobs.algorithm import TinyJob


def _channels() -> dict[str, dict[str, bytes]]:
    """Counts of 8 terms: half of the documents have the even terms more often, the others the odd ones."""
    random = np.random.default_rng(0)
    weights = np.where(np.arange(8) % 2 == np.arange(40)[:, None] % 2, 6.0, 1.0)
    counts = [random.multinomial(12, row / row.sum()).tolist() for row in weights]
    return {
        "train": {"counts.csv": csv.encode(counts)},
        "test": {"counts.csv": csv.encode(counts[:6])},
        "vocabulary": {"terms.txt": "".join(f"term{number}\n" for number in range(8)).encode()},
    }


TINY_JOB = TinyJob(
    hyperparameters={
        "algorithm": "lda",
        "num_topics": "2",
        "feature_dim": "8",
        "refine_iterations": "6",
        "refine_starts": "1",
    },
    channels=_channels,
    instances=[
        {"features": [3, 0, 2, 0, 4, 0, 1, 0]},
        {"data": {"features": {"keys": [1, 5], "shape": [8], "values": [2, 3]}}},
        {"data": {"features": {"values": [0, 0, 0, 0, 0, 0, 0, 0]}}},
    ],
    steps="max_iterations",
)
