"""The normal equations of rows that each have their own, since some entries were not observed.

Shapes: J rows of a factor of rank R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.cp.error import Squares, observed_squares

PIECE_BYTES = 2**26
"""Of the matrices that are held in full at once: those of all rows would be many times as large as the factor."""


@dataclass(frozen=True)
class RowMatrices:
    """A matrix R x R of each of J rows: their upper triangles `flat`, J x R (R + 1) / 2, in the order of `pairs`."""

    flat: Tensor
    rank: int

    def solve(self, solver: Callable[[slice, Tensor], Tensor], l2: float = 0.0) -> Tensor:
        """What `solver` makes of some rows and their matrices (rows x R x R, float64), of all rows together.

        l2: added to the diagonal of each matrix.
        """
        solutions = []
        for rows, full in self._pieces():
            full.diagonal(dim1=1, dim2=2).add_(l2)
            solutions.append(solver(rows, full))
        return torch.cat(solutions)

    def squares(self, rows: Tensor) -> Squares:
        """The squares of the model over the observed entries of rows (J x R), in which the weights are contained."""
        parts = [observed_squares(full, rows[some]) for some, full in self._pieces()]
        return Squares(*(torch.stack(column).sum() for column in zip(*parts, strict=True)))

    def _pieces(self) -> Iterator[tuple[slice, Tensor]]:
        step = max(1, PIECE_BYTES // (8 * self.rank**2))
        # At least one piece, which may have no row: a rank without rows has sums too.
        for first in range(0, max(1, len(self.flat)), step):
            rows = slice(first, first + step)
            yield rows, symmetric(self.flat[rows], self.rank)


def pairs(factor: Tensor) -> Tensor:
    """The products of each pair of a factor's columns (I x R): I x R (R + 1) / 2, in the order of `symmetric`."""
    first, second = torch.triu_indices(factor.shape[1], factor.shape[1], device=factor.device)
    return factor[:, first] * factor[:, second]


def symmetric(flat: Tensor, rank: int) -> Tensor:
    """Symmetric matrices from their upper triangles (J x R (R + 1) / 2): J x R x R, float64."""
    first, second = torch.triu_indices(rank, rank, device=flat.device)
    full = flat.new_zeros(len(flat), rank, rank, dtype=torch.float64)
    full[:, first, second] = flat.double()
    full[:, second, first] = flat.double()
    return full
