"""A corpus as counts of words: documents one after another, each with the words that occur in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.sparse import SparseTensor, tensor_of

LARGEST_COUNT = 2**24
"""Counts are float32, which count no further one by one."""
BATCH_NONZEROS = 2**24
"""Nonzero counts that are worked on at a time; the others may lie on the disk."""


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """D documents over V terms, as compressed rows of M nonzero counts.

    offsets (D + 1, int64): where each document begins. words (M, int64): the terms of each document, each once and
    rising, from 0. counts (M, float32): how often they occur. terms: V.
    """

    offsets: Tensor
    words: Tensor
    counts: Tensor
    terms: int

    @staticmethod
    def of(documents: Sequence[tuple[Sequence[int], Sequence[float]]], terms: int) -> Corpus:
        """The corpus of documents given as pairs (words, counts); the counts of a word given twice are summed."""
        words = [torch.as_tensor(document_words, dtype=torch.int64) for document_words, _ in documents]
        counts = [torch.as_tensor(document_counts, dtype=torch.float32) for _, document_counts in documents]
        lengths = torch.tensor([len(document_words) for document_words in words], dtype=torch.int64)
        document, empty = torch.repeat_interleave(torch.arange(len(words)), lengths), torch.zeros(0)
        word, count = torch.cat([*words, empty.long()]), torch.cat([*counts, empty])
        return Corpus.of_places(document, word, count, documents=len(words), terms=terms)

    @staticmethod
    def of_places(document: Tensor, word: Tensor, count: Tensor, documents: int, terms: int) -> Corpus:
        """The corpus of counts in any order.

        document and word: of each count, integers from 0; count; all three of one length. documents: D; terms: V.
        Counts of the same document and word are summed, those that sum to 0 left out.
        """
        key, inverse = torch.unique(document.long() * terms + word.long(), return_inverse=True)
        counts = torch.zeros(len(key), dtype=torch.float64).index_add_(0, inverse, count.double())
        kept = counts != 0
        key, counts = key[kept], counts[kept]
        offsets = torch.searchsorted(key, torch.arange(documents + 1) * terms)
        return Corpus(offsets, key % max(terms, 1), counts.float(), terms)

    @staticmethod
    def of_matrix(counts: Any) -> Corpus:
        """The corpus of a matrix D x V of counts: an array, nested lists, or a sparse layout of torch or scipy.

        scikit-learn's CountVectorizer makes such. Raises UserError for what is no matrix, and for counts that are
        negative, not finite or beyond LARGEST_COUNT.
        """
        given = tensor_of(counts, "counts")
        if len(given.shape) != 2:
            raise UserError(f"counts have the shape {tuple(given.shape)}: give a matrix, documents x terms")
        matrix = given if isinstance(given, SparseTensor) else SparseTensor.of(given)
        if not bool((matrix.values.isfinite() & (matrix.values >= 0)).all()):
            raise UserError("counts hold a negative number, NaN or an infinite one: give how often each term occurs")
        if bool((matrix.values > LARGEST_COUNT).any()):
            raise UserError(
                f"counts hold {float(matrix.values.max()):g}: give {LARGEST_COUNT:,} at most, and divide all of them "
                "by one number where there are larger ones"
            )
        document, word = matrix.indices
        return Corpus.of_places(document, word, matrix.values, *matrix.shape)

    def __repr__(self) -> str:
        return f"<Corpus of {len(self):,} documents over {self.terms:,} terms, {len(self.counts):,} nonzero counts>"

    def __len__(self) -> int:
        """D."""
        return len(self.offsets) - 1

    @property
    def weighted(self) -> bool:
        """Whether some count is not a whole number, as a term's weight is."""
        return bool((self.counts != self.counts.round()).any())

    @cached_property
    def lengths(self) -> Tensor:
        """The tokens of each document: D, float64."""
        sums = [
            torch.segment_reduce(part.counts.double(), "sum", offsets=part.offsets, initial=0)
            for part in self.batches()
        ]
        return torch.cat([*sums, torch.zeros(0, dtype=torch.float64, device=self.counts.device)])

    @cached_property
    def frequencies(self) -> Tensor:
        """The tokens of each term: V, float64."""
        sums = torch.zeros(self.terms, dtype=torch.float64, device=self.counts.device)
        for part in self.batches():
            sums.index_add_(0, part.words, part.counts.double())
        return sums

    @cached_property
    def document(self) -> Tensor:
        """The document of each nonzero count: M, int64."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.offsets.device), self.offsets.diff())

    def to(self, device: torch.device) -> Corpus:
        """The same corpus on a device."""
        if self.counts.device.type == device.type:
            return self
        return Corpus(self.offsets.to(device), self.words.to(device), self.counts.to(device), self.terms)

    def batches(self, nonzeros: int = BATCH_NONZEROS) -> Iterator[Corpus]:
        """The documents in their order, in batches of at most so many nonzero counts, but of one document at least."""
        first = 0
        while first < len(self):
            goal = int(self.offsets[first]) + nonzeros
            last = max(first + 1, int(torch.searchsorted(self.offsets, goal, right=True)) - 1)
            yield self.part(first, last)
            first = last

    def part(self, first: int, last: int) -> Corpus:
        """The corpus of documents [first, last)."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        return Corpus(self.offsets[first : last + 1] - begin, self.words[begin:end], self.counts[begin:end], self.terms)


def as_corpus(documents: Any, terms: int | None = None) -> Corpus:
    """A corpus as it is, or that of a matrix of counts, D x V; UserError where it is over another number of `terms`."""
    corpus = documents if isinstance(documents, Corpus) else Corpus.of_matrix(documents)
    if terms is not None and corpus.terms != terms:
        raise UserError(
            f"the documents are over {corpus.terms} terms, the topics over {terms}: count the same terms, in the same "
            "order, in both"
        )
    return corpus
