"""A cp job of a few kilobytes."""

from __future__ import annotations

from polyadic.jobs.algorithm import TinyJob
from polyadic.lowrank.tiny import tiny_tensor

TINY_JOB = TinyJob(
    hyperparameters={"algorithm": "cp", "rank": "2", "max_iterations": "8", "stop_tol": "0", "dtype": "float64"},
    channels=tiny_tensor,
    instances=[{"index": [0, 0, 0]}, {"index": [5, 4, 3]}, {"index": [2, 1, 3]}],
    steps="max_iterations",
)
