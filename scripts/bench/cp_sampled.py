"""CP-ARLS-LEV, 10 million nonzeros, rank 50: a sampled sweep against our own exact one, and the fit it reaches."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from polyadic.decomposition.cp import Data, Progress, cp
from polyadic.decomposition.cp_sampled import sampled_cp
from polyadic.distributed import World
from scripts.bench.measure import OURS, Case
from scripts.bench.sparse_data import planted

NONZEROS, RANK, SWEEPS = 10_000_000, 50, 20
FIT = 0.98


def run() -> None:
    """Both begin at the same singular vectors; the same number of sweeps."""
    data = Data.of(planted(NONZEROS, RANK), World.alone())
    exact: list[float] = []
    sampled: list[float] = []

    def note(seconds: list[float]) -> Callable[[Progress], bool]:
        def after_sweep(at: Progress) -> bool:
            seconds.append(at.seconds)
            return True

        return after_sweep

    whole = cp(data, RANK, init="svd", max_iterations=SWEEPS, tol=0, after_sweep=note(exact))
    part = sampled_cp(data, RANK, max_iterations=SWEEPS, tol=0, after_sweep=note(sampled))
    figures = {OURS: statistics.median(sampled[3:]), "exact ALS": statistics.median(exact[1:])}
    share = (1 - part.relative_error) / (1 - whole.relative_error)
    fits = f"{1 - part.relative_error:.4f} of {1 - whole.relative_error:.4f}: {share:.3f}, to be {FIT} at least"
    more = {"fit": f"{fits}, {'met' if share >= FIT else 'MISSED'}"}
    Case(f"CP-ARLS-LEV, {NONZEROS:,} nonzeros, rank {RANK}", figures, {"exact ALS": 3.0}, more=more).report()
