"""Topics of AP (20 of them): time to a perplexity and coherence, quick and thorough, against tomotopy's sampler."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator

from polyadic.distributed import World
from polyadic.topics.coherence import coherence
from polyadic.topics.refinement import Refined, best_start, refine
from polyadic.topics.spectral import spectral_lda
from scripts.bench.measure import OURS, Case
from scripts.bench.tomotopy_model import tomotopy_beta, tomotopy_model
from scripts.bench.topic_data import Split, associated_press, completion_perplexity

TOPICS, ITERATIONS, STARTS = 20, 400, 4
QUICK_PERPLEXITY, THOROUGH_PERPLEXITY = 2800.0, 2640.0
LEAST_NPMI = {QUICK_PERPLEXITY: 0.20, THOROUGH_PERPLEXITY: 0.22}
LOOK_EVERY_ITERATIONS, LOOK_EVERY_SWEEPS, SWEEPS = 5, 20, 1000
MALLET_FACTOR = 2.2
TOMOTOPY, MALLET = "tomotopy, 2 workers", f"Mallet, as {MALLET_FACTOR} times tomotopy's {SWEEPS:,} sweeps"


def run() -> Iterator[Case]:
    """The clock stands still while perplexity is measured."""
    split = associated_press()
    ours, measured = _ours(split)
    reached, all_sweeps = _tomotopy(split)
    unreached = {} if reached else {TOMOTOPY: f"the perplexity is not reached in these {SWEEPS:,} sweeps"}
    quick = {OURS: ours[QUICK_PERPLEXITY], TOMOTOPY: reached or all_sweeps}
    facts = {"what was reached": measured[QUICK_PERPLEXITY], **unreached}
    yield _case("quick", QUICK_PERPLEXITY, quick, {TOMOTOPY: 4.0}, facts).reported()
    thorough = {OURS: ours[THOROUGH_PERPLEXITY], MALLET: MALLET_FACTOR * all_sweeps}
    facts = {"what was reached": measured[THOROUGH_PERPLEXITY]}
    yield _case("thorough", THOROUGH_PERPLEXITY, thorough, {MALLET: 3.0}, facts).reported()


class _Clock:
    """Seconds that a fit has taken, without those that are spent on looking at it."""

    def __init__(self) -> None:
        self.seconds, self.began = 0.0, time.perf_counter()

    def stopped(self, look: Callable[[], None]) -> None:
        self.seconds += time.perf_counter() - self.began
        look()
        self.began = time.perf_counter()


def _ours(split: Split) -> tuple[dict[float, float], dict[float, str]]:
    """Seconds to each perplexity, and what was measured then."""
    times: dict[float, float] = {}
    measured: dict[float, str] = {}
    clock = _Clock()
    train, seeds = split.train, range(STARTS)
    moments = (
        spectral_lda(lambda: [train], TOPICS, terms=train.terms, max_restarts=2, max_iterations=60, seed=seed)[0]
        for seed in seeds
    )
    begun = best_start(train, moments, iterations=ITERATIONS)
    first = time.perf_counter() - clock.began

    def look(progress: Refined) -> None:
        perplexity = completion_perplexity(progress.topics.beta, split)
        npmi = float(coherence(progress.topics, train, World.alone())[0].mean())
        for target, least_npmi in LEAST_NPMI.items():
            if perplexity <= target and npmi >= least_npmi and target not in times:
                times[target] = clock.seconds
                measured[target] = (
                    f"perplexity {perplexity:,.0f} and NPMI {npmi:.3f} (to be {least_npmi}) after "
                    f"{progress.iteration} iterations, {first:.2f} s for the best of {STARTS} starts"
                )

    def after(progress: Refined) -> bool:
        if progress.iteration % LOOK_EVERY_ITERATIONS == 0:
            clock.stopped(lambda: look(progress))
        return THOROUGH_PERPLEXITY not in times

    clock.stopped(lambda: look(begun))
    final = refine(train, begun.topics, iterations=ITERATIONS, progress=begun, after_iteration=after)
    perplexity = completion_perplexity(final.topics.beta, split)
    for target in LEAST_NPMI:
        times.setdefault(target, math.inf)
        measured.setdefault(target, f"not reached in {ITERATIONS} iterations: perplexity {perplexity:,.0f}, see NPMI")
    return times, measured


def _tomotopy(split: Split) -> tuple[float | None, float]:
    """Seconds to the quick perplexity, None where it is not reached, and seconds of all sweeps."""
    model = tomotopy_model(split.train, TOPICS)
    clock = _Clock()
    reached: float | None = None

    def look() -> None:
        nonlocal reached
        beta = tomotopy_beta(model, split.train.terms)
        if reached is None and completion_perplexity(beta, split) <= QUICK_PERPLEXITY:
            reached = clock.seconds

    warnings.filterwarnings("ignore", message="The training result may differ")
    for _ in range(SWEEPS // LOOK_EVERY_SWEEPS):
        model.train(LOOK_EVERY_SWEEPS, workers=2)
        clock.stopped(look)
    return reached, clock.seconds


def _case(
    key: str, perplexity: float, figures: dict[str, float], targets: dict[str, float], facts: dict[str, str]
) -> Case:
    title = f"topics of AP, K = {TOPICS}, to a completion perplexity of {perplexity:,.0f}"
    return Case(key=key, title=title, figures=figures, targets=targets, unit="seconds", facts=facts)
