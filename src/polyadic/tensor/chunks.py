"""A tree's nonzeros cut into chunks of about the same size, each within one row: a chunk is a GPU program's work.

A row with very many nonzeros is cut into many chunks, so that none keeps the others waiting. What they sum to goes to
lines of their own below the rows of the result and is added up afterwards, in a fixed order: no two programs write to
one place, and the result is the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST = 64
"""Nonzeros of a chunk of a small tensor: fewer are not worth the line that their sum takes."""
PROGRAMS = 2**15
"""Chunks, about, that a large tensor's nonzeros are cut into, beside those that its rows make anyway."""


@dataclass(frozen=True)
class Chunks:
    """P chunks, in the order of the nonzeros.

    edges (P + 1): where each chunk's nonzeros begin; rows (P, int32): the row that it lies in; targets (P): where its
    sum goes, which is the row itself, or where that is cut a line below all rows; fibres (P): the compressed fibre that
    it begins in, or None where every nonzero stands by itself; cut (C): the rows that are cut, and lines (C + 1): where
    the lines of each begin; extra: how many lines there are.
    run: nonzeros, on average, that a program can take at once: those of a chunk, or of a fibre.
    """

    edges: Tensor
    rows: Tensor
    targets: Tensor
    fibres: Tensor | None
    cut: Tensor
    lines: Tensor
    extra: int
    run: float

    @staticmethod
    def of(first: Tensor, ends: Tensor | None, nonzeros: int) -> Chunks:
        """The chunks of a tree, whose are first (I + 1) and ends (F + 1, or None)."""
        begins = first.long() if ends is None else ends[first.long()].long()
        length = max(SHORTEST, nonzeros // PROGRAMS)
        parts = (begins.diff() + length - 1) // length
        filled = parts.nonzero().flatten()
        counts = parts[filled]
        rows, before = filled.repeat_interleave(counts), counts.cumsum(0) - counts
        place = torch.arange(len(rows), device=first.device) - before.repeat_interleave(counts)
        edges = torch.cat([begins[rows] + place * length, begins[-1:]])
        crowded = counts > 1
        crowd = crowded.repeat_interleave(counts)
        targets = torch.where(crowd, len(parts) + crowd.cumsum(0) - 1, rows)
        lines = torch.cat([counts.new_zeros(1), counts[crowded].cumsum(0)])
        fibres = None if ends is None else torch.searchsorted(ends, edges[:-1].to(ends.dtype), right=True) - 1
        run = nonzeros / max(1, len(rows) if ends is None else len(ends) - 1)
        return Chunks(
            edges, rows.to(torch.int32), targets, fibres, filled[crowded], lines + len(parts), int(crowd.sum()), run
        )
