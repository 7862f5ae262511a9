"""The matrix of a corpus's counts, and its transpose, times other matrices: passes over documents are made of these.

Shapes: documents D, terms V, columns K; X is the D x V matrix of counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.tensor.kernels.threads import PARTS_PER_THREAD, in_parallel, threads
from polyadic.tensor.skinny import aligned
from polyadic.topics import kernels
from polyadic.topics.corpus import Corpus


def times(corpus: Corpus, matrix: Tensor) -> Tensor:
    """X times a matrix (V x K, float32): D x K."""
    if matrix.device.type != "cpu":
        rows = matrix[corpus.words] * corpus.counts[:, None]
        return matrix.new_zeros(len(corpus), matrix.shape[1]).index_add_(0, corpus.document, rows)
    padded = aligned(matrix)
    out = padded.new_empty(len(corpus), padded.shape[1])
    arrays = [part.numpy() for part in (corpus.offsets, corpus.words, corpus.counts, padded, out)]
    in_parallel(kernels.gathered(), document_edges(corpus), *arrays)
    return out[:, : matrix.shape[1]]


def transposed_times(corpus: Corpus, rows: Tensor) -> Tensor:
    """X^T times rows (D x K, float32): V x K, float64."""
    if rows.device.type != "cpu":
        terms = rows[corpus.document].double() * corpus.counts[:, None]
        return terms.new_zeros(corpus.terms, rows.shape[1]).index_add_(0, corpus.words, terms)
    padded = aligned(rows)
    edges = document_edges(corpus, parts=threads())
    sums = padded.new_zeros(max(1, len(edges) - 1), corpus.terms, padded.shape[1], dtype=torch.float64)
    arrays = [part.numpy() for part in (corpus.offsets, corpus.words, corpus.counts, padded)]
    number = {begin: place for place, begin in enumerate(edges)}

    def spread(begin: int, end: int) -> None:  # Each thread has sums of its own, since all threads may meet all words.
        kernels.spread()(*arrays, sums[number[begin]].numpy(), begin, end)

    in_parallel(spread, edges)
    return sums.sum(0)[:, : rows.shape[1]]


def document_edges(corpus: Corpus, parts: int = 0) -> list[int]:
    """The documents at which to divide the corpus, so that parts have nearly as many nonzeros: 0, ..., D.

    parts: how many; 0 is some for each thread.
    """
    parts = parts or PARTS_PER_THREAD * threads()
    targets = torch.arange(1, parts) * len(corpus.words) // parts
    inner = torch.searchsorted(corpus.offsets, targets).clamp(max=len(corpus)).tolist()
    return sorted({0, *inner, len(corpus)})
