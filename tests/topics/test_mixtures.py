"""A document's mixture against the posterior itself, and against sampling; the kinds of document there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import MOST_TOKENS, mixtures
from polyadic.topics.spectral import Topics
from tests.helpers.corpora import small


def topics_of(number: int, terms: int, alpha: float, seed: int = 0) -> Topics:
    random = np.random.default_rng(seed)
    beta = torch.from_numpy(random.dirichlet(np.full(terms, 0.3), number))
    return Topics(beta, torch.from_numpy(random.uniform(0.5, 1.5, number) * alpha))


def posterior(words: list[int], topics: Topics) -> torch.Tensor:
    """The expected mixture, summed over the topics of all tokens: K^n terms."""
    count, total = len(topics.alpha), torch.zeros(len(topics.alpha), dtype=torch.float64)
    for assignment in itertools.product(range(count), repeat=len(words)):
        held, chance = topics.alpha.clone(), 1.0
        for word, topic in zip(words, assignment, strict=True):
            chance *= float(topics.beta[topic, word] * held[topic] / held.sum())
            held[topic] += 1
        total += chance * held / held.sum()
    return total / total.sum()


def test_a_short_documents_mixture_is_near_the_posteriors() -> None:
    errors = []
    documents = [[0], [1, 5], [2, 2], [0, 3, 7], [1, 1, 4, 6], [9, 8, 7, 6, 5]]
    for words, alpha, seed in itertools.product(documents, [0.02, 0.2, 2.0], range(5)):
        topics = topics_of(3, 10, alpha, seed)
        mixture = mixtures(Corpus.of([(words, [1.0] * len(words))], 10), topics)[0]
        errors.append(float((mixture - posterior(words, topics)).abs().sum()))
        assert len(words) > 1 or errors[-1] < 1e-9
    assert max(errors) < 0.25 and np.mean(errors) < 0.04


def test_a_long_documents_mixture_is_where_its_words_came_from() -> None:
    topics = topics_of(5, 300, 0.2)
    truth = torch.tensor([0.6, 0.3, 0.1, 0.0, 0.0], dtype=torch.float64)
    counts = np.random.default_rng(0).multinomial(3000, (truth @ topics.beta).numpy())
    for factor in (1, 1000):  # The second has millions of tokens.
        corpus = Corpus.of([(range(300), (counts * factor).tolist())], 300)
        assert float((mixtures(corpus, topics)[0] - truth).abs().max()) < 0.03
    assert counts.sum() < MOST_TOKENS < 1000 * counts.sum()


def test_mixtures_are_a_documents_own() -> None:
    corpus, topics = small(), topics_of(3, 12, 0.3)
    together = mixtures(corpus, topics)
    torch.testing.assert_close(together.sum(1), torch.ones(60, dtype=torch.float64))
    for number in (0, 17, 59):
        assert torch.equal(mixtures(corpus.part(number, number + 1), topics)[0], together[number])
    empty = mixtures(Corpus.of([([], [])], 12), topics)
    torch.testing.assert_close(empty[0], topics.alpha / topics.alpha.sum())
    assert mixtures(corpus.part(0, 0), topics).shape == (0, 3)


def test_a_word_that_no_topic_has_says_nothing() -> None:
    beta = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]], dtype=torch.float64)
    topics = Topics(beta, torch.ones(2, dtype=torch.float64))
    mixed = mixtures(Corpus.of([([0, 2], [3, 5]), ([0], [3])], 3), topics)
    torch.testing.assert_close(mixed[0], mixed[1])
    assert mixed[1, 1] > mixed[1, 0] + 0.1, "word 0 is more probable in topic 1"


@pytest.mark.slow
@settings(deadline=None)  # A first call compiles.
@given(
    st.integers(1, 20),
    st.floats(1e-6, 1e3),
    st.lists(st.tuples(st.integers(0, 29), st.floats(2.0**-10, 1e7, width=32)), max_size=12),
)
def test_a_mixture_is_on_the_simplex(number: int, alpha: float, words: list[tuple[int, float]]) -> None:
    corpus = Corpus.of([([word for word, _ in words], [count for _, count in words])], 30)
    mixture = mixtures(corpus, topics_of(number, 30, alpha))
    assert bool((mixture >= 0).all()) and float(mixture.sum()) == pytest.approx(1)
