"""Dense CP-ALS, rank 16, float32: 300 x 300 x 300 and 80^4 against TensorLy and pyttb, and against a sweep's GEMMs."""

from __future__ import annotations

import math

import numpy as np
import pyttb
import tensorly
import torch
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.als import cp
from scripts.bench.measure import OURS, Case, a_sweep, in_turn, seconds

RANK = 16
SHAPES = {
    (300, 300, 300): {"TensorLy pytorch": 10.0, "the better": 5.0, "two GEMMs": 1 / 1.3},
    (80, 80, 80, 80): {"the better": 5.0},
}


def run() -> None:
    """Seconds a sweep, every program with its error after each sweep."""
    for shape, targets in SHAPES.items():
        array = np.random.default_rng(0).random(shape, np.float32)
        tensor = torch.from_numpy(array)
        figures = in_turn(
            {
                OURS: a_sweep(lambda n, x=tensor: cp(x, RANK, max_iterations=n, tol=0)),  # type: ignore[misc]
                "TensorLy pytorch": a_sweep(lambda n, x=tensor: _tensorly("pytorch", x, n)),  # type: ignore[misc]
                "TensorLy numpy": a_sweep(lambda n, x=array: _tensorly("numpy", x, n)),  # type: ignore[misc]
                "pyttb": a_sweep(lambda n, x=array: _pyttb(x, n)),  # type: ignore[misc]
                "two GEMMs": lambda x=tensor: _gemms(x),  # type: ignore[misc]
            },
        )
        peers = ["TensorLy numpy", "pyttb", *(["TensorLy pytorch"] if len(shape) > 3 else [])]
        figures["the better"] = min(figures[name] for name in peers)
        if torch.cuda.is_available():
            figures |= _on_gpu(tensor)
        Case(f"dense CP-ALS {'x'.join(map(str, shape))}, rank {RANK}", figures, targets).report()


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


def _on_gpu(tensor: torch.Tensor) -> dict[str, float]:
    there = tensor.cuda()
    return in_turn({"polyadic on the GPU": a_sweep(lambda n: cp(there, RANK, max_iterations=n, tol=0))})
