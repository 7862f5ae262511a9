"""Corpora for the benchmarks: documents that Latent Dirichlet allocation made, and the AP corpus of ../shared/data."""

from __future__ import annotations

import math
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyadic.formats import Rows, ldac, recordio
from polyadic.topics.coherence import halves
from polyadic.topics.corpus import Corpus
from scripts.bench.measure import UnavailableError
from scripts.bench.sparse_data import DATA

TEST_EVERY, HALVINGS, ITERATIONS, MADE_DOCUMENTS = 10, 4, 200, 50_000


class Synthetic(NamedTuple):
    """Documents, and the topics that they were drawn from (K x V)."""

    corpus: Corpus
    beta: NDArray[np.float64]


class Split(NamedTuple):
    """A corpus to train on, and the documents left out of it in two halves, in several ways."""

    train: Corpus
    halves: list[tuple[Corpus, Corpus]]


def synthetic(documents: int, length: int = 100, topics: int = 10, terms: int = 1000, alpha: float = 0.1) -> Synthetic:
    """Documents of one length; sparse topics."""
    random = np.random.default_rng(0)
    beta = random.dirichlet(np.full(terms, 0.05), topics)
    mixtures = random.dirichlet(np.full(topics, alpha), documents)
    counts = np.stack([random.multinomial(length, p / p.sum()) for p in mixtures @ beta])
    document, word = np.nonzero(counts)
    place = torch.from_numpy(document), torch.from_numpy(word), torch.from_numpy(counts[document, word])
    return Synthetic(Corpus.of_places(*place, documents, terms), beta)


def large(documents: int, length: int = 50, topics: int = 50, terms: int = 20_000) -> Corpus:
    """Documents of three topics each, made in batches, so that a large corpus is made as fast as it is read."""
    random = np.random.default_rng(0)
    beta = random.dirichlet(np.full(terms, 0.05), topics)
    chances = (beta.cumsum(1) / beta.sum(1, keepdims=True) + np.arange(topics)[:, None]).ravel()
    parts = []
    for first in range(0, documents, MADE_DOCUMENTS):
        count = min(MADE_DOCUMENTS, documents - first)
        three = random.integers(topics, size=(count, 3))
        topic = np.take_along_axis(three, random.integers(3, size=(count, length)), 1)
        place = np.searchsorted(chances, topic + random.random((count, length)))
        word = np.minimum(place - topic * terms, terms - 1)
        document = torch.arange(count).repeat_interleave(length)
        ones = torch.ones(count * length)
        parts.append(Corpus.of_places(document, torch.from_numpy(word.ravel()), ones, count, terms))
    lengths = torch.cat([torch.zeros(1, dtype=torch.int64), *(part.offsets.diff() for part in parts)])
    words, counts = (torch.cat([getattr(part, name) for part in parts]) for name in ("words", "counts"))
    return Corpus(lengths.cumsum(0), words, counts, terms)


def l1(beta: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """The mean absolute error of a topic, summed over its words, each topic matched to a true one."""
    cost = np.abs(beta[:, None] - truth[None]).sum(2)
    return float(cost[linear_sum_assignment(cost)].mean())


def ap_rows() -> Rows:
    """AP's documents. Raises UnavailableError where they are absent."""
    path = _data("ap.tgz")
    with tarfile.open(path) as archive:
        name = next(member for member in archive.getnames() if member.endswith("ap.dat"))
        file = archive.extractfile(name)
        assert file is not None
        return ldac.decode(file.read())


def nips_rows() -> Rows:
    """The 350 documents of AWS's NIPS file. Raises UnavailableError where they are absent."""
    return recordio.decode(_data("nips-train_1.pbr").read_bytes())


def pieces(corpus: Corpus, length: int, most: int) -> Corpus:
    """The documents' words in a random order, cut into pieces of one length: `most` of them, or fewer."""
    random, cut = np.random.default_rng(0), []
    for words in tokens(corpus):
        mixed = random.permutation(words)
        cut += [mixed[first : first + length] for first in range(0, len(mixed) - length + 1, length)]
    word = np.concatenate(cut[:most])
    document = torch.arange(len(word)) // length
    return Corpus.of_places(document, torch.from_numpy(word), torch.ones(len(word)), len(word) // length, corpus.terms)


def tokens(corpus: Corpus) -> list[NDArray[np.int64]]:
    """Documents as the numbers of their words, one token after another."""
    words, counts = corpus.words.numpy(), corpus.counts.numpy().astype(int)
    return [np.repeat(words[start:end], counts[start:end]) for start, end in pairwise(corpus.offsets.tolist())]


def associated_press() -> Split:
    """AP, every tenth document left out (225 of 2,246). Raises UnavailableError where it is absent."""
    rows = ap_rows()
    documents = [(columns.tolist(), values.tolist()) for columns, values, _ in rows.each()]
    terms = int(rows.columns.max()) + 1
    train = Corpus.of([document for number, document in enumerate(documents) if number % TEST_EVERY], terms)
    test = Corpus.of(documents[::TEST_EVERY], terms)
    return Split(train, [halves(test, seed) for seed in range(HALVINGS)])


def _data(name: str) -> Path:
    """A file of the data; UnavailableError where it is absent."""
    path = DATA / name
    if not path.exists():
        raise UnavailableError(f"{name} is not in ../shared/data")
    return path


def completion_perplexity(beta: Tensor, split: Split) -> float:
    """Perplexity of the second halves, given mixtures of the first ones that are likeliest: K x V topics, fixed."""
    columns, likelihood, tokens = beta.double().T.contiguous(), 0.0, 0.0
    for seen, scored in split.halves:
        mixed = _likeliest(seen, columns.float()).double()
        chance = (mixed[scored.document] * columns[scored.words]).sum(1)
        likelihood += float((scored.counts.double() * chance.clamp_min(1e-300).log()).sum())
        tokens += float(scored.counts.sum())
    return math.exp(-likelihood / tokens)


def _likeliest(corpus: Corpus, columns: Tensor) -> Tensor:
    """The mixtures (D x K) under which documents are likeliest, by expectation-maximisation; columns: V x K."""
    chosen, document, counts = columns[corpus.words], corpus.document, corpus.counts[:, None]
    mixed = torch.full((len(corpus), columns.shape[1]), 1 / columns.shape[1])
    for _ in range(ITERATIONS):
        shares = chosen * mixed[document]
        shares *= counts / shares.sum(1, keepdim=True).clamp_min(1e-30)
        mixed = torch.zeros_like(mixed).index_add_(0, document, shares)
        mixed /= mixed.sum(1, keepdim=True).clamp_min(1e-30)
    return mixed
