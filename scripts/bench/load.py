"""Fits beside another process that keeps a core busy, against the same fits on a quiet machine; no setting is made."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.tucker.fit import tucker
from scripts.bench.measure import OURS, Bound, Case, seconds

CALLS, MOST_TIMES = 5, 3.0
BUSY = "while True: pass"
BESIDE = "polyadic, beside a busy process"


def run() -> Iterator[Case]:
    """Median seconds of a call, first quiet, then beside a process that never waits."""
    fits = {name: fit for name, fit in _fits().items() if fit() is None}  # What is compiled is compiled here.
    quiet = {name: _median(fit) for name, fit in fits.items()}
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        beside = {name: _median(fit) for name, fit in fits.items()}
    finally:
        busy.kill()
        busy.wait()
    for number, name in enumerate(fits):
        times = beside[name] / quiet[name]
        yield Case(
            key=f"fit_{number}",
            title=f"Beside a busy process: {name}",
            figures={OURS: quiet[name], BESIDE: beside[name]},
            roles={BESIDE: "polyadic"},
            unit="seconds per call",
            bounds=[Bound("times as long as on a quiet machine", times, MOST_TIMES)],
        ).reported()


def _median(fit: Callable[[], None]) -> float:
    return statistics.median(seconds(fit) for _ in range(CALLS))


def _fits() -> dict[str, Callable[[], None]]:
    large, middle, small = _planted((300, 300, 300), 16), _planted((90, 70, 50), 5), _planted((25, 20, 15), 12)
    gaps = middle.masked_fill(torch.rand(middle.shape, generator=torch.Generator().manual_seed(1)) < 0.5, torch.nan)

    def hooi() -> None:
        tucker(middle, [5, 5, 5], method="hooi")

    def nonnegative() -> None:
        tucker(middle.abs(), [3, 3, 3], method="nonnegative", max_iterations=30)

    return {
        "cp, 300 x 300 x 300, rank 16": partial(_cp, large, 16),
        "cp, 90 x 70 x 50, rank 5": partial(_cp, middle, 5),
        "cp, 25 x 20 x 15, rank 12": partial(_cp, small, 12),
        "cp, 90 x 70 x 50, rank 5, half of the entries known": partial(_cp, gaps, 5, observed=True),
        "cp, 90 x 70 x 50, rank 5, nonnegative": partial(_cp, middle.abs(), 5, nonnegative=True),
        "tucker, 90 x 70 x 50, hooi": hooi,
        "tucker, 90 x 70 x 50, nonnegative": nonnegative,
    }


def _cp(tensor: Tensor, rank: int, *, observed: bool = False, nonnegative: bool = False) -> None:
    cp(tensor, rank, observed=observed, nonnegative=nonnegative)


def _planted(shape: tuple[int, int, int], rank: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    tensor = torch.einsum("ir,jr,kr->ijk", *(torch.randn(rows, rank, generator=random) for rows in shape))
    return tensor + 0.1 * float(tensor.std()) * torch.randn(shape, generator=random)
