"""A fit of 50 sweeps of ALS over small dense tensors, whole calls, against TensorLy's on numpy and on torch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import tensorly
import torch
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from scripts.bench.measure import OURS, Case, in_turn, seconds
from scripts.bench.planted import Family

SWEEPS, ROUNDS, CALLS = 50, 7, 5
"""Of a fit; and calls of each round, one after another."""
SHAPES = [
    ((13, 4, 12, 8), 4),
    ((10, 20, 30), 3),
    ((40, 40, 40), 5),
    ((438, 6, 11), 3),
    ((100, 50, 30), 6),
    ((64, 12, 10, 60), 4),
    ((200, 200, 50), 10),
]
BEST, AUTO = "TensorLy, the faster", "polyadic, method=auto"


def run() -> Iterator[Case]:
    """Seconds of a call; ours with method=als, whose sweeps these are, and with the default, which finds the fit."""
    for shape, rank in SHAPES:
        for dtype in (np.float32, np.float64):
            array = Family(shape, rank, noise=0.1).planted(0)[0].astype(dtype)
            tensor = torch.from_numpy(array)
            contenders = {
                OURS: partial(_ours, tensor, rank, "als"),
                AUTO: partial(_ours, tensor, rank, "auto"),
                "TensorLy numpy": partial(_tensorly, "numpy", array, rank),
                "TensorLy pytorch": partial(_tensorly, "pytorch", tensor, rank),
            }
            for contender in contenders.values():
                contender()
            figures = in_turn({name: partial(_a_call, contender) for name, contender in contenders.items()}, ROUNDS)
            figures[BEST] = min(figures["TensorLy numpy"], figures["TensorLy pytorch"])
            name = f"{np.dtype(dtype).name}"
            yield Case(
                key="_".join(map(str, shape)) + f"_{name}",
                title=f"CP-ALS, {SWEEPS} sweeps, {' x '.join(map(str, shape))}, rank {rank}, {name}",
                figures=figures,
                targets={BEST: 8.0},
                roles={AUTO: "polyadic"},
                unit="seconds per fit",
            ).reported()


def _a_call(contender: Callable[[], None]) -> float:
    """The median seconds of some calls."""
    return statistics.median(seconds(contender) for _ in range(CALLS))


def _ours(tensor: torch.Tensor, rank: int, method: str) -> None:
    cp(tensor, rank, method=method, max_iterations=SWEEPS, stop_tol=0)  # type: ignore[arg-type]


def _tensorly(backend: str, tensor: object, rank: int) -> None:
    with tensorly.backend_context(backend, local_threadsafe=True):
        parafac(tensor, rank, n_iter_max=SWEEPS, tol=0, init="random", random_state=0)
