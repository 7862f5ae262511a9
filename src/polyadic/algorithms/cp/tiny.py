"""A cp job of a few kilobytes."""

from __future__ import annotations

import numpy as np

from polyadic.formats import npy
from polyadic.jobs.algorithm import TinyJob


def _channels() -> dict[str, dict[str, bytes]]:
    """A tensor of 6 x 5 x 4, of rank 3 but for some noise."""
    random = np.random.default_rng(0)
    factors = [random.random((rows, 3)) for rows in (6, 5, 4)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors) + 0.05 * random.random((6, 5, 4))
    return {"train": {"tensor.npy": npy.encode(tensor)}}


TINY_JOB = TinyJob(
    hyperparameters={"algorithm": "cp", "rank": "2", "max_iterations": "8", "stop_tol": "0", "dtype": "float64"},
    channels=_channels,
    instances=[{"index": [0, 0, 0]}, {"index": [5, 4, 3]}, {"index": [2, 1, 3]}],
    steps="max_iterations",
)
