"""The core of a tensor train that fits the observed entries best beside the other cores: ridge regressions of its rows.

With the cores left of n orthonormal in their columns and those right of it in their rows, the matrix G^(n)[i] is the
ridge regression of the entries whose index in mode n is i on kron(left, right), the interfaces of these entries:
Grasedyck, Kluge and Krämer, SIAM J. Sci. Comput. 2015. The normal equations are summed over the ranks.
Shapes: core n is r_{n-1} x I_n x r_n; M observed entries of this rank; w = r_{n-1} r_n unknowns in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.train_cores import left_rows, right_rows

LONGEST_PIECE = 512
"""At most so many entries of a row are multiplied together."""
SHORTEST_PIECE = 8
CHUNK_NUMBERS = 2**22
"""Numbers that stand in memory together, of the entries' interfaces or of the rows' normal equations."""


class ModeEntries:
    """This rank's observed entries sorted by their row of one mode, and cut into pieces of one row each.

    indices: N x M; values: M; mode: n; rows: I_n.
    """

    def __init__(self, indices: Tensor, values: Tensor, mode: int, rows: int) -> None:
        self.indices, self.values, self.mode, self.rows = indices, values, mode, rows
        self._order = torch.argsort(indices[mode], stable=True).int()
        counts = torch.bincount(indices[mode], minlength=rows)
        self._length = min(LONGEST_PIECE, max(SHORTEST_PIECE, len(values) // (4 * rows)))
        pieces = (counts + self._length - 1) // self._length
        self._row = torch.arange(rows, device=values.device).repeat_interleave(pieces)
        number = torch.arange(len(self._row), device=values.device) - (pieces.cumsum(0) - pieces)[self._row]
        self._first = (counts.cumsum(0) - counts)[self._row] + number * self._length
        self._stop = counts.cumsum(0)[self._row]

    def equations(self, cores: Sequence[Tensor], rows: range) -> tuple[Tensor, Tensor]:
        """This rank's normal equations of the matrices of `rows`: len(rows) x w x w and len(rows) x w, float64."""
        width = cores[self.mode].shape[0] * cores[self.mode].shape[2]
        gram = torch.zeros(len(rows), width, width, dtype=torch.float64, device=self.values.device)
        product = gram.new_zeros(len(rows), width)
        for row, place, real in self._pieces(rows, max(1, CHUNK_NUMBERS // (width * max(width, self._length)))):
            index = self.indices[:, place.reshape(-1)].T.long()
            left = left_rows(cores[: self.mode], index[:, : self.mode]) * real.reshape(-1, 1)
            right = right_rows(cores[self.mode + 1 :], index[:, self.mode + 1 :])
            design = (left[:, :, None] * right[:, None, :]).reshape(*place.shape, width).to(self.values.dtype)
            gram.index_add_(0, row, (design.transpose(1, 2) @ design).double())
            product.index_add_(0, row, (design.transpose(1, 2) @ self.values[place][:, :, None])[:, :, 0].double())
        return gram, product

    def _pieces(self, rows: range, chunk: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """P pieces at a time: their rows (P), the places of their entries (P x L), and which of these are entries."""
        ends = torch.tensor([rows.start, rows.stop], device=self._row.device)
        begin, end = torch.searchsorted(self._row, ends)
        for part in torch.split(torch.arange(int(begin), int(end), device=self._row.device), chunk):
            place = self._first[part, None] + torch.arange(self._length, device=part.device)
            real = place < self._stop[part, None]
            yield self._row[part] - rows.start, self._order[torch.where(real, place, 0)], real


def best_core(cores: Sequence[Tensor], entries: ModeEntries, l2: float, world: World) -> Tensor:
    """The best core of a mode beside the others: r_{n-1} x I_n x r_n, the same on every rank. A collective."""
    before, _, after = cores[entries.mode].shape
    chunk, matrices = max(1, 4 * CHUNK_NUMBERS // (before * after) ** 2), []
    precision = torch.finfo(entries.values.dtype).eps
    for first in range(0, entries.rows, chunk):
        gram, product = entries.equations(cores, range(first, min(entries.rows, first + chunk)))
        matrices.append(_solve(world.sum_(gram), world.sum_(product), l2, precision))
    core = torch.cat(matrices).reshape(entries.rows, before, after).transpose(0, 1)
    return core.to(entries.values.dtype).contiguous()


def _solve(gram: Tensor, product: Tensor, l2: float, precision: float) -> Tensor:
    """gram_i^-1 product_i for each i by Cholesky, with a ridge where a Gram matrix is singular to the precision.

    A row with fewer entries than unknowns has such a Gram matrix: the ridge gives about the shortest of its solutions,
    and zeros for a row without entries. gram: B x w x w, product: B x w; the result is B x w.
    """
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    largest = gram.diagonal(dim1=1, dim2=2).amax(1).clamp_min(torch.finfo(gram.dtype).tiny)
    precision, lower = precision * gram.shape[-1], torch.empty_like(gram)
    ridge, todo = 0.0, torch.arange(len(gram), device=gram.device)
    while len(todo):
        shift = (ridge * largest[todo] + l2)[:, None, None] * eye
        lower[todo], failed = torch.linalg.cholesky_ex(gram[todo] + shift)
        pivots = lower[todo].diagonal(dim1=1, dim2=2).amin(1).square()
        todo = todo[(failed != 0) | ~(pivots > precision * largest[todo])]
        ridge = max(4 * ridge, precision)
    return torch.cholesky_solve(product[:, :, None], lower)[:, :, 0]
