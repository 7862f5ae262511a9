"""Seconds until a fit of a large tensor is as good as 100 sweeps of alternating least squares make it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import Method, cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Case, in_turn
from scripts.bench.sparse_data import planted, zipf

RANK, SWEEPS, ROUNDS = 16, 100, 3
ALS = "method=als"


def run() -> Iterator[Case]:
    """Planted components under noise, random numbers, and the nonzeros of a planted tensor; float32, defaults."""
    tensors: dict[str, tuple[str, Callable[[], Tensor | SparseTensor]]] = {
        "planted_300": ("300 x 300 x 300, planted, noise 10 %", partial(_planted, (300, 300, 300))),
        "random_300": ("300 x 300 x 300, random numbers", _random),
        "planted_1000": ("1000 x 1000 x 100, planted, noise 10 %", partial(_planted, (1000, 1000, 100))),
        "sparse": ("2,000 x 10,000 x 20,000, 2 million nonzeros, planted", partial(planted, 2_000_000, RANK)),
        "zipf": ("2,000 x 10,000 x 20,000, 2 million nonzeros, random", partial(zipf, 2_000_000)),
    }
    for key, (name, make) in tensors.items():
        tensor = make()
        goal = _fit(tensor, "als", 0.0)[1]
        contenders = {OURS: partial(_seconds, tensor, "auto", goal), ALS: partial(_seconds, tensor, "als", goal)}
        yield Case(
            key=key,
            title=f"CP, to the error of {SWEEPS} sweeps: {name}, rank {RANK}",
            figures=in_turn(contenders, ROUNDS),
            targets={ALS: 1.0},
            roles={ALS: "polyadic"},
            unit="seconds",
            facts={"errors": f"{ALS} ends at {goal:.4f}, a whole call of polyadic at {_whole(tensor):.4f}"},
        ).reported()


def _seconds(tensor: Tensor | SparseTensor, method: Method, goal: float) -> float:
    return _fit(tensor, method, goal)[0]


def _fit(tensor: Tensor | SparseTensor, method: Method, goal: float) -> tuple[float, float]:
    """The seconds until the error is at most `goal`, infinite where it is not reached; and the error at the end."""
    began, reached = time.perf_counter(), list[float]()

    def see(progress: Progress) -> bool:
        if progress.relative_error <= goal:
            reached.append(time.perf_counter() - began)
        return not reached

    tolerance = 0.0 if method == "als" else 1e-6
    model = cp(tensor, RANK, method=method, max_iterations=SWEEPS, stop_tol=tolerance, after_sweep=see)
    return (reached or [math.inf])[0], model.relative_error


def _whole(tensor: Tensor | SparseTensor) -> float:
    return cp(tensor, RANK).relative_error


def _random() -> Tensor:
    return torch.rand(300, 300, 300, generator=torch.Generator().manual_seed(0))


def _planted(shape: tuple[int, int, int]) -> Tensor:
    """Components of normal numbers under noise of a tenth of their norm."""
    random = torch.Generator().manual_seed(0)
    first, second, third = (torch.randn(rows, RANK, generator=random) for rows in shape)
    tensor = torch.einsum("ir,jr,kr->ijk", first, second, third)
    noise = torch.randn(shape, generator=random)
    return tensor.add_(noise, alpha=0.1 * float(tensor.norm() / noise.norm()))
