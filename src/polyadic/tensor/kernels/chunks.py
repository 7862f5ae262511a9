"""Sorted nonzeros cut into chunks of nearly the same size, each within one row: a chunk is the work of a GPU program.

A row with very many nonzeros is cut into many chunks, so that no program works much longer than the others. The sums
of such chunks are written to extra lines below the rows of the result, one line per chunk, and are added up afterwards
in a fixed order. So no two programs write to the same place, and the result is the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST_NONZEROS = 64
"""Nonzeros of a chunk of a small tensor: the sum of fewer would not be worth its line."""
MOST_CHUNKS = 2**15
"""About how many chunks the nonzeros of a large tensor are cut into, beside those that its rows make anyway."""


@dataclass(frozen=True)
class Chunks:
    """P chunks of M nonzeros in I rows and, where fibres are compressed, F fibres; in the order of the nonzeros.

    edges (P + 1, int64): where the nonzeros of each chunk begin.
    rows (P, int32): the row that each chunk lies in.
    targets (P, int64): the line of the result that each chunk's sum is written to: its row, or, where the row is cut,
    a line below all rows.
    fibres (P, int64): the compressed fibre that each chunk begins in; None where fibres are not compressed.
    cut_rows (C, int64): the rows that are cut; lines (C + 1, int64): where the lines of each of them begin.
    extra_lines: how many lines lie below the rows.
    mean_run: nonzeros, on average, that a program can read at once: those of a chunk, or those of a fibre.
    """

    edges: Tensor
    rows: Tensor
    targets: Tensor
    fibres: Tensor | None
    cut_rows: Tensor
    lines: Tensor
    extra_lines: int
    mean_run: float

    @staticmethod
    def of(row_starts: Tensor, fibre_starts: Tensor | None, nonzeros: int) -> Chunks:
        """The chunks of M sorted nonzeros.

        row_starts (I + 1): where the fibres of each row begin, or its nonzeros where fibres are not compressed;
        fibre_starts (F + 1): where the nonzeros of each fibre begin, or None; nonzeros: M.
        """
        begins = row_starts.long() if fibre_starts is None else fibre_starts[row_starts.long()].long()
        length = max(SHORTEST_NONZEROS, nonzeros // MOST_CHUNKS)
        chunks_per_row = (begins.diff() + length - 1) // length
        filled = chunks_per_row.nonzero().flatten()
        counts = chunks_per_row[filled]
        rows, before = filled.repeat_interleave(counts), counts.cumsum(0) - counts
        place = torch.arange(len(rows), device=row_starts.device) - before.repeat_interleave(counts)
        edges = torch.cat([begins[rows] + place * length, begins[-1:]])
        is_cut = counts > 1
        chunk_is_cut = is_cut.repeat_interleave(counts)
        targets = torch.where(chunk_is_cut, len(chunks_per_row) + chunk_is_cut.cumsum(0) - 1, rows)
        lines = torch.cat([counts.new_zeros(1), counts[is_cut].cumsum(0)]) + len(chunks_per_row)
        fibres, runs = None, len(rows)
        if fibre_starts is not None:
            chunk_starts = edges[:-1].to(fibre_starts.dtype)
            fibres, runs = torch.searchsorted(fibre_starts, chunk_starts, right=True) - 1, len(fibre_starts) - 1
        return Chunks(
            edges=edges,
            rows=rows.to(torch.int32),
            targets=targets,
            fibres=fibres,
            cut_rows=filled[is_cut],
            lines=lines,
            extra_lines=int(chunk_is_cut.sum()),
            mean_run=nonzeros / max(1, runs),
        )
