"""A million documents (V = 20,000, K = 50): peak memory and time by nonzeros; and two ranks against one."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import torch

from polyadic.distributed import World
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import Refined, refine
from polyadic.topics.spectral import spectral_lda
from scripts.bench.measure import OURS, Bound, Case, of_ranks
from scripts.bench.memory import memory_bytes
from scripts.bench.topic_data import large

SMALL_DOCUMENTS, LARGE_DOCUMENTS, BATCH_DOCUMENTS = 250_000, 1_000_000, 2**16
TOPICS, ITERATIONS = 50, 2
RANKS_DOCUMENTS, RANKS_ITERATIONS, MOST_GB = 100_000, 12, 4.0


def run() -> Iterator[Case]:
    """Each corpus in a process of its own, from the moments through two iterations of the refinement."""
    small_seconds, _, small_nonzeros = _of_process("alone", str(SMALL_DOCUMENTS))
    large_seconds, peak_bytes, nonzeros = _of_process("alone", str(LARGE_DOCUMENTS))
    growth = (large_seconds / small_seconds) / (nonzeros / small_nonzeros)
    yield Case(
        key="million",
        title=f"{LARGE_DOCUMENTS:,} documents, {nonzeros:,.0f} nonzeros, K = {TOPICS}: moments and {ITERATIONS} "
        "iterations",
        figures={OURS: large_seconds},
        unit="seconds",
        bounds=[Bound("peak memory", peak_bytes / 1e9, MOST_GB, unit="GB")],
        facts={"time per nonzero": f"{growth:.2f} times that of {SMALL_DOCUMENTS:,} documents"},
    ).reported()
    figures = {
        "one rank": of_ranks(1, "scripts.bench.lda_scale", "rank"),
        OURS: of_ranks(2, "scripts.bench.lda_scale", "rank"),
    }
    yield Case(
        key="ranks",
        title=f"refinement of {RANKS_DOCUMENTS:,} documents, K = {TOPICS}, two ranks of one thread each",
        figures=figures,
        targets={"one rank": 1.7},
        unit="seconds per iteration",
    ).reported()


def _of_process(*arguments: str) -> tuple[float, float, float]:
    process = subprocess.run([sys.executable, "-m", __name__, *arguments], check=True, capture_output=True, text=True)
    first, second, third = map(float, process.stdout.split()[-3:])
    return first, second, third


def _alone(documents: int) -> None:
    """Prints seconds, peak bytes with the corpus and the libraries, and nonzeros."""
    corpus, began = large(documents), time.perf_counter()

    def batches() -> list[Corpus]:
        firsts = range(0, len(corpus), BATCH_DOCUMENTS)
        return [corpus.part(first, min(first + BATCH_DOCUMENTS, len(corpus))) for first in firsts]

    topics, _ = spectral_lda(batches, TOPICS, terms=corpus.terms, max_restarts=1, max_iterations=60)
    refine(corpus, topics, iterations=ITERATIONS)
    print(time.perf_counter() - began, memory_bytes("VmHWM"), len(corpus.words))


def _rank() -> None:
    torch.set_num_threads(1)
    world, whole, ends = World.join(), large(RANKS_DOCUMENTS), [0.0]
    first, last = (len(whole) * end // world.size for end in (world.rank, world.rank + 1))
    corpus = whole.part(first, last)
    topics, _ = spectral_lda(
        lambda: [corpus], TOPICS, terms=whole.terms, max_restarts=1, max_iterations=60, world=world
    )

    def note(progress: Refined) -> bool:
        ends.append(time.perf_counter())
        return True

    refine(corpus, topics, iterations=RANKS_ITERATIONS, world=world, after_iteration=note)
    print(statistics.median(after - before for before, after in itertools.pairwise(ends[1:])), flush=True)
    world.leave()


if __name__ == "__main__":
    _rank() if sys.argv[1] == "rank" else _alone(int(sys.argv[2]))
