"""Where alternating least squares crawls: sweeps against Gauss-Newton steps from the same starts, on exact tensors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.planted import Family, degenerate, matrix_multiplication

SEEDS, MOST_STEPS, MOST_SWEEPS, CALLS = 5, 1000, 20_000, 20
TIMES = 20.0
ALS = "sweeps of method=als"


def run() -> Iterator[Case]:
    """Steps of method=nls, the median over starts, to an error that only models near an exact one have."""
    swamps: dict[str, tuple[str, Tensor, int, float]] = {
        "collinear": ("50 x 50 x 50, rank 5, cosine 0.99", _planted(Family((50, 50, 50), 5, cosine=0.99)), 5, 1e-5),
        "collinear_ten": (
            "40 x 40 x 40, rank 10, cosine 0.99",
            _planted(Family((40, 40, 40), 10, cosine=0.99)),
            10,
            1e-4,
        ),
        "degenerate": ("two factors that degenerate, 10 x 10 x 10, rank 2", torch.from_numpy(degenerate(10)), 2, 3e-3),
        "multiplication": ("2 x 2 matrix multiplication, rank 7", torch.from_numpy(matrix_multiplication(2)), 7, 1e-3),
    }
    for key, (name, tensor, rank, goal) in swamps.items():
        figures = {
            OURS: statistics.median(_steps(tensor, rank, "nls", seed, goal) for seed in range(SEEDS)),
            ALS: statistics.median(_steps(tensor, rank, "als", seed, goal) for seed in range(SEEDS)),
        }
        yield Case(
            key=key,
            title=f"CP in a swamp, to an error of {goal:g}: {name}",
            figures=figures,
            targets={ALS: TIMES},
            roles={ALS: "polyadic"},
            unit="steps or sweeps",
        ).reported()
    for size, rank in ((2, 7), (3, 23)):
        tensor = torch.from_numpy(matrix_multiplication(size))
        exact = sum(cp(tensor, rank, seed=seed).relative_error < 1e-9 for seed in range(CALLS)) / CALLS
        yield Case(
            key=f"multiplication_{size}",
            title=f"CP, one call with defaults: {size} x {size} matrix multiplication at rank {rank}",
            figures={OURS: 1 / exact if exact else math.inf},
            unit="calls for an exact decomposition",
            bounds=[Bound("share of calls that find one", exact, 0.95, "value at least")],
        ).reported()


def _planted(family: Family) -> Tensor:
    return torch.from_numpy(family.planted(0)[0]).double()


def _steps(tensor: Tensor, rank: int, method: Literal["als", "nls"], seed: int, goal: float) -> float:
    """The steps or sweeps from a random start until the error is `goal`; infinite where it is not reached."""
    taken = [0]

    def see(progress: Progress) -> bool:
        taken[0] = progress.iteration
        return progress.relative_error > goal

    most = MOST_SWEEPS if method == "als" else MOST_STEPS
    model = cp(tensor, rank, method=method, seed=seed, max_iterations=most, stop_tol=0, after_sweep=see)
    return taken[0] if model.relative_error <= 1.001 * goal else math.inf
