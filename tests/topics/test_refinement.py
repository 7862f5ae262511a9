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
    new = expect(corpus, beta.float(), alpha.float(), theta.float(), passes=passes, absent=True)
    shares, likelihood = torch.zeros(60, 12, topics, dtype=torch.float64), torch.zeros(())
    for _ in range(passes):
        others = (theta + alpha)[:, None] - shares
        chances = beta.T * others
        likelihood = (counts * (chances.sum(2) / others.sum(2)).log()).sum()
        shares = chances / chances.sum(2, keepdim=True)
        theta = (counts[:, :, None] * shares).sum(1)
    torch.testing.assert_close(new.documents.double(), theta, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(new.words.double(), torch.einsum("dw,dwk->kw", counts, shares), rtol=1e-4, atol=1e-4)
    absent = (1 - shares).pow(counts[:, :, None]).prod(1)
    torch.testing.assert_close(new.absent.double(), absent, rtol=1e-3, atol=1e-5)
    assert float(new.log_likelihood) == pytest.approx(float(likelihood), rel=1e-5)
    plain = expect_on_device(corpus, beta.float(), alpha.float(), torch.ones(60, topics), passes=passes, absent=True)
    for by_torch, by_kernel in zip(plain, new, strict=True):
        torch.testing.assert_close(by_torch, by_kernel, rtol=1e-4, atol=1e-4)


def test_the_likelihood_rises_and_known_topics_come_out() -> None:
    beta = np.random.default_rng(1).dirichlet(np.full(60, 0.1), 4)
    scores: list[float] = []

    def note(state: Refined) -> bool:
        scores.append(state.log_likelihood)
        return True

    refined = refine(sampled(beta, 1500, 50), start(4, 60), iterations=60, after_iteration=note)
    assert scores[-1] > scores[20] > scores[5] > scores[1]
    assert np.abs(matched(refined.topics.beta, beta)).sum(1).mean() < 0.1
    assert 0.35 < float(refined.alpha.sum()) < 0.55, "it is 0.4"


@pytest.mark.slow
@pytest.mark.parametrize("length", [4, 12])
def test_short_documents_tell_topics_and_the_dirichlets_parameters(length: int) -> None:
    beta = np.random.default_rng(1).dirichlet(np.full(60, 0.1), 4)
    refined = refine(sampled(beta, 12_000, length), start(4, 60), iterations=60)
    assert np.abs(matched(refined.topics.beta, beta)).sum(1).mean() < 0.1
    assert 0.35 < float(refined.alpha.sum()) < 0.55, "it is 0.4"


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


def test_the_likeliest_start_is_taken() -> None:
    corpus, good = small(), start(2, 12)
    poor = Topics(torch.full((2, 12), 1 / 12, dtype=torch.float64), good.alpha)
    best = best_start(corpus, [poor, good, poor], iterations=50)
    assert best.iteration == 15
    assert best.log_likelihood == refine(corpus, good, iterations=15).log_likelihood
    assert best_start(corpus, [good], iterations=50).iteration == 0
    assert best_start(corpus, [good, poor], iterations=0).iteration == 0


def test_of_starts_that_are_as_likely_the_more_coherent_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = start(2, 12, 1), start(2, 12, 2)
    short = small()
    corpus = Corpus(short.offsets, short.words, short.counts * 4, 12)
    likely = [refine(corpus, one, iterations=15).log_likelihood for one in (first, second)]
    assert likely[0] != likely[1] and abs(likely[0] / likely[1] - 1) < 1e-3
    for wanted in (0.1, 0.9):
        told = iter([torch.tensor([wanted]), torch.tensor([0.5])])
        monkeypatch.setattr("polyadic.topics.refinement.coherence", lambda *_, told=told: (next(told), None))
        best = best_start(corpus, [first, second], iterations=50).log_likelihood
        assert best == likely[0 if wanted == 0.9 else 1]
    of_short = [refine(short, one, iterations=15) for one in (first, second)]
    best = best_start(short, [first, second], iterations=50).log_likelihood
    assert best == max(state.log_likelihood for state in of_short)


@pytest.mark.slow
def test_the_dirichlets_parameters_are_those_of_the_counts() -> None:
    random, alpha = np.random.default_rng(0), torch.tensor([0.2, 0.7, 0.1], dtype=torch.float64)
    counts = [random.multinomial(200, p) for p in random.dirichlet(alpha.numpy(), 4000)]
    estimate = torch.ones(3, dtype=torch.float64)
    for _ in range(200):
        known = torch.tensor(np.stack(counts))
        estimate = dirichlet(known, (known == 0).double(), estimate, World.alone())
    torch.testing.assert_close(estimate, alpha, rtol=0.08, atol=0)


def test_smoothed_rows_are_on_the_simplex() -> None:
    rows = smoothed(torch.tensor([[0.0, 0.0], [3.0, 1.0]]))
    torch.testing.assert_close(rows.sum(1), torch.ones(2))
    assert rows[0].tolist() == [0.5, 0.5]
