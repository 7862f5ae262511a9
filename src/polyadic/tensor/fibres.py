"""Sparse tensors as MTTKRP reads them: a tree a mode, its nonzeros sorted by that mode's rows.

Where enough nonzeros share all indices but the last, the tree keeps these once, as compressed fibres do (Smith and
Karypis, IA3 2015); where they do not, each nonzero stands by itself, which then is both smaller and faster. Rows are
divided over the threads by nonzeros, so that none writes what another does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.chunks import Chunks
from polyadic.tensor.kernels import cpu as cpu_kernels
from polyadic.tensor.kernels.threads import PARTS_A_THREAD, in_parallel, threads
from polyadic.tensor.kernels.vectors import LANES
from polyadic.tensor.sparse import SparseTensor, sorting, starts

COMPRESSED_FROM = 3.0
"""Nonzeros a fibre from which compressing them pays: measured, docs/decisions.md."""
WIDTHS = (64, 32, 16, 8)
"""Columns that a kernel takes at a time, in float32: powers of two, since LLVM splits others badly. Half in float64."""

LARGEST = 2**31 - 1
"""What an index counts to."""


@dataclass(frozen=True)
class Tree:
    """Nonzeros sorted by the rows of `mode`, then by the other modes.

    own: where the mode's own factor begins in the stack; first (I + 1): where each row's fibres begin; ends (F + 1):
    where each fibre's nonzeros begin, or None where every nonzero is a fibre; others (F x N - 1, or N - 2 where fibres
    are compressed) and leaves (M): indices of the other modes, as rows of the stack; values (M).
    """

    mode: int
    order: int
    own: int
    first: Tensor
    ends: Tensor | None
    others: Tensor
    leaves: Tensor
    values: Tensor

    @cached_property
    def edges(self) -> list[int]:
        """Rows that divide the nonzeros evenly over the threads."""
        first = self.first if self.ends is None else self.ends[self.first.long()].long()
        parts = PARTS_A_THREAD * threads()
        inner = torch.searchsorted(first, torch.arange(1, parts) * len(self.values) // parts)
        return [0, *inner.clamp(max=len(first) - 1).tolist(), len(first) - 1]

    @cached_property
    def chunks(self) -> Chunks:
        """The nonzeros as the programs of a GPU share them."""
        return Chunks.of(self.first, self.ends, len(self.values))

    @property
    def bytes(self) -> int:
        """Memory of the tree."""
        parts = (self.first, self.ends, self.others, self.leaves, self.values)
        return sum(part.numel() * part.element_size() for part in parts if part is not None)

    def with_values(self, values: Tensor) -> Tree:
        """The same places with other values, in the tree's order; what was found from the places goes along."""
        other = replace(self, values=values)
        other.__dict__.update({name: found for name, found in self.__dict__.items() if name not in other.__dict__})
        return other


def offsets(shape: Sequence[int]) -> list[int]:
    """The first row of each mode's factor in the stack of all of them."""
    return [sum(shape[:mode]) for mode in range(len(shape))]


def plant(tensor: SparseTensor, mode: int, *, compressed_from: float = COMPRESSED_FROM) -> Tree:
    """The tree of one mode; its last level is the longest of the other modes, which makes the fewest fibres.

    Raises UserError where the modes have 2^31 rows or more together: indices count through all of them.
    """
    if sum(tensor.shape) > LARGEST:
        raise UserError(
            f"the modes of a rank's block have {sum(tensor.shape)} rows together: {LARGEST} at most are taken. "
            "Use more ranks, or number the rows that hold nonzeros alone"
        )
    others = sorted((m for m in range(len(tensor.shape)) if m != mode), key=lambda m: tensor.shape[m])
    order = sorting(tensor.indices, [mode, *others])
    values, start = tensor.values[order], offsets(tensor.shape)
    root = tensor.indices[mode][order]
    columns = torch.stack([tensor.indices[m][order] + start[m] for m in others], 1)
    del order
    facts = (mode, len(tensor.shape), start[mode])
    new = starts(torch.cat([root[None], columns[:, :-1].T]))
    if len(others) < 2 or len(values) < compressed_from * int(new.sum()):
        return Tree(*facts, _first(root, tensor.shape[mode]), None, columns, columns[:0, 0], values)
    place = new.nonzero().flatten()
    ends = torch.cat([place, place.new_tensor([len(values)])])
    ends = ends.to(torch.int32) if len(values) <= LARGEST else ends
    first, inner = _first(root[place], tensor.shape[mode]), columns[place, :-1].contiguous()
    return Tree(*facts, first, ends, inner, columns[:, -1].contiguous(), values)


def _first(roots: Tensor, rows: int) -> Tensor:
    """Where each row begins among sorted roots: rows + 1."""
    return torch.searchsorted(roots, torch.arange(rows + 1, dtype=roots.dtype, device=roots.device))


class Stack:
    """The factors of all modes one above another, rows padded to whole registers: what the kernels gather from."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape, self.start = tuple(shape), offsets(shape)
        self._rows = torch.empty(0, 0)
        self._seen: list[Tensor | None] = [None] * len(shape)

    def of(self, factors: Sequence[Tensor]) -> Tensor:
        """The stack (sum of I_n x R, padded) of these factors; one that is the same object as before is not copied."""
        like, rank = factors[0], factors[0].shape[1]
        width = padded(rank, like.dtype)
        wanted = (sum(self.shape), width)
        if self._rows.shape != wanted or self._rows.dtype != like.dtype or self._rows.device != like.device:
            self._rows, self._seen = like.new_zeros(wanted), [None] * len(self.shape)
        for mode, factor in enumerate(factors):
            if self._seen[mode] is not factor:
                self._rows[self.start[mode] : self.start[mode] + len(factor), :rank] = factor
                self._seen[mode] = factor
        return self._rows

    def rows(self, mode: int) -> Tensor:
        """The rows of one mode's factor in the stack, padded; to be written where `written` is told of it."""
        return self._rows[self.start[mode] : self.start[mode] + self.shape[mode]]

    def written(self, mode: int, rank: int) -> Tensor:
        """The factor that now stands in the rows of its mode, a view of them."""
        factor = self.rows(mode)[:, :rank]
        self._seen[mode] = factor
        return factor


def padded(rank: int, dtype: torch.dtype) -> int:
    """The rank rounded up to one register, or to whole cache lines of two."""
    lanes = LANES[str(dtype).removeprefix("torch.")]
    return lanes if rank <= lanes else 2 * lanes * math.ceil(rank / (2 * lanes))


def on_gpu(stack: Tensor) -> bool:
    """Whether the kernels of a GPU take this stack."""
    return stack.device.type == "cuda"


def mttkrp(tree: Tree, stack: Tensor, rank: int) -> Tensor:
    """X_(n) (⊙_{m≠n} A^(m)) for the tree's mode: I_n x R."""
    if on_gpu(stack):
        from polyadic.tensor.kernels import cuda as cuda_kernels

        return cuda_kernels.mttkrp(tree, stack)[:, :rank]
    out = stack.new_empty(len(tree.first) - 1, stack.shape[1])
    for column, width in pieces(stack.shape[1], stack.dtype):
        in_parallel(rows_kernel(tree, stack, out, column, width), tree.edges)
    return out[:, :rank]


def rows_kernel(tree: Tree, stack: Tensor, out: Tensor, column: int, width: int) -> Callable[[int, int], None]:
    """What writes rows [begin, end) of `width` columns of the MTTKRP to `out`."""
    places, kernel = [tree.first, tree.others], cpu_kernels.sparse_rows
    if tree.ends is not None:
        places, kernel = [tree.first, tree.ends, tree.others, tree.leaves], cpu_kernels.sparse_fibres
    arrays = [part.numpy() for part in (*places, tree.values, stack, out)]
    return partial(kernel(width, tree.order), *arrays, column)


def entries(tree: Tree, stack: Tensor) -> Tensor:
    """The model's entries at the nonzeros, in the tree's order: M. The sum over r of the product of the rows."""
    if on_gpu(stack):
        from polyadic.tensor.kernels import cuda as cuda_kernels

        return cuda_kernels.entries(tree, stack)
    out = stack.new_zeros(len(tree.values))
    arrays = [part.numpy() for part in (tree.first, tree.others, stack, out)]
    first, others, *rest = arrays
    for column, width in pieces(stack.shape[1], stack.dtype):
        if tree.ends is None:
            in_parallel(
                cpu_kernels.sparse_entries(width, tree.order), tree.edges, first, others, tree.own, *rest, column
            )
        else:
            shared = (tree.ends.numpy(), others, tree.leaves.numpy(), tree.own)
            in_parallel(cpu_kernels.fibre_entries(width, tree.order), tree.edges, first, *shared, *rest, column)
    return out


def pieces(columns: int, dtype: torch.dtype, widest: int = WIDTHS[0]) -> list[tuple[int, int]]:
    """The columns that the kernels take one after another: where each piece begins and how many it has."""
    found, column = [], 0
    widths = [
        width * LANES[str(dtype).removeprefix("torch.")] // LANES["float32"] for width in WIDTHS if width <= widest
    ]
    while column < columns:
        width = next(width for width in widths if width <= columns - column)
        found.append((column, width))
        column += width
    return found
