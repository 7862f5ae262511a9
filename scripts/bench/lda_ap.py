"""Topics of AP (20 of them): time to a perplexity and coherence, quick and thorough, against tomotopy's sampler."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import tomotopy
import torch

from polyadic.distributed import World
from polyadic.topics.coherence import coherence
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import Refined, best_start, refine
from polyadic.topics.spectral import spectral_lda
from scripts.bench.measure import OURS, Case
from scripts.bench.topic_data import Split, associated_press, completion_perplexity

TOPICS, QUICK, THOROUGH = 20, 2800.0, 2640.0
ITERATIONS, STARTS, SWEEPS, MALLET = 400, 4, 1000, 2.2
NPMI = {QUICK: 0.20, THOROUGH: 0.22}


def run() -> None:
    """The clock stands still while perplexity is measured."""
    split = associated_press()
    if split is None:
        return
    ours, measured = _ours(split)
    theirs, sweeps = _tomotopy(split)
    name = "tomotopy, 2 workers" if theirs else f"tomotopy, 2 workers, not there in {SWEEPS:,} sweeps"
    _report(QUICK, ours, measured, {name: theirs or sweeps}, {name: 4.0})
    name = f"Mallet, as {MALLET} x tomotopy's {SWEEPS:,} sweeps"
    _report(THOROUGH, ours, measured, {name: MALLET * sweeps}, {name: 3.0})


class _Clock:
    """Seconds that a fit has taken, without those that are spent on looking at it."""

    def __init__(self) -> None:
        self.seconds, self.began = 0.0, time.perf_counter()

    def stopped(self, look: Callable[[], None]) -> None:
        self.seconds += time.perf_counter() - self.began
        look()
        self.began = time.perf_counter()


def _ours(split: Split) -> tuple[dict[float, float], dict[float, str]]:
    """Seconds to each perplexity, and what was measured there."""
    times: dict[float, float] = {}
    said: dict[float, str] = {}
    clock = _Clock()
    train, seeds = split.train, range(STARTS)
    moments = (
        spectral_lda(lambda: [train], train.terms, TOPICS, max_restarts=2, max_iterations=60, seed=seed)[0]
        for seed in seeds
    )
    begun = best_start(train, moments, iterations=ITERATIONS)
    first = time.perf_counter() - clock.began

    def look(at: Refined) -> None:
        perplexity = completion_perplexity(at.topics.beta, split)
        npmi = float(coherence(at.topics, train, World.alone())[0].mean())
        for target in (QUICK, THOROUGH):
            if perplexity <= target and npmi >= NPMI[target] and target not in times:
                times[target] = clock.seconds
                said[target] = (
                    f"perplexity {perplexity:,.0f} and NPMI {npmi:.3f} (to be {NPMI[target]}) after {at.iteration} "
                    f"iterations, {first:.2f} s for the best of {STARTS} starts"
                )

    def after(at: Refined) -> bool:
        if at.iteration % 5 == 0:
            clock.stopped(lambda: look(at))
        return THOROUGH not in times

    clock.stopped(lambda: look(begun))
    at = refine(train, begun.topics, iterations=ITERATIONS, progress=begun, after_iteration=after)
    perplexity = completion_perplexity(at.topics.beta, split)
    for target in (QUICK, THOROUGH):
        times.setdefault(target, math.inf)
        said.setdefault(target, f"not reached in {ITERATIONS} iterations: perplexity {perplexity:,.0f}, see NPMI")
    return times, said


def _tomotopy(split: Split) -> tuple[float | None, float]:
    """Seconds to the quick perplexity, where it is reached, and of 1,000 sweeps."""
    model = tomotopy.LDAModel(k=TOPICS, seed=0)
    for words in tokens(split.train):
        model.add_doc(words)
    clock = _Clock()
    reached: float | None = None

    def look() -> None:
        nonlocal reached
        if reached is None and completion_perplexity(_beta(model, split.train.terms), split) <= QUICK:
            reached = clock.seconds

    warnings.filterwarnings("ignore", message="The training result may differ")
    for _ in range(SWEEPS // 20):
        model.train(20, workers=2)
        clock.stopped(look)
    return reached, clock.seconds


def tokens(corpus: Corpus) -> list[list[str]]:
    """Documents as their words, one after another."""
    words, counts = corpus.words.numpy(), corpus.counts.numpy().astype(int)
    edges = corpus.offsets.tolist()
    return [np.repeat(words[a:b], counts[a:b]).astype(str).tolist() for a, b in itertools.pairwise(edges)]


def _beta(model: tomotopy.LDAModel, terms: int) -> torch.Tensor:
    """Its topics in our order of the terms; a term that it has not seen has its smoothing."""
    beta = np.full((model.k, terms), 1e-9)
    place = np.array([int(word) for word in model.used_vocabs])
    for topic in range(model.k):
        beta[topic, place] = model.get_topic_word_dist(topic)
    return torch.from_numpy(beta / beta.sum(1, keepdims=True))


def _report(
    target: float, ours: dict[float, float], said: dict[float, str], theirs: dict[str, float], targets: dict[str, float]
) -> None:
    figures = {OURS: ours[target], **theirs}
    name = f"topics of AP, K = {TOPICS}, to a completion perplexity of {target:,.0f}"
    Case(name, figures, targets, "seconds", {"there": said[target]}).report()
