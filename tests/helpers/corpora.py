"""Corpora for tests, some of them drawn from latent Dirichlet allocation itself."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.corpus import Corpus


def bars() -> NDArray[np.float64]:
    """The ten bars of Griffiths and Steyvers (PNAS 2004): five rows and five columns of a square; their rank is 9."""
    squares = np.zeros((10, 5, 5))
    for line in range(5):
        squares[line, line, :] = squares[5 + line, :, line] = 0.2
    return squares.reshape(10, 25)


def sampled(
    beta: NDArray[np.float64], documents: int, length: int, seed: int = 0, alpha: float = 0.1, poisson: bool = False
) -> Corpus:
    """Documents of topics (K x V) with even Dirichlet parameters, of a fixed length or of a Poisson one."""
    random = np.random.default_rng(seed)
    mixtures = random.dirichlet(np.full(len(beta), alpha), documents)
    lengths = random.poisson(length, documents) if poisson else np.full(documents, length)
    counts = [random.multinomial(n, p / p.sum()) for n, p in zip(lengths, mixtures @ beta, strict=True)]
    pairs = [(np.flatnonzero(document), document[np.flatnonzero(document)]) for document in counts]
    return Corpus.of([(words.tolist(), nonzero.tolist()) for words, nonzero in pairs], beta.shape[1])


def matched(topics: Tensor, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The errors (K x V) of topics, each matched to a true one so that the sum of the errors is least."""
    estimate = topics.numpy()
    cost = np.abs(estimate[:, None] - truth[None]).sum(2)
    rows, columns = linear_sum_assignment(cost)
    errors: NDArray[np.float64] = estimate[rows[np.argsort(columns)]] - truth
    return errors


def share_of(corpus: Corpus, world: World) -> Corpus:
    """A rank's documents; the last of four ranks has none."""
    holders = min(3, world.size)
    if world.rank >= holders:
        return corpus.part(0, 0)
    return corpus.part(len(corpus) * world.rank // holders, len(corpus) * (world.rank + 1) // holders)


def small(documents: int = 60, terms: int = 12, seed: int = 0) -> Corpus:
    """Documents of 3 to 20 words, drawn from two groups of words."""
    random, pairs = np.random.default_rng(seed), []
    for number in range(documents):
        weights = np.where(np.arange(terms) % 2 == number % 2, 8.0, 1.0)
        counts = random.multinomial(random.integers(3, 20), weights / weights.sum())
        pairs.append((np.flatnonzero(counts).tolist(), counts[np.flatnonzero(counts)].tolist()))
    return Corpus.of(pairs, terms)


def dense(corpus: Corpus) -> Tensor:
    """The counts as a matrix: D x V, float64."""
    counts = torch.zeros(len(corpus), corpus.terms, dtype=torch.float64)
    counts[corpus.document, corpus.words] = corpus.counts.double()
    return counts
