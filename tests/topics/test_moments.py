"""Moments against sums over all pairs and triples of tokens, and whatever division of the documents."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.corpus import Corpus
from polyadic.topics.moments import Whitening, whiten, whitened_third
from tests.helpers.corpora import dense, small

ALPHA0 = 0.7


def naive(corpus: Corpus) -> tuple[Tensor, Tensor, Tensor]:
    """The corrected and scaled moments of order one to three, by all ordered tuples of different tokens."""
    terms, used = corpus.terms, 0
    first, second, third = (torch.zeros([terms] * order, dtype=torch.float64) for order in (1, 2, 3))
    for counts in dense(corpus):
        tokens = [word for word, count in enumerate(counts.int().tolist()) for _ in range(count)]
        m = len(tokens)
        if m < 3:
            continue
        used += 1
        for word in tokens:
            first[word] += 1 / m
        for a, b in itertools.permutations(tokens, 2):
            second[a, b] += 1 / (m * (m - 1))
        for a, b, c in itertools.permutations(tokens, 3):
            third[a, b, c] += 1 / (m * (m - 1) * (m - 2))
    first, second, third = first / used, second / used, third / used
    mixed = torch.einsum("ab,c->abc", second, first)
    mixed = mixed + mixed.permute(0, 2, 1) + mixed.permute(2, 1, 0)
    cube = torch.einsum("a,b,c->abc", first, first, first)
    third = third - ALPHA0 / (ALPHA0 + 2) * mixed + 2 * ALPHA0**2 / ((ALPHA0 + 1) * (ALPHA0 + 2)) * cube
    second = second - ALPHA0 / (ALPHA0 + 1) * torch.outer(first, first)
    return first, second * ALPHA0 * (ALPHA0 + 1), third * ALPHA0 * (ALPHA0 + 1) * (ALPHA0 + 2) / 2


def corpus_with_short_documents() -> Corpus:
    pairs = [(words.tolist(), [1] * len(words)) for words in (torch.tensor([0]), torch.tensor([3, 4]))]
    long = small(40, 9)
    documents = [
        (long.words[a:b].tolist(), long.counts[a:b].tolist()) for a, b in itertools.pairwise(long.offsets.tolist())
    ]
    return Corpus.of([*pairs, ([], []), *documents], 9)


@pytest.mark.slow
def test_moments_are_those_of_all_tuples_of_tokens() -> None:
    corpus = corpus_with_short_documents()
    first, second, third = naive(corpus)
    whitening = whiten(
        lambda: [corpus.part(0, 7), corpus.part(7, len(corpus))], 9, 3, ALPHA0, World.alone(), power_steps=9
    )
    assert (whitening.documents, whitening.short) == (40, 3)
    torch.testing.assert_close(whitening.mean, first, atol=1e-6, rtol=0)
    values, vectors = torch.linalg.eigh(second)
    torch.testing.assert_close(whitening.values, values.flip(0)[:3], atol=1e-6, rtol=1e-4)
    assert float((whitening.basis.T @ vectors.flip(1)[:, :3]).abs().diagonal().min()) > 0.9999
    kept = Whitening(whitening.basis[:, :1], whitening.values[:1], whitening.mean, 40, 3, 0.0)
    matrix = kept.matrix
    expected = torch.einsum("abc,ai,bj,ck->ijk", third, matrix, matrix, matrix)
    torch.testing.assert_close(
        whitened_third(lambda: [corpus], kept, ALPHA0, World.alone()), expected, rtol=1e-4, atol=1e-5
    )
    basis = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    other = Whitening(basis, torch.tensor([0.3, 0.2, 0.1, 0.05], dtype=torch.float64), whitening.mean, 40, 3, 0.0)
    matrix = other.matrix
    expected = torch.einsum("abc,ai,bj,ck->ijk", third, matrix, matrix, matrix)
    actual = whitened_third(lambda: [corpus.part(0, 20), corpus.part(20, 43)], other, ALPHA0, World.alone())
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("terms", "length", "documents"), [(30, 10, 500), (400, 6, 4000), (1000, 100, 300)])
@pytest.mark.parametrize("common", [0.0, 0.6])
def test_what_chance_makes_of_documents_without_topics_is_known(
    terms: int, length: int, documents: int, common: float
) -> None:
    random = np.random.default_rng(terms)
    rest = random.dirichlet(np.ones(terms - 1)) * (1 - common)
    words = random.multinomial(length, np.concatenate([[common], rest]), documents)
    corpus = Corpus.of_matrix(words)
    # With a very large alpha0 the corrected moment is E2 - E1 E1^T, which is 0 but for chance.
    found = whiten(lambda: [corpus], terms, 3, 1e6, World.alone(), power_steps=20)
    assert 0.3 < float(found.values[0]) / found.chance < 1.3
