"""Finds topics by the moments of the documents' words, then refines them by the documents themselves.

Shapes: K topics, V terms, D documents.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from polyadic.algorithms.lda.hyperparameters import Hyperparameters
from polyadic.algorithms.lda.memory import BATCH_DOCUMENTS, needs
from polyadic.algorithms.lda.model import Model, as_served
from polyadic.jobs.checkpoints import Snapshot
from polyadic.jobs.job import Job
from polyadic.jobs.memory import refuse_beyond, reserve
from polyadic.readers.corpus import read_corpus
from polyadic.readers.vocabulary import read_vocabulary
from polyadic.topics.coherence import coherence, diversity, per_word_log_likelihood, top_words
from polyadic.topics.collectives import sum_over_ranks
from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.refinement import TRIAL_ITERATIONS, Refined, best_start, refine
from polyadic.topics.spectral import Spectrum, Topics, most_components, spectral_lda

ITERATIONS_PER_LINE = 10
"""How often the refinement prints a metric."""
ROUGH_RESTARTS, ROUGH_SWEEPS = 2, 60
"""The effort of a decomposition that a refinement follows: a closer one changes nothing in the end."""
SECONDS_PER_LINE = 10.0
"""How often the decomposition prints a line."""
TOPICS_PRINTED, WORDS_PER_LINE = 20, 8
"""Of the topics that the job prints at its end."""
SAMPLE_DOCUMENTS = 400
"""Documents in the report's picture."""


def fit(job: Job[Hyperparameters]) -> Model:
    """Finds the topics of channel `train`, each rank with its share of the documents."""
    began, stated = time.perf_counter(), job.hyperparameters.feature_dim
    if stated is not None:
        refuse_beyond(job, needs(job.hyperparameters, stated))
    vocabulary = read_vocabulary(job, stated)
    terms = len(vocabulary) if vocabulary is not None else stated
    train = read_corpus(job, "train", terms)
    terms, scored = train.corpus.terms, "test" in job.channels
    test = read_corpus(job, "test", terms, may_be_empty=True) if scored else None
    if stated is None:
        job = replace(job, hyperparameters=job.hyperparameters.model_copy(update={"feature_dim": terms}))
        job.note(f"lda: feature_dim is {terms:,}, by {'the vocabulary' if vocabulary else 'the documents'}")
    settings = job.hyperparameters
    for warning in train.warnings + (test.warnings if test else []):
        job.note(f"warning: {warning}")
    if job.world.any(any(part.weighted for part in train.corpus.batches())):
        job.note(
            "warning: channel train: counts are not whole numbers, as tf-idf makes them. Topics are of how often each "
            "term occurs: give counts (CountVectorizer)"
        )
    reserve(job, needs(settings, terms, train.corpus, test.corpus if test else None))
    corpus, earlier = train.corpus, _resume(job, train.corpus)
    if earlier is None and not settings.refine_iterations:
        topics = _by_moments(job, corpus, settings.seed, settings.max_restarts, settings.max_iterations)
    else:
        topics = _refine(job, corpus, earlier).topics
    order = topics.alpha.argsort(descending=True)
    topics = as_served(topics.beta[order], topics.alpha[order])
    _say_topics(job, topics, vocabulary)
    metrics, coherences = _measure(job, topics, corpus, test.corpus if test else None)
    job.note(f"lda: {settings.num_topics} topics in {time.perf_counter() - began:.1f} s")
    return Model(
        settings=settings,
        topics=topics,
        metrics=metrics,
        vocabulary=vocabulary,
        coherences=coherences,
        sample_mixtures=mixtures(corpus.part(0, min(SAMPLE_DOCUMENTS, len(corpus))), topics),
    )


def _by_moments(job: Job[Hyperparameters], corpus: Corpus, seed: int, max_restarts: int, max_iterations: int) -> Topics:
    """The topics of the moments, with a line about what the moments hold."""
    settings, began = job.hyperparameters, time.perf_counter()
    step = settings.mini_batch_size or BATCH_DOCUMENTS

    def batches() -> Iterator[Corpus]:
        for first in range(0, len(corpus), step):
            yield corpus.part(first, min(first + step, len(corpus)))

    topics, moments = spectral_lda(
        batches,
        settings.num_topics,
        terms=corpus.terms,
        alpha0=settings.alpha0,
        max_restarts=max_restarts,
        max_iterations=max_iterations,
        tol=settings.tol,
        power_steps=settings.whitening_power_steps,
        start_only=settings.refine_iterations > 0,
        seed=seed,
        world=job.world,
        after_sweep=_patience(job),
    )
    if seed == settings.seed:
        for warning in _doubts(settings, moments):
            job.note(f"lda: {warning}")
    job.note(
        f"lda: moments of {moments.documents} documents over {job.world}, relative error of the "
        f"decomposition {moments.relative_error:.3g}, {time.perf_counter() - began:.1f} s"
    )
    return topics


def _patience(job: Job[Hyperparameters]) -> Callable[[int, int, float], None]:
    """A function that prints a line about a decomposition now and then, since one of many topics takes minutes."""
    said = time.perf_counter()

    def tell(start: int, sweep: int, error: float) -> None:
        nonlocal said
        if time.perf_counter() - said > SECONDS_PER_LINE:
            said = time.perf_counter()
            job.note(
                f"lda: decomposition of {job.hyperparameters.num_topics} topics, start {start + 1}, sweep {sweep}: "
                f"relative error {error:.4g}"
            )

    return tell


def _say_topics(job: Job[Hyperparameters], topics: Topics, vocabulary: list[str] | None) -> None:
    """Prints the first words of the first topics."""
    shares = topics.alpha / topics.alpha.sum()
    for number, numbers in enumerate(top_words(topics, WORDS_PER_LINE)[:TOPICS_PRINTED].tolist()):
        words = [vocabulary[word] if vocabulary else f"term {word}" for word in numbers]
        job.note(f"lda: topic {number}, {shares[number]:.0%} of alpha: {', '.join(words)}")
    if len(topics.alpha) > TOPICS_PRINTED:
        job.note(f"lda: and {len(topics.alpha) - TOPICS_PRINTED} other topics, in the report")


def _doubts(settings: Hyperparameters, moments: Spectrum) -> Iterator[str]:
    """What a user should know of the moments."""
    topics = settings.num_topics
    if moments.short:
        yield f"{moments.short} documents have fewer than 3 words: the moments leave them out"
    drawn = topics - most_components(moments.rank)
    if drawn > 0:
        yield f"the second moment has rank {moments.rank}: the refinement begins with {drawn} random topics"
    elif moments.rank < topics:
        yield f"the second moment has rank {moments.rank}: {topics} topics depend on one another"
    if moments.clear < min(topics, moments.rank):
        yield (
            f"of {topics} eigenvalues of the second moment {moments.clear} are larger than chance makes them in "
            f"{moments.documents} documents without topics: more documents, or fewer topics, would be clearer"
        )


def _refine(job: Job[Hyperparameters], corpus: Corpus, earlier: Refined | None) -> Refined:
    """The refinement from the moments, or from where an earlier run stood."""
    settings = job.hyperparameters
    start = earlier or _best_start(job, corpus)
    tokens = float(sum_over_ranks(job.world, corpus.lengths.sum().reshape(1)))

    def after_iteration(state: Refined) -> bool:
        last = state.iteration in (TRIAL_ITERATIONS, settings.refine_iterations)
        if last or state.iteration % ITERATIONS_PER_LINE == 0:
            score = state.log_likelihood / max(tokens, 1)
            job.metric("train pwll", score, {"iteration": state.iteration}, unit="score")
        boundary = job.boundary(state.iteration)
        if boundary.stop or boundary.save:
            _save(job, state)
        return not boundary.stop

    if start.iteration and earlier is None and not after_iteration(start):
        return start
    return refine(
        corpus,
        start.topics,
        iterations=settings.refine_iterations,
        world=job.world,
        progress=start,
        after_iteration=after_iteration,
    )


def _best_start(job: Job[Hyperparameters], corpus: Corpus) -> Refined:
    """The most likely of several starts from the moments."""
    settings, began = job.hyperparameters, time.perf_counter()
    effort = min(settings.max_restarts, ROUGH_RESTARTS), min(settings.max_iterations, ROUGH_SWEEPS)
    seeds = range(settings.seed, settings.seed + settings.refine_starts)
    starts = (_by_moments(job, corpus, seed, *effort) for seed in seeds)
    best = best_start(corpus, starts, iterations=settings.refine_iterations, world=job.world)
    job.note(f"lda: the most likely of {len(seeds)} start(s) after {time.perf_counter() - began:.1f} s")
    return best


def _save(job: Job[Hyperparameters], state: Refined) -> None:
    """Keeps the state of the refinement; a collective, for each rank has documents of its own."""
    counts = job.world.collect(len(state.documents))
    documents = job.world.gather_rows(state.documents.to(job.world.device)).cpu()
    tensors = {"words": state.words.cpu(), "alpha": state.alpha.cpu(), "documents": documents}
    tensors["counts"] = torch.tensor(counts)
    job.keep(Snapshot(state.iteration, tensors, {"log_likelihood": state.log_likelihood}))


def _resume(job: Job[Hyperparameters], corpus: Corpus) -> Refined | None:
    """The state of an earlier run; None without one.

    Where the ranks now divide the documents in another way, the documents' own counts begin anew.
    """
    world, snapshot = job.world, job.resume()
    if snapshot is None or not job.hyperparameters.refine_iterations:
        return None
    job.note(f"resuming from the checkpoint of iteration {snapshot.step}")
    words, alpha, counts = snapshot.tensors["words"], snapshot.tensors["alpha"], snapshot.tensors["counts"].tolist()
    if counts == world.collect(len(corpus)):
        first = sum(counts[: world.rank])
        documents = snapshot.tensors["documents"][first : first + len(corpus)].clone()
    else:
        documents = corpus.lengths.float()[:, None] * (alpha / alpha.sum()).float()
    words, documents, alpha = (tensor.to(world.device) for tensor in (words, documents, alpha))
    return Refined(words, documents, alpha, snapshot.step, snapshot.numbers["log_likelihood"])


def _measure(
    job: Job[Hyperparameters], topics: Topics, corpus: Corpus, test: Corpus | None
) -> tuple[dict[str, float], list[float]]:
    """The metrics of the topics, printed and by name, and the coherence (NPMI) of each topic."""
    npmi, umass = coherence(topics, corpus, job.world)
    scores = {
        "train NPMI": float(npmi.mean()),
        "train UMass": float(umass.mean()),
        "train topic_diversity": diversity(topics),
    }
    if test is not None:
        pwll = per_word_log_likelihood(topics, test, job.world, job.hyperparameters.seed)
        scores |= {"test pwll": pwll, "test perplexity": math.exp(-pwll)}
        if not math.isfinite(pwll):
            job.note(
                "WARNING: channel test: nothing can be scored, for no document has a word. The model is trained and "
                "kept, without test pwll and test perplexity"
            )
    defined = {name: value for name, value in scores.items() if math.isfinite(value)}
    for name, value in defined.items():
        job.metric(name, value, unit="score")
    return {name.replace(" ", ":", 1): value for name, value in defined.items()}, npmi.tolist()
