"""Measures of topics against counting by hand."""

from __future__ import annotations

import math

import pytest
import torch

from polyadic.distributed import World
from polyadic.topics.coherence import coherence, diversity, halves, per_word_log_likelihood, top_words
from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.spectral import Topics
from tests.helpers.corpora import dense, small


def topics() -> Topics:
    beta = torch.rand(3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Topics(beta / beta.sum(1, keepdim=True), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))


def test_halves_are_all_tokens_once() -> None:
    corpus = small()
    first, second = halves(corpus, 3)
    torch.testing.assert_close(dense(first) + dense(second), dense(corpus))
    assert torch.equal(first.lengths, torch.div(corpus.lengths, 2, rounding_mode="floor"))
    assert not torch.equal(dense(halves(corpus, 4)[0]), dense(first))
    torch.testing.assert_close(dense(halves(corpus.part(20, 40), 3)[0]), dense(first)[20:40])
    # Of many tokens of two kinds, each half has about as many.
    even = dense(halves(Corpus.of([([0, 1], [4000, 4000])], 2))[0])
    assert abs(float(even[0, 0]) - 2000) < 200
    # A count of millions takes no memory, and odd ones leave one token more to the second half.
    large = halves(Corpus.of([([0, 1], [2**24, 2**24 - 1])] * 100, 2))
    fewer, more = (float(half.lengths[99]) for half in large)
    assert (fewer + more, more - fewer) == (2**25 - 1, 1)


def test_the_likelihood_is_that_of_the_second_half() -> None:
    corpus = small()
    seen, scored = halves(corpus, 0)
    chance = mixtures(seen, topics()) @ topics().beta
    expected = float((dense(scored) * chance.log()).sum() / dense(scored).sum())
    assert per_word_log_likelihood(topics(), corpus, World.alone()) == pytest.approx(expected, rel=1e-9)
    assert math.isnan(per_word_log_likelihood(topics(), corpus.part(0, 0), World.alone()))


def test_coherence_is_counted_right() -> None:
    corpus, count = small(), 4
    npmi, umass = coherence(topics(), corpus, World.alone(), count)
    occurs = dense(corpus) > 0
    for topic, words in enumerate(top_words(topics(), count).tolist()):
        values, logs = [], []
        for place, later in enumerate(words):
            for earlier in words[:place]:
                p = float((occurs[:, later] & occurs[:, earlier]).double().mean())
                p_later, p_earlier = (float(occurs[:, word].double().mean()) for word in (later, earlier))
                values.append(-1.0 if p == 0 else math.log(p / (p_later * p_earlier)) / -math.log(p))
                logs.append(math.log((p * len(corpus) + 1) / (p_earlier * len(corpus))))
        assert float(npmi[topic]) == pytest.approx(sum(values) / len(values))
        assert float(umass[topic]) == pytest.approx(sum(logs) / len(logs))


def test_words_that_never_or_always_meet() -> None:
    beta = torch.tensor([[0.5, 0.4, 0.1, 0.0], [0.0, 0.1, 0.4, 0.5]], dtype=torch.float64)
    corpus = Corpus.of([([0, 1], [1, 1]), ([0, 1, 2], [1, 2, 1]), ([0, 1, 3], [1, 1, 1])], 4)
    npmi, _ = coherence(Topics(beta, torch.ones(2, dtype=torch.float64)), corpus, World.alone(), 2)
    assert npmi.tolist() == [1.0, -1.0]


def test_diversity_is_the_share_of_different_words() -> None:
    alike = Topics(topics().beta[:1].repeat(3, 1), topics().alpha)
    assert diversity(alike, 4) == pytest.approx(1 / 3)
    assert diversity(topics(), 12) == pytest.approx(1 / 3)
