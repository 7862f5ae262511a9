"""A million documents (V = 20,000, K = 50): peak memory and time by nonzeros; and two ranks against one."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time

import torch

from polyadic.distributed import World
from polyadic.topics.refinement import Refined, refine
from polyadic.topics.spectral import spectral_lda
from scripts.bench.measure import OURS, Case, of_ranks
from scripts.bench.memory import memory
from scripts.bench.topic_data import large

SIZES, TOPICS, BATCH, ITERATIONS = (250_000, 1_000_000), 50, 2**16, 2
RANKS_DOCUMENTS, SWEEPS, MOST = 100_000, 12, 4e9


def run() -> None:
    """Each corpus in a process of its own, from the moments through two iterations of the refinement."""
    found = {size: _of_process("alone", str(size)) for size in SIZES}
    (few, *_), (many, peak, nonzeros) = found[SIZES[0]], found[SIZES[1]]
    growth = (many / few) / (nonzeros / found[SIZES[0]][2])
    more = {
        "peak memory": f"{peak / 1e9:.2f} GB, to be {MOST / 1e9:.0f} at most: {'met' if peak < MOST else 'MISSED'}",
        "time a nonzero": f"{growth:.2f} x that of {SIZES[0]:,} documents",
    }
    name = f"{SIZES[1]:,} documents, {nonzeros:,.0f} nonzeros, K = {TOPICS}: moments and {ITERATIONS} iterations"
    Case(name, {OURS: many}, unit="seconds", more=more).report()
    figures = {
        "one rank": of_ranks(1, "scripts.bench.lda_scale", "rank"),
        OURS: of_ranks(2, "scripts.bench.lda_scale", "rank"),
    }
    name = f"refinement of {RANKS_DOCUMENTS:,} documents, K = {TOPICS}, two ranks of one thread each"
    Case(name, figures, {"one rank": 1.7}, "seconds an iteration").report()


def _of_process(*arguments: str) -> tuple[float, float, float]:
    done = subprocess.run([sys.executable, "-m", __name__, *arguments], check=True, capture_output=True, text=True)
    first, second, third = map(float, done.stdout.split()[-3:])
    return first, second, third


def _alone(documents: int) -> None:
    """Seconds, peak bytes with the corpus and the libraries, and nonzeros."""
    corpus, began = large(documents), time.perf_counter()

    def batches() -> list[object]:
        return [corpus.part(first, min(first + BATCH, len(corpus))) for first in range(0, len(corpus), BATCH)]

    topics, _ = spectral_lda(batches, corpus.terms, TOPICS, max_restarts=1, max_iterations=60)  # type: ignore[arg-type]
    refine(corpus, topics, iterations=ITERATIONS)
    print(time.perf_counter() - began, memory("VmHWM"), len(corpus.words))


def _rank() -> None:
    torch.set_num_threads(1)
    world, whole, ends = World.join(), large(RANKS_DOCUMENTS), [0.0]
    first, last = (len(whole) * end // world.size for end in (world.rank, world.rank + 1))
    corpus = whole.part(first, last)
    topics, _ = spectral_lda(lambda: [corpus], whole.terms, TOPICS, max_restarts=1, max_iterations=60, world=world)

    def note(at: Refined) -> bool:
        ends.append(time.perf_counter())
        return True

    refine(corpus, topics, iterations=SWEEPS, world=world, after_iteration=note)
    print(statistics.median(b - a for a, b in itertools.pairwise(ends[1:])), flush=True)
    world.leave()


if __name__ == "__main__":
    _rank() if sys.argv[1] == "rank" else _alone(int(sys.argv[2]))
