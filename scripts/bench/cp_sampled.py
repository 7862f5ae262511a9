"""CP-ARLS-LEV, 10 million nonzeros, rank 50: a sampled sweep against our own exact one, and the fit it reaches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.sparse_data import events, planted

NONZEROS, RANK, SWEEPS, EXACT_SWEEPS = 10_000_000, 50, 20, 3
SAMPLES, CHECK_EVERY = 2**14, 10
LEAST_FIT, LEAST_SPEED_UP = 0.98, 3.0
EXACT = "exact ALS"


def run() -> Iterator[Case]:
    """Counts of events, whose fibres are short, as in logs; then blocks, whose long fibres favour exact ALS."""
    yield _case("events", "counts of events", events(NONZEROS, RANK), targeted=True).reported()
    yield _case("blocks", "blocks of long fibres", planted(NONZEROS, RANK), targeted=False).reported()


class _Watch:
    """The seconds of each sweep, and the times at which the sweeps ended, checks of the error included."""

    def __init__(self) -> None:
        self.sweeps: list[float] = []
        self.ends: list[float] = []

    def __call__(self, progress: Progress) -> bool:
        self.sweeps.append(progress.seconds)
        self.ends.append(time.perf_counter())
        return True


def _case(key: str, kind: str, tensor: SparseTensor, targeted: bool) -> Case:
    """Both fits begin at the same singular vectors and take the same number of sweeps."""
    data, exact, sampled = Data.of(tensor, World.alone()), _Watch(), _Watch()
    whole = cp(data, RANK, init="svd", max_iterations=SWEEPS, stop_tol=0, after_sweep=exact, method="als")
    part = sampled_cp(
        data,
        RANK,
        max_iterations=SWEEPS,
        stop_tol=0,
        samples=SAMPLES,
        check_every=CHECK_EVERY,
        exact_sweeps=EXACT_SWEEPS,
        after_sweep=sampled,
    )
    with_checks = (sampled.ends[-1] - sampled.ends[EXACT_SWEEPS - 1]) / (SWEEPS - EXACT_SWEEPS)
    figures = {
        OURS: statistics.median(sampled.sweeps[EXACT_SWEEPS:]),
        EXACT: statistics.median(exact.sweeps[1:]),
        f"with a check of the error every {CHECK_EVERY} sweeps": with_checks,
    }
    fits = 1 - part.relative_error, 1 - whole.relative_error
    share = fits[0] / fits[1]
    facts = {"fit": f"{fits[0]:.4f}, the exact one's {fits[1]:.4f}, a share of {share:.3f}"}
    return Case(
        key=key,
        title=f"CP-ARLS-LEV, {NONZEROS:,} nonzeros ({kind}), rank {RANK}, {SAMPLES:,} samples",
        figures=figures,
        targets={EXACT: LEAST_SPEED_UP} if targeted else {},
        bounds=[Bound("share of the exact fit", share, LEAST_FIT, "value at least")] if targeted else [],
        facts={**facts, "exact ALS against the sweeps with checks": f"{figures[EXACT] / with_checks:.2f} times"},
    )
