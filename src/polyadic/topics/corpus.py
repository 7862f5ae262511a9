"""A corpus as counts of terms: documents one after another, each with the terms that occur in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

AT_ONCE = 2**24
"""Nonzeros of a corpus that are worked on at a time; the rest may lie on the disk."""


@dataclass(frozen=True)
class Corpus:
    """D documents over V terms, as compressed rows.

    offsets (D + 1, int64): where each document begins; words (int64) and counts (float32), both of length nnz: the
    terms of a document, each once and in order, and how often they occur; terms: V.
    """

    offsets: Tensor
    words: Tensor
    counts: Tensor
    terms: int

    @staticmethod
    def of(documents: Sequence[tuple[Sequence[int], Sequence[float]]], terms: int) -> Corpus:
        """The corpus of documents given as (words, counts); a word given twice counts twice."""
        words = [torch.as_tensor(one, dtype=torch.int64) for one, _ in documents]
        counts = [torch.as_tensor(one, dtype=torch.float32) for _, one in documents]
        lengths = torch.tensor([len(one) for one in words], dtype=torch.int64)
        place = torch.repeat_interleave(torch.arange(len(words)), lengths)
        empty = torch.zeros(0)
        return Corpus.of_places(
            place, torch.cat([*words, empty.long()]), torch.cat([*counts, empty]), len(words), terms
        )

    @staticmethod
    def of_places(document: Tensor, word: Tensor, count: Tensor, documents: int, terms: int) -> Corpus:
        """The corpus of nonzero counts in any order: the document and the word of each (nnz); duplicates are summed."""
        key, inverse = torch.unique(document.long() * terms + word.long(), return_inverse=True)
        counts = torch.zeros(len(key), dtype=torch.float64).index_add_(0, inverse, count.double())
        kept = counts != 0
        key, counts = key[kept], counts[kept]
        offsets = torch.searchsorted(key, torch.arange(documents + 1) * terms)
        return Corpus(offsets, key % max(terms, 1), counts.float(), terms)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Tensor:
        """Tokens a document: D, float64."""
        sums = [
            torch.segment_reduce(part.counts.double(), "sum", offsets=part.offsets, initial=0)
            for part in self.batches()
        ]
        return torch.cat([*sums, torch.zeros(0, dtype=torch.float64, device=self.counts.device)])

    @cached_property
    def frequencies(self) -> Tensor:
        """Tokens a term: V, float64."""
        sums = torch.zeros(self.terms, dtype=torch.float64, device=self.counts.device)
        for part in self.batches():
            sums.index_add_(0, part.words, part.counts.double())
        return sums

    @cached_property
    def document(self) -> Tensor:
        """The document of each nonzero: nnz, int64."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.offsets.device), self.offsets.diff())

    def to(self, device: torch.device) -> Corpus:
        """The same on a device."""
        if self.counts.device.type == device.type:
            return self
        return Corpus(self.offsets.to(device), self.words.to(device), self.counts.to(device), self.terms)

    def batches(self, nonzeros: int = AT_ONCE) -> Iterator[Corpus]:
        """The documents in their order, some at a time: about so many nonzeros, and one document at least."""
        first = 0
        while first < len(self):
            goal = int(self.offsets[first]) + nonzeros
            last = max(first + 1, int(torch.searchsorted(self.offsets, goal, right=True)) - 1)
            yield self.part(first, last)
            first = last

    def part(self, first: int, last: int) -> Corpus:
        """Documents [first, last)."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        return Corpus(self.offsets[first : last + 1] - begin, self.words[begin:end], self.counts[begin:end], self.terms)
