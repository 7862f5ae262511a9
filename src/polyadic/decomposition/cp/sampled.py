"""CP of a large sparse tensor by least squares over a sample of Khatri-Rao rows, drawn by their leverage.

CP-ARLS-LEV: Larsen and Kolda, "Practical leverage-based sampling for low-rank tensor decomposition", SIMAX 2022.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import als
from polyadic.decomposition.cp.error import relative_error, squares_of
from polyadic.decomposition.cp.leverage import draw
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.start import Init, begin
from polyadic.decomposition.cp.updates import NormalMatrix, column_lengths, gram_of
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import checked
from polyadic.tensor.columns import Columns, Rows, khatri_rao_at
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.layout import whole_factor
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare
from polyadic.tensor.stack import Stack

FAILED_CHECKS = 3
"""A fit ends after so many checks without a better error: sampled sweeps jitter about their optimum."""


@checked(renamed={"tol": "stop_tol"})
def sampled_cp(
    tensor: SparseTensor | Data,
    rank: int,
    *,
    world: World | None = None,
    samples: int = 2**16,
    exact_sweeps: int = 3,
    check_every: int = 5,
    init: Init = "svd",
    max_iterations: int = 100,
    stop_tol: float = 1e-4,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """Alternating least squares over `samples` columns of each unfolding instead of all columns.

    tensor: any part of the nonzeros of a sparse tensor I_1 x ... x I_N, N >= 3; absent entries are zeros.
    rank: R, the number of components. init, progress, after_sweep: as `cp` takes them.
    exact_sweeps: so many sweeps at the beginning take all columns: where the factors know nothing of the data, no
    leverage score tells which columns matter. After them a column of mode n is drawn with the product of the leverage
    scores of its rows, a_i (A^T A)^-1 a_i^T / R; columns with a probability above 1 / samples are all taken. The draw
    is a function of (seed, sweep, mode), the same for any number of ranks.
    check_every: every so many sweeps the last mode takes all columns, which gives the true error too; the best model
    that was checked so is kept. stop_tol: a fit ends when three checks in a row improve the relative error by no more
    than this, or after `max_iterations` sweeps.

    Returns weights (R, float64) and factors (I_n x R, columns of length 1), whole on every rank, with the true
    relative error |X - Y| / |X|.

    Raises UserError for a rank under 1, an order under 3, a dense tensor, one with unknown entries, one that is all
    zero or not finite, and modes whose other modes have 2^62 columns or more.
    """
    data = Data.of(tensor, world)
    fit, progress = _Fit(data, _sparse_share(data), samples, seed), progress or Progress()
    exact = min(exact_sweeps, max_iterations)
    if progress.iteration < exact:
        model, going = _exact_model(data, rank, init, exact, seed, progress, after_sweep)
        if not going:
            return model
        progress.restart, progress.iteration, progress.best = 0, exact, model
        progress.factors, progress.weights = model.factors, model.weights
        progress.relative_error = model.relative_error
    elif not progress.factors:
        held = begin(data, rank, init, seed, True)
        progress.factors = data.whole(CPTensor(progress.weights, held, 0.0)).factors
    progress.grams = progress.grams or [gram_of(factor) for factor in progress.factors]
    _descend(fit, progress, max_iterations, check_every, stop_tol, after_sweep)
    return progress.best or replace(progress.better(), relative_error=fit.error(progress))


def _sparse_share(data: Data) -> SparseShare:
    """The share of data that columns can be sampled from; UserError for other data."""
    order, share = len(data.share.shape), data.share
    if order < 3 or not isinstance(share, SparseShare) or data.mask is not None:
        raise UserError(
            f"sampling needs a sparse tensor of order 3 or more whose absent entries are zeros; this one is of order "
            f"{order}, {'sparse' if isinstance(share, SparseShare) else 'dense'}. Use method als"
        )
    return share


def _exact_model(
    data: Data,
    rank: int,
    init: Init,
    sweeps: int,
    seed: int,
    progress: Progress,
    after_sweep: Callable[[Progress], bool],
) -> tuple[CPTensor, bool]:
    """The model after `sweeps` sweeps over all columns, and whether the fit is to go on."""
    going = True

    def watched(state: Progress) -> bool:
        nonlocal going
        going = after_sweep(state)
        return going

    model = als(
        data, rank, init=init, max_iterations=sweeps, stop_tol=0, seed=seed, progress=progress, after_sweep=watched
    )
    return model, going


def _descend(
    fit: _Fit,
    progress: Progress,
    max_iterations: int,
    check_every: int,
    stop_tol: float,
    after_sweep: Callable[[Progress], bool],
) -> None:
    """Sampled sweeps until they gain nothing more, or the caller ends the fit."""
    failed = 0
    while progress.iteration < max_iterations and failed < FAILED_CHECKS:
        number = progress.iteration + 1
        checks = number % check_every == 0 or number == max_iterations
        fit.sweep(progress, checks=checks)
        if checks:
            best = progress.best
            better = best is None or best.relative_error - progress.relative_error > stop_tol
            failed, progress.best = 0 if better else failed + 1, progress.better()
        if not after_sweep(progress):
            return


class _Fit:
    """A rank's block of the tensor, and the leverage of all rows of all factors, which every rank knows."""

    def __init__(self, data: Data, share: SparseShare, samples: int, seed: int) -> None:
        self.data, self.share, self.world = data, share, data.world
        self.samples, self.seed = samples, seed
        self.columns = [Columns.of(self.share.block, mode) for mode in range(len(data.share.shape))]
        self._stack = Stack(share.shape)
        self._leverage: dict[int, tuple[Tensor, Rows]] = {}

    def sweep(self, progress: Progress, *, checks: bool) -> None:
        """Updates every mode over a sample; where it checks, the last over all columns, which gives the error too."""
        began, *sampled, last = time.perf_counter(), *range(len(self.share.shape))
        for mode in sampled:
            self._update(progress, mode, *self._of_sample(progress, mode))
        if checks:
            inner = self._update(progress, last, *self._of_all(progress, last))
            progress.error_before, progress.relative_error = progress.relative_error, self.error(progress, inner)
        else:
            self._update(progress, last, *self._of_sample(progress, last))
        progress.iteration, progress.seconds = progress.iteration + 1, time.perf_counter() - began

    def error(self, progress: Progress, inner: Tensor | None = None) -> float:
        """The true relative error; `inner` is <X, Y> over |X|², where it is known without a pass over the nonzeros."""
        held, weights = self.data.held(progress.factors), progress.weights / self.data.norm
        if inner is None:
            columns = (self.share.mttkrp(0, held) * held[0]).sum(0, dtype=torch.float64)
            inner = self.world.sum_(columns / self.data.norm) @ weights
        return relative_error(self.data, replace(progress, factors=held), squares_of(weights, progress.grams), inner)

    def _of_sample(self, progress: Progress, mode: int) -> tuple[Tensor, Tensor]:
        """X_(n) W Z over |X|, this rank's own rows of it, and Z^T W Z: Z sampled Khatri-Rao rows, W their weights."""
        rank, others = progress.factors[0].shape[1], self._others(mode)
        probabilities = [self._probabilities(progress, other) for other in others]
        sample = draw(probabilities, self.samples, (self.seed, progress.iteration, mode))
        root = sample.weights.sqrt().to(progress.factors[0].dtype)
        start = [self._stack.start[other] for other in others]
        sampled = khatri_rao_at(sample.index, self._stack.of(progress.factors), start, root)
        layer = self.share.layers[mode]
        held = self.columns[mode].product(sample.index, root, sampled, layer.stop - layer.start)
        return layer.combine(held[:, :rank]) / self.data.norm, (sampled.T @ sampled)[:rank, :rank].double()

    def _of_all(self, progress: Progress, mode: int) -> tuple[Tensor, Tensor]:
        """The same with all columns."""
        product = self.share.layers[mode].combine(self.share.mttkrp(mode, self.data.held(progress.factors)))
        gram = reduce(torch.mul, [progress.grams[other] for other in self._others(mode)])
        return product / self.data.norm, gram

    def _update(self, progress: Progress, mode: int, product: Tensor, gram: Tensor) -> Tensor:
        """A^(n) <- product gram^-1 and the weights; returns <product, A^(n)> with the weights in A^(n)."""
        layer = self.share.layers[mode]
        own, (own_gram, inner) = NormalMatrix(gram, product.dtype).solve(product)
        sums = layer.total(torch.cat([own_gram, inner[None]]), self.world)
        own_gram, inner = sums[:-1], sums[-1].sum()
        lengths = column_lengths(own_gram)
        progress.weights = lengths * self.data.norm
        progress.grams[mode] = own_gram / torch.outer(lengths, lengths)
        rows = own / lengths.to(own.dtype)
        progress.factors[mode] = whole_factor(layer, rows, self.world, self.share.shape[mode])
        return inner

    def _others(self, mode: int) -> list[int]:
        return [other for other in range(len(self.share.shape)) if other != mode]

    def _probabilities(self, progress: Progress, mode: int) -> Rows:
        """The leverage scores of a factor's rows as probabilities; taken anew when the factor is another."""
        factor, known = progress.factors[mode], self._leverage.get(mode)
        if known is None or known[0] is not factor:
            scores = NormalMatrix(progress.grams[mode], factor.dtype).leverage(factor)
            # One rank's word: a sample must be the same on all of them, though their hardware may round differently.
            self._leverage[mode] = factor, Rows(self.world.from_first_(scores / scores.sum()))
        return self._leverage[mode][1]
