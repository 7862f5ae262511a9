"""AP, NIPS and synthetic documents cut into pieces of a few words: perplexity, coherence and time against tomotopy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import torch

from polyadic.distributed import World
from polyadic.formats import Rows
from polyadic.topics.coherence import coherence, per_word_log_likelihood
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import best_start, refine
from polyadic.topics.spectral import Topics, spectral_lda
from scripts.bench.measure import OURS, Bound, Case, UnavailableError, seconds
from scripts.bench.tomotopy_model import tomotopy_beta, tomotopy_model
from scripts.bench.topic_data import ap_rows, nips_rows, pieces, synthetic

LENGTHS, MOST_PIECES, TEST_EVERY = (4, 6, 12, 50), 40_000, 10
STARTS, ITERATIONS, SWEEPS = 4, 100, 1000
TOMOTOPY = f"tomotopy, 2 workers, {SWEEPS:,} sweeps"


def run() -> Iterator[Case]:
    """Ours as a job has it by default; each by its own alpha, with the same estimate of the mixtures."""
    warnings.filterwarnings("ignore", message="The training result may differ")
    for name, topics, corpus in _corpora():
        test = [number for number in range(len(corpus)) if number % TEST_EVERY == 0]
        rest = [number for number in range(len(corpus)) if number % TEST_EVERY]
        whole, held_out = _chosen(corpus, rest), _chosen(corpus, test)
        for length in LENGTHS:
            train, scored = pieces(whole, length, MOST_PIECES), pieces(held_out, length, MOST_PIECES)
            yield _case(name, topics, length, whole, train, scored).reported()


def _case(name: str, topics: int, length: int, whole: Corpus, train: Corpus, scored: Corpus) -> Case:
    found: list[Topics] = []
    taken = seconds(lambda: found.append(_ours(train, topics)))
    model = tomotopy_model(train, topics)
    sweeping = seconds(lambda: model.train(SWEEPS, workers=2))
    theirs = Topics(tomotopy_beta(model, train.terms), torch.tensor(model.alpha.tolist(), dtype=torch.float64))
    ours, other = (math.exp(-per_word_log_likelihood(each, scored, World.alone())) for each in (found[0], theirs))
    # The words of whole documents tell more of what belongs together than those of pieces do.
    npmi, other_npmi = (float(coherence(each, whole, World.alone())[0].mean()) for each in (found[0], theirs))
    return Case(
        key=f"{name.lower()}_{length}",
        title=f"{len(train):,} pieces of {length} words of {name}, K = {topics}",
        figures={OURS: taken, TOMOTOPY: sweeping},
        targets={TOMOTOPY: 5.0},
        unit="seconds",
        bounds=(
            Bound("perplexity", ours, other),
            Bound("NPMI", npmi, other_npmi, "value at least"),
        ),
        facts={"the sum of alpha": f"{float(found[0].alpha.sum()):.2f}, tomotopy's {float(theirs.alpha.sum()):.2f}"},
    )


def _ours(train: Corpus, topics: int) -> Topics:
    starts = (
        spectral_lda(train, topics, max_restarts=2, max_iterations=60, start_only=True, seed=seed)[0]
        for seed in range(STARTS)
    )
    best = best_start(train, starts, iterations=ITERATIONS)
    return refine(train, best.topics, iterations=ITERATIONS, progress=best).topics


def _corpora() -> Iterator[tuple[str, int, Corpus]]:
    """Names, numbers of topics and corpora, of those that are there."""
    for name, topics, read in (("AP", 20, ap_rows), ("NIPS", 20, nips_rows)):
        try:
            yield name, topics, _corpus(read())
        except UnavailableError as error:
            print(f"\n{name} is left out: {error}")
    yield "synthetic", 10, synthetic(2000).corpus


def _corpus(rows: Rows) -> Corpus:
    documents = [(columns.tolist(), values.tolist()) for columns, values, _ in rows.each()]
    return Corpus.of(documents, int(rows.columns.max()) + 1)


def _chosen(corpus: Corpus, numbers: list[int]) -> Corpus:
    parts = [corpus.part(number, number + 1) for number in numbers]
    lengths = torch.tensor([0] + [len(part.words) for part in parts])
    words, counts = (torch.cat([getattr(part, name) for part in parts]) for name in ("words", "counts"))
    return Corpus(lengths.cumsum(0), words, counts, corpus.terms)
