"""A corpus from documents, its parts and its batches."""

from __future__ import annotations

import pytest
import torch

from polyadic.topics.corpus import Corpus
from tests.helpers.corpora import dense, small


def test_words_given_twice_are_added_and_those_of_count_0_left_out() -> None:
    corpus = Corpus.of([([2, 0, 2], [1, 3, 2]), ([], []), ([1, 0], [0, 4])], 3)
    assert corpus.offsets.tolist() == [0, 2, 2, 3]
    assert corpus.words.tolist() == [0, 2, 0] and corpus.counts.tolist() == [3, 3, 4]
    assert corpus.lengths.tolist() == [6, 0, 4] and len(corpus) == 3


def test_a_part_is_those_documents() -> None:
    corpus = small()
    torch.testing.assert_close(dense(corpus.part(10, 25)), dense(corpus)[10:25])
    assert len(corpus.part(0, 0)) == 0 and len(Corpus.of([], 5)) == 0


@pytest.mark.parametrize("nonzeros", [1, 7, 50, 10_000])
def test_batches_are_all_documents_once(nonzeros: int) -> None:
    corpus = small()
    batches = list(corpus.batches(nonzeros))
    assert sum(map(len, batches)) == len(corpus) and all(map(len, batches))
    assert all(len(batch.words) <= nonzeros or len(batch) == 1 for batch in batches)
    torch.testing.assert_close(torch.cat([dense(batch) for batch in batches]), dense(corpus))
    torch.testing.assert_close(corpus.frequencies, dense(corpus).sum(0))
    torch.testing.assert_close(corpus.lengths, dense(corpus).sum(1))
