"""Dense CP-ALS, 300 x 300 x 300, rank 16, float32: a sweep against TensorLy's and against the two GEMMs it needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import tensorly
import torch
from tensorly.decomposition import parafac

from polyadic.decomposition.cp import Progress, cp

SIZE, RANK, SWEEPS = 300, 16, 10


def run() -> None:
    """Prints seconds a sweep, medians of interleaved rounds."""
    tensorly.set_backend("pytorch")
    tensor = torch.rand(SIZE, SIZE, SIZE)
    contenders = {"polyadic": _ours, "TensorLy (pytorch)": _theirs, "two GEMMs": _floor}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(3):
        for name, contender in contenders.items():
            times[name].append(contender(tensor))
    ours = statistics.median(times["polyadic"])
    print(f"{SIZE}^3, rank {RANK}, {torch.get_num_threads()} threads\n")
    print("| program | seconds a sweep | against polyadic |\n|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.4f} | {statistics.median(values) / ours:.2f} |")


def _ours(tensor: torch.Tensor) -> float:
    seconds: list[float] = []

    def note(at: Progress) -> bool:
        seconds.append(at.seconds)
        return True

    cp(tensor, RANK, max_iterations=SWEEPS, tol=0, after_sweep=note)
    return statistics.median(seconds)


def _theirs(tensor: torch.Tensor) -> float:
    def fit(sweeps: int) -> float:
        return _seconds(lambda: parafac(tensor, RANK, n_iter_max=sweeps, tol=0, init="random", random_state=0))

    # The difference of two runs leaves the initialisation out.
    return max(fit(3) - fit(1), 1e-9) / 2


def _floor(tensor: torch.Tensor) -> float:
    left, right = torch.rand(SIZE, RANK), torch.rand(SIZE * SIZE, RANK)
    matrix = tensor.reshape(SIZE * SIZE, SIZE)
    return statistics.median(_seconds(lambda: (matrix @ left, right.T @ matrix)) for _ in range(SWEEPS))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
