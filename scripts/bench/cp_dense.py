"""Dense CP-ALS, rank 16, float32: 300 x 300 x 300 and 80^4 against TensorLy and pyttb, and against a sweep's GEMMs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyttb
import tensorly
import torch
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from scripts.bench.measure import OURS, Case, in_turn, seconds, seconds_per_sweep

RANK = 16
GEMMS, BEST_OTHERS = "two GEMMs", "the faster of the others"
CASES = {
    "cube": ((300, 300, 300), {"TensorLy pytorch": 10.0, BEST_OTHERS: 5.0, GEMMS: 1 / 1.3}),
    "order_4": ((80, 80, 80, 80), {BEST_OTHERS: 5.0}),
}


def run() -> Iterator[Case]:
    """Seconds per sweep; every program computes its error after each sweep."""
    for key, (shape, targets) in CASES.items():
        array = np.random.default_rng(0).random(shape, np.float32)
        tensor = torch.from_numpy(array)
        figures = in_turn(
            {
                OURS: seconds_per_sweep(partial(_ours, tensor)),
                "TensorLy pytorch": seconds_per_sweep(partial(_tensorly, "pytorch", tensor)),
                "TensorLy numpy": seconds_per_sweep(partial(_tensorly, "numpy", array)),
                "pyttb": seconds_per_sweep(partial(_pyttb, array)),
                GEMMS: partial(_gemms, tensor),
            },
        )
        others = ["TensorLy numpy", "pyttb", *(["TensorLy pytorch"] if len(shape) > 3 else [])]
        figures[BEST_OTHERS] = min(figures[name] for name in others)
        if torch.cuda.is_available():
            figures |= in_turn({"polyadic on the GPU": seconds_per_sweep(partial(_ours, tensor.cuda()))})
        title = f"dense CP-ALS, {' x '.join(map(str, shape))}, rank {RANK}"
        yield Case(key=key, title=title, figures=figures, targets=targets, roles={GEMMS: "floor"}).reported()


def _ours(tensor: torch.Tensor, sweeps: int) -> None:
    cp(tensor, RANK, max_iterations=sweeps, stop_tol=0, method="als")


def _tensorly(backend: str, tensor: object, sweeps: int) -> None:
    with tensorly.backend_context(backend, local_threadsafe=True):
        parafac(tensor, RANK, n_iter_max=sweeps, tol=1e-15, init="random", random_state=0)


def _pyttb(array: np.ndarray, sweeps: int) -> None:
    pyttb.cp_als(pyttb.tensor(array), RANK, stoptol=0, maxiters=sweeps, printitn=0)


def _gemms(tensor: torch.Tensor) -> float:
    """The two products of the data with a Khatri-Rao product that a sweep over a dimension tree needs."""
    half = math.prod(tensor.shape[: (tensor.ndim + 1) // 2])
    matrix = tensor.reshape(half, -1)
    left, right = torch.rand(half, RANK), torch.rand(matrix.shape[1], RANK)
    return seconds(lambda: (matrix @ right, left.T @ matrix))
