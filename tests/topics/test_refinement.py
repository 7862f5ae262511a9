"""Refined topics: the update against its formula, its progress, and any number of ranks as one."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import (
    Refined,
    best_start,
    dirichlet,
    expect,
    expect_on_device,
    fold_in,
    mixtures,
    refine,
    smoothed,
)
from polyadic.topics.spectral import Topics
from tests.helpers.corpora import dense, matched, sampled, small


def start(topics: int, terms: int, seed: int = 0) -> Topics:
    random = torch.Generator().manual_seed(seed)
    beta = torch.rand(topics, terms, generator=random, dtype=torch.float64) + 0.1
    return Topics(beta / beta.sum(1, keepdim=True), torch.full((topics,), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("topics", [1, 3, 8, 20, 40, 70])
@pytest.mark.parametrize("passes", [1, 4])
def test_an_update_is_its_formula(topics: int, passes: int) -> None:
    corpus, topic_start = small(), start(topics, 12)
    counts, theta = dense(corpus), torch.ones(60, topics, dtype=torch.float64)
    beta, alpha = topic_start.beta, topic_start.alpha
    documents, words, likelihood = expect(corpus, beta.float(), alpha.float(), theta.float(), passes=passes)
    for _ in range(passes):
        weights = theta + alpha
        chance = weights @ beta
        total = weights.sum(1, keepdim=True)
        share = torch.where(counts > 0, counts / chance, 0.0)
        theta, expected = weights * (share @ beta.T), beta * (weights.T @ share)
    torch.testing.assert_close(documents.double(), theta, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(words.double(), expected, rtol=1e-4, atol=1e-4)
    plain = expect_on_device(corpus, beta.float(), alpha.float(), torch.ones(60, topics), passes=passes)
    for by_torch, by_kernel in zip(plain, (documents, words, likelihood), strict=True):
        torch.testing.assert_close(by_torch, by_kernel, rtol=1e-4, atol=1e-4)
    seen = counts > 0
    expected_likelihood = (counts[seen] * (chance / total)[seen].log()).sum()
    assert float(likelihood) == pytest.approx(float(expected_likelihood), rel=1e-5)


def test_the_likelihood_rises_and_known_topics_come_out() -> None:
    beta = np.random.default_rng(1).dirichlet(np.full(60, 0.1), 4)
    scores: list[float] = []

    def note(state: Refined) -> bool:
        scores.append(state.log_likelihood)
        return True

    refined = refine(sampled(beta, 1500, 50), start(4, 60), iterations=60, after_iteration=note)
    assert scores[-1] > scores[20] > scores[5] > scores[1]
    assert np.abs(matched(refined.topics.beta, beta)).sum(1).mean() < 0.1
    # The true sum is 0.4; expected counts are smoother than tokens, and so is what is estimated from them.
    assert 0.3 < float(refined.alpha.sum()) < 1.0


def test_a_refinement_goes_on_exactly() -> None:
    kept: list[Refined] = []
    whole = refine(small(), start(3, 12), iterations=20)

    def stop_after_13(state: Refined) -> bool:
        kept.append(deepcopy(state))
        return len(kept) < 13

    refine(small(), start(3, 12), iterations=20, after_iteration=stop_after_13)
    assert kept[-1].iteration == 13
    again = refine(small(), start(3, 12), iterations=20, progress=kept[-1])
    assert torch.equal(again.words, whole.words) and torch.equal(again.alpha, whole.alpha)


def test_mixtures_are_a_documents_own() -> None:
    corpus, topics = small(), start(3, 12)
    together = mixtures(corpus, topics)
    torch.testing.assert_close(together.sum(1), torch.ones(60, dtype=torch.float64))
    for number in (0, 17, 59):
        assert torch.equal(mixtures(corpus.part(number, number + 1), topics)[0], together[number])
    empty = mixtures(Corpus.of([([], [])], 12), topics)
    torch.testing.assert_close(empty[0], topics.alpha / topics.alpha.sum())
    assert fold_in(corpus.part(0, 0), topics).shape == (0, 3)


def test_a_document_is_folded_in_until_it_is_still() -> None:
    corpus, topics = small(), start(3, 12)
    moved = (mixtures(corpus, topics) - mixtures(corpus, topics, passes=1000)).abs().sum(1)
    assert float(moved.max()) < 0.02
    assert not torch.allclose(mixtures(corpus, topics, passes=1), mixtures(corpus, topics), atol=0.02)


def test_a_word_that_no_topic_has_says_nothing() -> None:
    beta = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]], dtype=torch.float64)
    topics = Topics(beta, torch.ones(2, dtype=torch.float64))
    with_and_without = Corpus.of([([0, 2], [3, 5]), ([0], [3])], 3)
    mixed = mixtures(with_and_without, topics)
    torch.testing.assert_close(mixed[0], mixed[1], atol=2e-3, rtol=0)
    assert mixed[1, 1] > mixed[1, 0] + 0.1, "word 0 is more probable in topic 1"


def test_the_likeliest_start_is_taken() -> None:
    corpus, good = small(), start(2, 12)
    poor = Topics(torch.full((2, 12), 1 / 12, dtype=torch.float64), good.alpha)
    best = best_start(corpus, [poor, good, poor], iterations=50)
    assert best.iteration == 15
    assert best.log_likelihood == refine(corpus, good, iterations=15).log_likelihood
    assert best_start(corpus, [good], iterations=50).iteration == 0


@pytest.mark.slow
def test_the_dirichlets_parameters_are_those_of_the_counts() -> None:
    random, alpha = np.random.default_rng(0), torch.tensor([0.2, 0.7, 0.1], dtype=torch.float64)
    counts = [random.multinomial(200, p) for p in random.dirichlet(alpha.numpy(), 4000)]
    estimate = torch.ones(3, dtype=torch.float64)
    for _ in range(200):
        estimate = dirichlet(torch.tensor(np.stack(counts)), estimate, World.alone())
    torch.testing.assert_close(estimate, alpha, rtol=0.08, atol=0)


def test_smoothed_rows_are_on_the_simplex() -> None:
    rows = smoothed(torch.tensor([[0.0, 0.0], [3.0, 1.0]]))
    torch.testing.assert_close(rows.sum(1), torch.ones(2))
    assert rows[0].tolist() == [0.5, 0.5]
