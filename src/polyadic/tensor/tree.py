"""A sparse tensor sorted for the MTTKRP of one mode: a tree whose levels are the modes, the mode's own rows first.

Where enough nonzeros share all indices but the last, the tree keeps these indices once per group of nonzeros, as
compressed sparse fibres do (Smith and Karypis, IA3 2015). Where they do not, it keeps all indices of every nonzero,
which then is both smaller and faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.kernels.chunks import Chunks
from polyadic.tensor.kernels.threads import PARTS_PER_THREAD, threads
from polyadic.tensor.sparse import SparseTensor, sorting, starts

LEAST_NONZEROS_PER_FIBRE = 3.0
"""Nonzeros per fibre, on average, from which compressing fibres pays: measured, docs/decisions.md."""
LARGEST_INDEX = 2**31 - 1
"""The largest number that an index of 32 bits holds."""


@dataclass(frozen=True)
class Tree:
    """M nonzeros of a tensor of N modes, sorted by the rows of `mode` (I of them), then by the other modes.

    Indices of the other modes are rows of the stack, which holds the factors of all modes one above another.
    A fibre is a run of nonzeros that differ in their last index alone; F fibres.

    mode and order: the tree's mode, and N.
    own_start: the row of the stack at which the mode's own factor begins.
    row_starts (I + 1): where each row's fibres begin, or its nonzeros where fibres are not compressed.
    fibre_starts (F + 1): where each fibre's nonzeros begin; None where fibres are not compressed.
    others (F x N - 2, or M x N - 1 where fibres are not compressed): indices of the other modes.
    leaves (M, or 0 where fibres are not compressed): the last index of each nonzero.
    values (M).
    """

    mode: int
    order: int
    own_start: int
    row_starts: Tensor
    fibre_starts: Tensor | None
    others: Tensor
    leaves: Tensor
    values: Tensor

    @staticmethod
    def of(tensor: SparseTensor, mode: int, *, nonzeros_per_fibre: float = LEAST_NONZEROS_PER_FIBRE) -> Tree:
        """The tree of one mode; its last level is the longest of the other modes, which makes the fewest fibres.

        Fibres are compressed where they hold `nonzeros_per_fibre` or more on average.
        Raises UserError where the modes have 2^31 rows or more together, since indices count through all of them.
        """
        if sum(tensor.shape) > LARGEST_INDEX:
            raise UserError(
                f"the modes of a rank's block have {sum(tensor.shape)} rows together: {LARGEST_INDEX} at most are "
                "taken. Use more ranks, or number the rows that hold nonzeros alone"
            )
        others = sorted((m for m in range(len(tensor.shape)) if m != mode), key=lambda m: tensor.shape[m])
        order = sorting(tensor.indices, [mode, *others])
        values, stack_starts = tensor.values[order], offsets(tensor.shape)
        roots = tensor.indices[mode][order]
        columns = torch.stack([tensor.indices[m][order] + stack_starts[m] for m in others], 1)
        del order
        place = (mode, len(tensor.shape), stack_starts[mode])
        begins_fibre = starts(torch.cat([roots[None], columns[:, :-1].T]))
        if len(others) < 2 or len(values) < nonzeros_per_fibre * int(begins_fibre.sum()):
            return Tree(*place, _row_starts(roots, tensor.shape[mode]), None, columns, columns[:0, 0], values)
        firsts = begins_fibre.nonzero().flatten()
        fibre_starts = torch.cat([firsts, firsts.new_tensor([len(values)])])
        fibre_starts = fibre_starts.to(torch.int32) if len(values) <= LARGEST_INDEX else fibre_starts
        row_starts, inner = _row_starts(roots[firsts], tensor.shape[mode]), columns[firsts, :-1].contiguous()
        return Tree(*place, row_starts, fibre_starts, inner, columns[:, -1].contiguous(), values)

    @cached_property
    def edges(self) -> list[int]:
        """Rows that divide the nonzeros evenly over the threads: 0, ..., I."""
        begins = self.row_starts
        if self.fibre_starts is not None:
            begins = self.fibre_starts[begins.long()].long()
        parts = PARTS_PER_THREAD * threads()
        inner = torch.searchsorted(begins, torch.arange(1, parts) * len(self.values) // parts)
        return [0, *inner.clamp(max=len(begins) - 1).tolist(), len(begins) - 1]

    @cached_property
    def chunks(self) -> Chunks:
        """The nonzeros as the programs of a GPU divide them."""
        return Chunks.of(self.row_starts, self.fibre_starts, len(self.values))

    @property
    def bytes(self) -> int:
        """The memory of the tree."""
        parts = (self.row_starts, self.fibre_starts, self.others, self.leaves, self.values)
        return sum(part.numel() * part.element_size() for part in parts if part is not None)

    def with_values(self, values: Tensor) -> Tree:
        """The tree of other values (M, in this tree's order) at the same indices; edges and chunks are not remade."""
        other = replace(self, values=values)
        derived = {name: value for name, value in self.__dict__.items() if name not in other.__dict__}
        other.__dict__.update(derived)
        return other


def offsets(shape: Sequence[int]) -> list[int]:
    """The first row of each mode's factor in the stack of all factors."""
    return [sum(shape[:mode]) for mode in range(len(shape))]


def _row_starts(roots: Tensor, rows: int) -> Tensor:
    """Where each of the rows begins among sorted roots: rows + 1."""
    return torch.searchsorted(roots, torch.arange(rows + 1, dtype=roots.dtype, device=roots.device))
