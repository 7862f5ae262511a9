"""What als says that it needs is no less than what it takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms.tensor_regression.batches import Data
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.memory import needs_of_als

MEASURED = """
import resource, sys, torch
from polyadic.regression import tensor_regression
shape, rank, options = eval(sys.argv[1])
small = torch.randn(64, *shape[1:])
tensor_regression(small, small.flatten(1)[:, 0], rank, max_sweeps=2, **options)
x = torch.randn(shape)
label = x.flatten(1)[:, 0].clone()
begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tensor_regression(x, label, rank, wd=1e-3, max_sweeps=3, **options)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun) * 1024)
"""


class Columns:
    """Samples of one tensor in their place, of which no number is read."""

    settled = True

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._one = torch.zeros(1, *shape[1:])
        self.nbytes = 4.0 * float(np.prod(shape))

    def take(self, _rows: Any) -> list[torch.Tensor]:
        return [self._one]


def needed(shape: tuple[int, ...], **settings: Any) -> dict[str, float]:
    data: Any = Data(Columns(shape), np.zeros(shape[0]), np.ones(shape[0], np.float32))  # type: ignore[arg-type]
    return dict(needs_of_als(data, None, Hyperparameters(predictor_type="regressor", wd=1e-3, **settings)).parts)


def test_edges_take_the_copy_that_smoothness_takes() -> None:
    shape = (80_000, 32, 32)
    smooth, edges = (needed(shape, rank="1", **more) for more in ({"smoothness": 16.0}, {"edges": True}))
    assert smooth == edges and smooth["samples"] >= 4 * np.prod(shape)
    assert needed(shape, rank="1")["samples"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "rank", "weight"),
    [
        ((310_000, 30), 1, "cp"),
        ((160_000, 20, 3), 1, "cp"),
        ((160_000, 20, 3), 3, "cp"),
        ((9_400, 32, 31), 1, "cp"),
        ((9_400, 32, 31), 4, "tucker"),
        ((6_000, 64, 64), 3, "tensor-train"),
    ],
    ids=str,
)
def test_a_fit_takes_no_more(shape: tuple[int, ...], rank: int, weight: str) -> None:
    given = repr((shape, rank, {"weight": weight}))
    done = subprocess.run([sys.executable, "-c", MEASURED, given], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= needed(shape, rank=str(rank), weight=weight)["contractions"]
