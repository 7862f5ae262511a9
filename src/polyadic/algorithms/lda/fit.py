"""lda: topics of a corpus by moment tensors, refined by the documents; a drop-in for SageMaker's LDA on many hosts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.formats._json_rows import row_of
from polyadic.formats._rows import UNSTATED, Rows, pack
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.job import ChannelSpec, Job, Metric, Snapshot
from polyadic.options import option
from polyadic.readers.corpus import VOCABULARY, Width, corpus_of, read_corpus, read_vocabulary
from polyadic.readers.corpus_files import content_types
from polyadic.reports.topics import write_report
from polyadic.topics.coherence import coherence, diversity, per_word_log_likelihood
from polyadic.topics.collectives import total
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import TRIAL, Refined, best_start, mixtures, refine
from polyadic.topics.spectral import Topics, spectral_lda

NAME = "lda"
SUMMARY = "topics of documents by moment tensors, refined by expectation-maximisation; a drop-in for SageMaker's LDA"
CHANNELS = (
    ChannelSpec("train", "counts of terms, a document a record", content_types(), pipes=True),
    ChannelSpec("test", "the same: documents to score the topics by", content_types(), False, pipes=True),
    ChannelSpec(VOCABULARY, "the terms, one a line, in the order of their numbers", ("text/plain",), False),
)
METRICS = (
    Metric("train pwll", "score", minimize=False, about="mean log-likelihood of a token, as the refinement has it"),
    Metric("train NPMI", "score", minimize=False, about="coherence of the 10 top words of a topic, mean of the topics"),
    Metric("train UMass", "score", minimize=False, about="the same by another measure"),
    Metric("train topic_diversity", "score", minimize=False, about="different words among the 25 top words of topics"),
    Metric(
        "test pwll",
        "score",
        minimize=False,
        objective=True,
        about="mean log-likelihood of a token of the second half of each document, given the first half",
    ),
    Metric("test perplexity", "score", about="exp(-pwll)"),
)
EVERY = 10
"""Iterations of the refinement between two lines about it."""
BATCH = 2**16
"""Documents that the moments take at a time where mini_batch_size is empty."""
ROUGH_RESTARTS, ROUGH_ITERATIONS = 2, 60
"""Of the decomposition where a refinement follows, which gains nothing from a closer one."""
SHOWN = 400
"""Documents in the report's picture."""


class Hyperparameters(hyper.Hyperparameters):
    """What an lda job may set: the names and defaults of SageMaker's LDA, and the refinement's own."""

    num_topics: int = option("topics to find", ge=1, tunable=(1, 150))
    feature_dim: int = option("terms of the vocabulary", ge=1)
    mini_batch_size: int | None = option(
        "documents that the moments take at a time; it changes memory, not topics", None, ge=1
    )
    alpha0: float = option("sum of the Dirichlet's parameters", 1.0, gt=0, tunable=(0.1, 10))
    max_restarts: int = option("starts of the decomposition, at most", 10, ge=1)
    max_iterations: int = option("sweeps of the decomposition, at most", 1000, ge=1)
    tol: float = option("the decomposition stops when its fit changes by less in a sweep", 1e-8, gt=0)
    refine_iterations: int = option(
        "iterations over the documents after the moments; 0 gives the topics of the moments alone", 100, ge=0
    )
    refine_starts: int = option(
        "seeds of the moments that the refinement tries for 15 iterations, to go on with the likeliest", 4, ge=1
    )
    whitening_power_steps: int = option("power steps of the randomised whitening", 1, ge=0)
    seed: int = option("of the sketch, the starts and the halves of test documents", 0, ge=0)


@dataclass(frozen=True)
class Model:
    """Topics that answer with the topic mixture of a document."""

    settings: Hyperparameters
    topics: Topics
    metrics: Mapping[str, float]
    vocabulary: Sequence[str] | None = None
    coherences: Sequence[float] = ()
    shown: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def artifact(self) -> Artifact:
        """`beta` (K x V) and `alpha` (K)."""
        facts = {} if self.vocabulary is None else {"vocabulary": list(self.vocabulary)}
        tensors = {"beta": self.topics.beta.float(), "alpha": self.topics.alpha.float()}
        return Artifact(NAME, self.settings.model_dump(), tensors, facts, self.metrics)

    def example(self) -> object:
        """A document of one word."""
        return {"data": {"features": {"keys": [0], "shape": [self.settings.feature_dim], "values": [1]}}}

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Corpus:
        """A document's counts, dense or sparse, as a corpus of one."""
        row = row_of(instance)._replace(number=1)
        return corpus_of(pack([row]), "features", "document", Width(self.settings.feature_dim, "the model"))

    def predict(self, instances: list[Corpus]) -> list[dict[str, Any]]:
        """The topic mixture of each document, all of them at once."""
        documents = [(one.words.tolist(), one.counts.tolist()) for one in instances]
        mixed = mixtures(Corpus.of(documents, self.settings.feature_dim), self.topics)
        return [{"topic_mixture": mixture} for mixture in mixed.tolist()]

    def from_table(self, table: Any) -> list[Any]:
        """A document a row, a count a term."""
        rows = table if isinstance(table, list) else np.atleast_2d(table).tolist()
        return [{"features": row} for row in rows]

    def to_table(self, predictions: list[dict[str, Any]]) -> NDArray[np.float64]:
        """A mixture a row."""
        return np.array([one["topic_mixture"] for one in predictions])

    def from_records(self, rows: Rows) -> list[Any]:
        """A document a record."""
        return [
            {"data": {"features": {"keys": keys.tolist(), "values": values.tolist()} | _shape(width)}}
            for keys, values, width in rows.each()
        ]

    def report(self, folder: Path) -> None:
        """Top words and weights of the topics, topics against documents, and one page of both."""
        write_report(folder, self.topics, self.vocabulary, self.metrics, self.coherences, self.shown)


def fit(job: Job[Hyperparameters]) -> Model:
    """Finds the topics of channel `train`, each rank with its share of the documents."""
    settings, began = job.hyperparameters, time.perf_counter()
    read = read_corpus(job, "train", settings.feature_dim)
    test = read_corpus(job, "test", settings.feature_dim) if "test" in job.channels else None
    vocabulary = read_vocabulary(job, settings.feature_dim)
    for warning in read.warnings + (test.warnings if test else []):
        job.note(f"warning: {warning}")
    corpus, at = read.corpus, _resume(job, read.corpus)
    if at is None and not settings.refine_iterations:
        topics = _by_moments(job, corpus, settings.seed, settings.max_restarts, settings.max_iterations)
    else:
        topics = _refined(job, corpus, at).topics
    order = topics.alpha.argsort(descending=True)
    topics = _of_artifact(topics.beta[order].float(), topics.alpha[order].float())
    figures, coherences = _figures(job, topics, corpus, test.corpus if test else None)
    job.note(f"lda: {settings.num_topics} topics in {time.perf_counter() - began:.1f} s")
    shown = mixtures(corpus.part(0, min(SHOWN, len(corpus))), topics)
    return Model(settings, topics, figures, vocabulary, coherences, shown)


def load(artifact: Artifact) -> Model:
    """The model that was written down."""
    topics = _of_artifact(artifact.tensors["beta"], artifact.tensors["alpha"])
    settings = Hyperparameters(**artifact.hyperparameters)
    return Model(settings, topics, artifact.metrics, artifact.facts.get("vocabulary"))


def _of_artifact(beta: Tensor, alpha: Tensor) -> Topics:
    """The topics that an artifact's tensors (float32) are: what is measured and shown is what will be served."""
    exact = beta.double()
    return Topics(exact / exact.sum(1, keepdim=True), alpha.double())


def _by_moments(job: Job[Hyperparameters], corpus: Corpus, seed: int, max_restarts: int, max_iterations: int) -> Topics:
    """The topics of the moments, with a line about what these carry."""
    settings, began = job.hyperparameters, time.perf_counter()
    step = settings.mini_batch_size or BATCH

    def documents() -> Iterator[Corpus]:
        for first in range(0, len(corpus), step):
            yield corpus.part(first, min(first + step, len(corpus)))

    topics, found = spectral_lda(
        documents,
        settings.feature_dim,
        settings.num_topics,
        alpha0=settings.alpha0,
        max_restarts=max_restarts,
        max_iterations=max_iterations,
        tol=settings.tol,
        power_steps=settings.whitening_power_steps,
        seed=seed,
        world=job.world,
    )
    if found.short and seed == settings.seed:
        job.note(f"lda: {found.short} documents have fewer than 3 words: the moments leave them out")
    if found.rank < settings.num_topics and seed == settings.seed:
        job.note(f"lda: the second moment has rank {found.rank}: {settings.num_topics} topics depend on one another")
    job.note(
        f"lda: moments of {found.documents} documents over {job.world.size} rank(s), relative error of the "
        f"decomposition {found.relative_error:.3g}, {time.perf_counter() - began:.1f} s"
    )
    return topics


def _refined(job: Job[Hyperparameters], corpus: Corpus, at: Refined | None) -> Refined:
    """The refinement from the moments, or from where an earlier run stood."""
    settings = job.hyperparameters
    resumed = at is not None
    at = at or _begun(job, corpus)
    tokens = float(total(job.world, corpus.lengths.sum().reshape(1)))

    def after(now: Refined) -> bool:
        if now.iteration in (TRIAL, settings.refine_iterations) or now.iteration % EVERY == 0:
            where = {"iteration": now.iteration}
            job.metric("train pwll", now.log_likelihood / max(tokens, 1), where, unit="score")
        boundary = job.boundary(now.iteration)
        if boundary.stop or boundary.save:
            _save(job, now)
        return not boundary.stop

    if at.iteration and not resumed and not after(at):
        return at
    return refine(
        corpus,
        at.topics,
        iterations=settings.refine_iterations,
        world=job.world,
        progress=at,
        after_iteration=after,
    )


def _begun(job: Job[Hyperparameters], corpus: Corpus) -> Refined:
    """The likeliest of some starts from the moments."""
    settings, began = job.hyperparameters, time.perf_counter()
    rough = min(settings.max_restarts, ROUGH_RESTARTS), min(settings.max_iterations, ROUGH_ITERATIONS)
    seeds = range(settings.seed, settings.seed + settings.refine_starts)
    starts = (_by_moments(job, corpus, seed, *rough) for seed in seeds)
    at = best_start(corpus, starts, iterations=settings.refine_iterations, world=job.world)
    job.note(f"lda: the likeliest of {len(seeds)} start(s) after {time.perf_counter() - began:.1f} s")
    return at


def _save(job: Job[Hyperparameters], at: Refined) -> None:
    """Keeps where the refinement stands; a collective, for each rank has its own documents."""
    counts = job.world.collect(len(at.documents))
    documents = job.world.gather_rows(at.documents.to(job.world.device)).cpu()
    tensors = {"words": at.words.cpu(), "alpha": at.alpha.cpu(), "documents": documents, "counts": torch.tensor(counts)}
    if job.world.rank == 0:
        job.checkpoints.save(Snapshot(at.iteration, tensors, {"log_likelihood": at.log_likelihood}))


def _resume(job: Job[Hyperparameters], corpus: Corpus) -> Refined | None:
    """Where an earlier run stood; its documents' own counts are begun anew where the ranks divide them otherwise."""
    world = job.world
    snapshot = world.from_first(job.checkpoints.latest() if world.rank == 0 else None)
    if snapshot is None or not job.hyperparameters.refine_iterations:
        return None
    job.note(f"resuming from the checkpoint of iteration {snapshot.step}")
    words, alpha, counts = snapshot.tensors["words"], snapshot.tensors["alpha"], snapshot.tensors["counts"].tolist()
    if counts == world.collect(len(corpus)):
        first = sum(counts[: world.rank])
        documents = snapshot.tensors["documents"][first : first + len(corpus)].clone()
    else:
        documents = corpus.lengths.float()[:, None] * (alpha / alpha.sum()).float()
    words, documents, alpha = (one.to(world.device) for one in (words, documents, alpha))
    return Refined(words, documents, alpha, snapshot.step, snapshot.numbers["log_likelihood"])


def _figures(
    job: Job[Hyperparameters], topics: Topics, corpus: Corpus, test: Corpus | None
) -> tuple[dict[str, float], list[float]]:
    """The measures of the topics, printed and by name; and the coherence of each topic."""
    npmi, umass = coherence(topics, corpus, job.world)
    found = {
        "train NPMI": float(npmi.mean()),
        "train UMass": float(umass.mean()),
        "train topic_diversity": diversity(topics),
    }
    if test is not None:
        score = per_word_log_likelihood(topics, test, job.world, job.hyperparameters.seed)
        found |= {"test pwll": score, "test perplexity": math.exp(-score)}
    defined = {name: value for name, value in found.items() if math.isfinite(value)}
    for name, value in defined.items():
        job.metric(name, value, unit="score")
    return {name.replace(" ", ":", 1): value for name, value in defined.items()}, npmi.tolist()


def _shape(width: int) -> dict[str, list[int]]:
    return {} if width == UNSTATED else {"shape": [width]}
