"""The MTTKRP over the nonzeros of a tree, and the model's entries at them, by the kernels of a CPU or of a GPU.

Shapes: M nonzeros, mode n of I_n rows; a stack holds the factors of all modes, as stack.py makes it. Rows are divided
over the threads by their nonzeros, so that no thread writes to the rows of another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from polyadic.tensor import kernels
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import in_parallel
from polyadic.tensor.tree import Tree


def on_gpu(stack: Tensor) -> bool:
    """Whether the kernels of a GPU take this stack."""
    return stack.device.type == "cuda"


def mttkrp(tree: Tree, stack: Tensor, rank: int) -> Tensor:
    """X_(n) (⊙_{m≠n} A^(m)) for the tree's mode n, from the factors in the stack: I_n x R.

    Kolda and Bader, SIAM Review 2009, section 3.4.
    """
    if on_gpu(stack):
        from polyadic.tensor.kernels import cuda  # Triton comes with torch's builds for GPUs alone.

        rows = len(tree.row_starts) - 1
        return cuda.mttkrp(tree.chunks, _indices(tree), tree.values, stack, order=tree.order, rows=rows)[:, :rank]
    out = stack.new_empty(len(tree.row_starts) - 1, stack.shape[1])
    for column, width in pieces(stack.shape[1], stack.dtype):
        in_parallel(rows_kernel(tree, stack, out, column, width), tree.edges)
    return out[:, :rank]


def rows_kernel(tree: Tree, stack: Tensor, out: Tensor, column: int, width: int) -> Callable[[int, int], None]:
    """A function (begin, end) that writes rows [begin, end) of the MTTKRP to `out` (I_n x columns of the stack).

    It writes `width` columns, from `column` on. On a CPU alone.
    """
    kernel = kernels.cpu.sparse_rows if tree.fibre_starts is None else kernels.cpu.sparse_fibres
    arrays = [part.numpy() for part in (tree.row_starts, *_indices(tree), tree.values, stack, out)]
    return partial(kernel(width, tree.order), *arrays, column)


def entries(tree: Tree, stack: Tensor) -> Tensor:
    """The model's entries at the nonzeros, in the tree's order: M.

    The entry at (i_1, ..., i_N) is the sum over r of the product over the modes n of A^(n)[i_n, r].
    """
    if on_gpu(stack):
        from polyadic.tensor.kernels import cuda  # Triton comes with torch's builds for GPUs alone.

        return cuda.entries(tree.chunks, _indices(tree), stack, order=tree.order, own_start=tree.own_start)
    out = stack.new_zeros(len(tree.values))
    kernel = kernels.cpu.sparse_entries if tree.fibre_starts is None else kernels.cpu.fibre_entries
    places = [part.numpy() for part in (tree.row_starts, *_indices(tree))]
    for column, width in pieces(stack.shape[1], stack.dtype):
        arrays = (*places, tree.own_start, stack.numpy(), out.numpy())
        in_parallel(kernel(width, tree.order), tree.edges, *arrays, column)
    return out


def _indices(tree: Tree) -> tuple[Tensor, ...]:
    """The other modes' indices as the kernels take them: others, or fibre_starts, others and leaves."""
    return (tree.others,) if tree.fibre_starts is None else (tree.fibre_starts, tree.others, tree.leaves)
