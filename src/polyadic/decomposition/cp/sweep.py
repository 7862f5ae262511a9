"""One sweep of alternating least squares: every factor is updated once, beside the newest of the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp.error import Squares, relative_error, squares_of
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.row_matrices import RowMatrices, pairs
from polyadic.decomposition.cp.updates import (
    NormalMatrix,
    column_lengths,
    gram_of,
    nonnegative_rows,
    solve_rows,
    sums_of,
)
from polyadic.decomposition.data import Data
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.rows import Sums, scale_, times
from polyadic.tensor.skinny import MOST_KERNEL_COLUMNS
from polyadic.tensor.sparse_share import SparseShare

LEAST_SCALE = 1e-12
"""Norms from this to its inverse may be divided out of the small matrices instead of the large ones."""
LENGTH_FACTOR = 2.0
"""Columns with lengths within this factor of 1 stay as they are until the fit ends: that saves a pass over the rows."""


class Sweep:
    """The update of one factor after another, and what the updates leave for the error of the sweep.

    nonnegative, l2: as `cp` takes them. modes: those to update. Factors are J_n x R, this rank's rows.
    """

    def __init__(self, data: Data, *, nonnegative: bool, l2: float, modes: list[int]) -> None:
        self.data, self.nonnegative, self.l2, self.modes = data, nonnegative, l2, modes
        zero = torch.zeros(())
        self._inner, self._squares = zero, Squares(zero, zero)  # Of the last sweep, divided by |X|².

    def begin(self, progress: Progress) -> None:
        """Takes up the factors of a fit."""
        share, rank = self.data.share, progress.factors[0].shape[1]
        if self.nonnegative:
            factors = enumerate(progress.factors)
            progress.factors = [factor.abs() if mode in self.modes else factor for mode, factor in factors]
        if not len(progress.weights) or not progress.iteration:
            progress.weights = torch.ones(rank, dtype=torch.float64, device=share.device)
        self.seek(progress.iteration, rank)
        if not progress.grams:
            progress.grams = [
                layer.total(gram_of(factor[layer.own]), self.data.world)
                for factor, layer in zip(progress.factors, share.layers, strict=True)
            ]

    def seek(self, sweeps: int, rank: int) -> None:
        """Begins anew after so many sweeps: no product that another one left is used."""
        share, mask = self.data.share, self.data.mask
        modes = [mode for mode in share.order() if mode in self.modes]
        share.seek(sweeps, modes, rank)
        if isinstance(mask, DenseShare):
            mask.seek(sweeps, modes, rank * (rank + 1) // 2, keeps=False)

    def objective(self, progress: Progress) -> float:
        """What sweeps lower, over |X|²: the squared error, and l2 times the squared lengths of the components."""
        lengths = (progress.weights / self.data.norm).square().sum().item() if self.l2 else 0.0
        return progress.relative_error**2 + self.l2 * lengths

    def order(self, progress: Progress) -> list[int]:
        """The modes in the order in which the next sweep updates them."""
        return self.data.share.sweep(progress.iteration)

    def __call__(self, progress: Progress) -> None:
        """Makes one sweep, and takes its error and its seconds."""
        began, progress.error_before = time.perf_counter(), progress.relative_error
        with for_kernels() if by_kernels(self.data, progress.factors[0].shape[1]) else nullcontext():
            order = self.data.share.sweep(progress.iteration)
            for mode in order:
                self._update(progress, mode, last=mode == order[-1])
            progress.relative_error = relative_error(self.data, progress, self._squares, self._inner)
        progress.iteration, progress.seconds = progress.iteration + 1, time.perf_counter() - began

    def _update(self, progress: Progress, mode: int, *, last: bool) -> None:
        """Updates one factor and the weights; after the last of a sweep, what its error is taken from."""
        layer, gram = self.data.share.layers[mode], self._normal_matrix(progress, mode)
        # Divided by |X|, so that the squares of float32 neither overflow nor vanish.
        rows, (own_gram, inner), scale = self._solve(gram, progress, mode)
        # One collective for all that is summed over the ranks: the Gram matrix, and at the end of a sweep <X, Y>.
        parts = [own_gram.flatten()]
        if last:
            parts.append((inner @ scale).reshape(1))
            if isinstance(gram, RowMatrices):
                parts += [square.reshape(1) for square in gram.squares(rows)]
        sums, rank = layer.total(torch.cat(parts), self.data.world), rows.shape[1]
        rows, own_gram, scale = self._normalised(rows, sums[: rank**2].reshape(rank, rank), scale)
        progress.weights, progress.grams[mode] = scale * self.data.norm, own_gram
        progress.factors[mode] = layer.spread(rows)
        if last:
            self._inner = sums[rank**2]
            observed = isinstance(gram, RowMatrices)
            self._squares = Squares(*sums[rank**2 + 1 :]) if observed else squares_of(scale, progress.grams)

    def _normalised(self, rows: Tensor, gram: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, their Gram matrix and the weights over |X|, with columns of length 1 or about that."""
        lengths = column_lengths(gram)
        shortest, longest = torch.stack(lengths.aminmax()).tolist()
        if not self.l2 and 1 / LENGTH_FACTOR < shortest <= longest < LENGTH_FACTOR:
            return rows, gram, scale
        return scale_(rows, 1 / lengths), gram / torch.outer(lengths, lengths), scale * lengths

    def _normal_matrix(self, progress: Progress, mode: int) -> Tensor | RowMatrices:
        """The matrix of the normal equations: R x R, or one for each row where some entries were not observed."""
        mask, rank = self.data.mask, progress.factors[0].shape[1]
        if mask is not None:
            flat = self.data.share.layers[mode].combine(mask.mttkrp(mode, [pairs(each) for each in progress.factors]))
            return RowMatrices(flat, rank)
        return reduce(torch.mul, [gram for other, gram in enumerate(progress.grams) if other != mode])

    def _solve(self, gram: Tensor | RowMatrices, progress: Progress, mode: int) -> tuple[Tensor, Sums, Tensor]:
        """The new rows (J x R), their sums, and the weight of each column (R); the last two divided by |X|."""
        share, unit, scale = self.data.share, self.data.norm, torch.ones_like(progress.weights)
        if isinstance(gram, RowMatrices):
            product = self._product(progress, mode)
            rows = gram.solve(self._solver_of_rows(progress, mode, product), self.l2)
            return rows, sums_of(rows, product), scale
        if self.l2:
            gram = gram + self.l2 * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        if self.nonnegative:
            product = self._product(progress, mode)
            rows = nonnegative_rows(gram, product, self._before(progress, mode))
            return rows, sums_of(rows, product), scale
        normal = NormalMatrix(gram, share.dtype)
        if normal.inverse is not None and LEAST_SCALE < unit < 1 / LEAST_SCALE:
            return self._solve_by_inverse(normal.inverse, progress, mode)
        return *normal.solve(self._product(progress, mode)), scale

    def _solver_of_rows(self, progress: Progress, mode: int, product: Tensor) -> Callable[[slice, Tensor], Tensor]:
        """What solves the normal equations of some rows, each by its own matrix."""
        if not self.nonnegative:
            return lambda some, full: solve_rows(full, product[some])
        before = self._before(progress, mode)
        return lambda some, full: nonnegative_rows(full, product[some], before[some])

    def _product(self, progress: Progress, mode: int) -> Tensor:
        """The MTTKRP divided by |X|: J x R."""
        return self.data.share.layers[mode].combine(self.data.share.mttkrp(mode, progress.factors)).div_(self.data.norm)

    def _before(self, progress: Progress, mode: int) -> Tensor:
        """The rows before the update with the weights in them, divided by |X|: J x R."""
        before = progress.factors[mode][self.data.share.layers[mode].own]
        return before * (progress.weights / self.data.norm).to(before.dtype)

    def _solve_by_inverse(self, inverse: Tensor, progress: Progress, mode: int) -> tuple[Tensor, Sums, Tensor]:
        """The same where the inverse of the normal matrix is accurate: one pass over the rows."""
        share, unit = self.data.share, self.data.norm
        # Columns change little from one mode to the next: divided by the weights so far, they need no more.
        scale = (progress.weights / unit).clamp(LEAST_SCALE, 1 / LEAST_SCALE)
        scaled = (inverse / (unit * scale)).to(share.dtype)
        if isinstance(share, SparseShare) and share.solves(mode, len(scaled)):
            rows, (own_gram, inner) = share.solved(mode, progress.factors, scaled)
        else:
            product = share.layers[mode].combine(share.mttkrp(mode, progress.factors))
            rows, (own_gram, inner) = times(product, scaled)
        return rows, (own_gram, inner / unit), scale


def by_kernels(data: Data, rank: int) -> bool:
    """Whether our kernels form the large products of the data, so that those of the library are small."""
    return data.share.device.type == "cpu" and (isinstance(data.share, SparseShare) or rank <= MOST_KERNEL_COLUMNS)
