"""A tucker job of a few kilobytes."""

from __future__ import annotations

from polyadic.jobs.algorithm import TinyJob
from polyadic.lowrank.tiny import tiny_tensor

TINY_JOB = TinyJob(
    hyperparameters={
        "algorithm": "tucker",
        "ranks": "[3, 2, 2]",
        "method": "hooi",
        "max_iterations": "8",
        "stop_tol": "0",
        "dtype": "float64",
    },
    channels=tiny_tensor,
    instances=[{"index": [5, 4, 3]}, {"index": [0, None, 1]}, {"index": [2, 1, None], "top_k": 2}],
    steps="max_iterations",
)
