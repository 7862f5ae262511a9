"""Moments, topics, refinement and measures: any division of the documents over ranks gives what one rank gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.coherence import coherence, per_word_log_likelihood
from polyadic.topics.moments import whiten, whitened_third
from polyadic.topics.refinement import refine
from polyadic.topics.spectral import spectral_lda
from tests.helpers.corpora import sampled, share_of, small
from tests.helpers.ranks import on_ranks


def everything(world: World) -> dict[str, Tensor]:
    """What a rank finds with its share of the documents, in two batches; the last of four ranks has none."""
    beta = np.random.default_rng(1).dirichlet(np.full(50, 0.1), 4)
    corpus = share_of(sampled(beta, 900, 60), world)
    middle = len(corpus) // 2
    batches = [corpus.part(0, middle), corpus.part(middle, len(corpus))]
    whitening = whiten(lambda: batches, 50, 3, 0.7, world)
    topics, _ = spectral_lda(lambda: batches, 4, terms=50, world=world)
    refined = refine(corpus, topics, iterations=25, world=world)
    again = refine(corpus, topics, iterations=25, world=world)
    npmi, umass = coherence(topics, corpus, world, 4)
    few = share_of(small(60, 50), world)
    return {
        "mean": whitening.mean,
        "values": whitening.values,
        "third": whitened_third(lambda: batches, whitening, 0.7, world),
        "beta": topics.beta,
        "alpha": topics.alpha,
        "refined beta": refined.topics.beta,
        "refined alpha": refined.alpha,
        "beta refined again": again.topics.beta,
        "likelihood": torch.tensor(refined.log_likelihood / 54_000),
        "npmi": npmi,
        "umass": umass,
        "scored": torch.tensor(per_word_log_likelihood(topics, few, world)),
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    return everything(World.alone())


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_any_number_of_ranks_finds_the_same(ranks: int, alone: dict[str, Tensor]) -> None:
    answers = on_ranks(ranks, everything)
    for answer in answers:
        for name, result in answer.items():
            scale = 1e-5 * max(1.0, float(alone[name].abs().max()))
            torch.testing.assert_close(result, alone[name], rtol=0, atol=scale, msg=name)
            assert torch.equal(result, answers[0][name])
