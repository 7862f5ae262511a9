"""A tensor-train job of a few kilobytes."""

from __future__ import annotations

from functools import partial

from polyadic.jobs.algorithm import TinyJob
from polyadic.lowrank.tiny import tiny_tensor

TINY_JOB = TinyJob(
    hyperparameters={
        "algorithm": "tensor-train",
        "max_rank": "2",
        "missing": "mask",
        "max_iterations": "8",
        "stop_tol": "0",
        "dtype": "float64",
    },
    channels=partial(tiny_tensor, gaps=True),
    instances=[{"index": [5, 4, 3]}, {"index": [0, None, 1]}, {"index": [2, 1, None], "top_k": 2}],
    steps="max_iterations",
)
