"""Topics that are known come back from the moments of documents drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.topics.corpus import Corpus
from polyadic.topics.spectral import numerical_rank, simplex, spectral_lda
from tests.helpers.corpora import bars, matched, sampled


@pytest.mark.slow
def test_ten_bars_of_rank_nine_are_found() -> None:
    corpus = sampled(bars(), 5400, 150, poisson=True)
    topics, spectrum = spectral_lda(lambda: [corpus], 10, terms=25)
    assert spectrum.rank == 9
    assert np.linalg.norm(matched(topics.beta, bars()), 1) < 0.025
    torch.testing.assert_close(topics.beta.sum(1), torch.ones(10, dtype=torch.float64))
    torch.testing.assert_close(topics.alpha, torch.full((10,), 0.1, dtype=torch.float64), rtol=0, atol=0.02)


@pytest.mark.slow
def test_topics_of_a_thousand_terms_are_found() -> None:
    beta = np.random.default_rng(1).dirichlet(np.full(1000, 0.05), 10)
    topics, _ = spectral_lda(lambda: [sampled(beta, 10_000, 100)], 10, terms=1000)
    assert np.abs(matched(topics.beta, beta)).sum(1).mean() < 0.06


def test_what_carries_no_topics_is_refused() -> None:
    with pytest.raises(UserError, match="all 2 documents have fewer than 3 words"):
        spectral_lda(lambda: [Corpus.of([([0], [2]), ([1], [1])], 4)], 2, terms=4)
    alike = Corpus.of([([0, 1, 2], [1, 1, 1])] * 20, 3)
    message = (
        r"num_topics is 2, but .* carries 1 at most: 1 of its eigenvalues \(with alpha0=1\) .* Set num_topics to 1 or "
        r"less, leave out words that are everywhere \(term \d is 33% of all\), raise alpha0 .*refine_iterations"
    )
    with pytest.raises(UserError, match=message):
        spectral_lda(lambda: [alike], 2, terms=3)
    topics, spectrum = spectral_lda(lambda: [alike], 2, terms=3, start_only=True)
    assert topics.beta.shape == (2, 3) and spectrum.rank == 1
    torch.testing.assert_close(topics.beta.sum(1), torch.ones(2, dtype=torch.float64))
    assert float(topics.alpha.sum()) == pytest.approx(1)
    assert not torch.allclose(topics.beta[0], topics.beta[1], atol=0.01)


def test_a_stop_word_hides_no_topics() -> None:
    """Smallest case: half and more of all words is one word, the others are of three topics that share none."""
    random = np.random.default_rng(0)
    counts = np.zeros((300, 31))
    for document, topic in enumerate(random.integers(3, size=300)):
        counts[document, 0] = 18
        counts[document, 1 + 10 * topic : 11 + 10 * topic] = random.multinomial(12, np.full(10, 0.1))
    topics, spectrum = spectral_lda(Corpus.of_matrix(counts), 3)
    assert spectrum.rank == 3 and spectrum.clear == 3
    truth = np.zeros((3, 31))
    for topic in range(3):
        truth[topic, 0], truth[topic, 1 + 10 * topic : 11 + 10 * topic] = 0.6, 0.04
    assert np.abs(matched(topics.beta, truth)).sum(1).mean() < 0.1


def test_documents_of_many_topics_train_whatever_alpha0_is() -> None:
    beta = np.random.default_rng(1).dirichlet(np.full(200, 0.05), 5)
    corpus = sampled(beta, 4000, 60, alpha=4.0)
    for alpha0 in (1.0, 20.0, 60.0):
        topics, spectrum = spectral_lda(corpus, 5, alpha0=alpha0)
        assert spectrum.clear == 5
    assert float(topics.alpha.sum()) == pytest.approx(60)


def test_the_rank_ends_at_the_gap_to_chance() -> None:
    values = torch.tensor([4.0, 2.0, 1.9, 0.01, 0.009])
    assert [numerical_rank(part) for part in (values, values[:3], -values, values[:0])] == [3, 3, 0, 0]
    assert numerical_rank(values, chance=0.001) == 5
    assert numerical_rank(values, floor=0.0095) == 3 and numerical_rank(values, floor=1.95, chance=0.001) == 2


@pytest.mark.slow
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=12))
def test_the_projection_is_the_nearest_point_of_the_simplex(row: list[float]) -> None:
    given_row = torch.tensor([row], dtype=torch.float64)
    point = simplex(given_row)
    assert float(point.min()) >= 0 and float(point.sum()) == pytest.approx(1)
    # Nearest: (x - p) . (q - p) <= 0 for every corner q.
    away = given_row - point
    corners = torch.eye(len(row), dtype=torch.float64) - point
    assert float((corners @ away.T).max()) <= 1e-9
