"""Products of a corpus's counts with matrices, and how its documents are divided over threads."""

from __future__ import annotations

import pytest
import torch

from polyadic.topics.products import document_edges, times, transposed_times
from tests.helpers.corpora import dense, small


@pytest.mark.parametrize("columns", [1, 8, 20, 50])
def test_products_are_those_of_the_dense_counts(columns: int) -> None:
    corpus, random = small(), torch.Generator().manual_seed(0)
    counts = dense(corpus).float()
    matrix = torch.randn(corpus.terms, columns, generator=random)
    rows = torch.randn(len(corpus), columns, generator=random)
    torch.testing.assert_close(times(corpus, matrix), counts @ matrix, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(transposed_times(corpus, rows), (counts.T @ rows).double(), atol=1e-4, rtol=1e-5)
    empty = corpus.part(0, 0)
    assert times(empty, matrix).shape == (0, columns)
    assert not transposed_times(empty, rows[:0]).any()


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_documents_are_divided_by_their_nonzeros(parts: int) -> None:
    corpus = small()
    edges = document_edges(corpus, parts)
    assert edges[0] == 0 and edges[-1] == len(corpus) and len(edges) == parts + 1
    nonzeros = corpus.offsets[edges].diff()
    assert float((nonzeros - len(corpus.words) / parts).abs().max()) <= int(corpus.offsets.diff().max())
    assert document_edges(corpus.part(0, 0), parts) == [0]
