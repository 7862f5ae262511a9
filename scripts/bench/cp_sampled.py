"""CP-ARLS-LEV, 10 million nonzeros, rank 50: a sampled sweep against our own exact one, and the fit it reaches."""

from __future__ import annotations

import statistics
import time

from polyadic.decomposition.cp.als import Data, Progress, cp
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Case
from scripts.bench.sparse_data import events, planted

NONZEROS, RANK, SWEEPS, EXACT = 10_000_000, 50, 20, 3
SAMPLES, CHECK_EVERY = 2**14, 10
FIT = 0.98


def run() -> None:
    """Counts of events, whose fibres are short, as logs give them; then blocks, whose long fibres favour exact ALS."""
    _case("events", events(NONZEROS, RANK), 3.0)
    _case("blocks of long fibres", planted(NONZEROS, RANK), None)


class _Watch:
    """Seconds of each sweep, and of all since the sampled ones began, checks of the error included."""

    def __init__(self) -> None:
        self.sweeps: list[float] = []
        self.ends: list[float] = []

    def __call__(self, at: Progress) -> bool:
        self.sweeps.append(at.seconds)
        self.ends.append(time.perf_counter())
        return True


def _case(name: str, tensor: SparseTensor, target: float | None) -> None:
    """Both begin at the same singular vectors; the same number of sweeps."""
    data, exact, sampled = Data.of(tensor, World.alone()), _Watch(), _Watch()
    how = {"samples": SAMPLES, "check_every": CHECK_EVERY, "exact_sweeps": EXACT}
    whole = cp(data, RANK, init="svd", max_iterations=SWEEPS, tol=0, after_sweep=exact)
    part = sampled_cp(data, RANK, max_iterations=SWEEPS, tol=0, after_sweep=sampled, **how)  # type: ignore[arg-type]
    figures = {OURS: statistics.median(sampled.sweeps[EXACT:]), "exact ALS": statistics.median(exact.sweeps[1:])}
    with_checks = (sampled.ends[-1] - sampled.ends[EXACT - 1]) / (SWEEPS - EXACT)
    share = (1 - part.relative_error) / (1 - whole.relative_error)
    verdict = "" if target is None else f", {'met' if share >= FIT else 'MISSED'}"
    more = {
        "fit": f"{1 - part.relative_error:.4f} of {1 - whole.relative_error:.4f}: {share:.3f}, to be {FIT}{verdict}",
        "with a check of the error every so many sweeps": f"{CHECK_EVERY}: {with_checks:.4f} s a sweep, "
        f"{figures['exact ALS'] / with_checks:.2f} x",
    }
    name = f"CP-ARLS-LEV, {NONZEROS:,} nonzeros ({name}), rank {RANK}, {SAMPLES:,} samples"
    Case(name, figures, {} if target is None else {"exact ALS": target}, more=more).report()
