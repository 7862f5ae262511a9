"""CP of a large sparse tensor by least squares over a sample of Khatri-Rao rows, drawn by their leverage.

CP-ARLS-LEV: Larsen and Kolda, "Practical leverage-based sampling for low-rank tensor decomposition", SIMAX 2022.
Shapes: rank R; S sampled columns of an unfolding, each a tuple of rows of the other modes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import Data, Init, Progress, begin, cp, lengths_of, relative_error, squares
from polyadic.decomposition.cp.updates import Normal, gram_of
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.columns import Columns, Rows, khatri_rao_at
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.fibres import Stack
from polyadic.tensor.layout import whole_factor
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare

FAILURES = 3
"""Checks without a better error after which a fit ends: sampled sweeps jitter about their optimum."""


@dataclass(frozen=True)
class Sample:
    """Columns of an unfolding, some of them more than once.

    index (N - 1 x S): the rows of the other modes that make each; weights (S, float64): theirs in the squared residual.
    """

    index: Tensor
    weights: Tensor


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
    tol: float = 1e-4,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """Alternating least squares over `samples` columns of each unfolding instead of all.

    tensor: any part of the nonzeros of a sparse tensor of order N >= 3; absent entries are zeros. The first
    `exact_sweeps` take all columns: where the factors know nothing of the data, no score tells which matter. After
    them a column of mode n is drawn with the product of the leverage scores of its rows, a_i (A^T A)^-1 a_i^T / R;
    columns likelier than 1 / samples are all taken. The draw is a function of (seed, sweep, mode), the same for any
    number of ranks. Every `check_every` sweeps the last mode takes all columns, which gives the true error too, and
    the best model so checked is kept; a fit ends when three checks in a row bring no gain of `tol`, or after
    `max_iterations` sweeps.

    Raises UserError for an order under 3, a dense tensor, and modes whose other modes have 2^62 columns or more.
    """
    data = tensor if isinstance(tensor, Data) else Data.of(tensor, world or World.alone())
    order = len(data.share.shape)
    if order < 3 or not isinstance(data.share, SparseShare) or data.mask is not None:
        raise UserError(
            f"sampling needs a sparse tensor of order 3 or more whose absent entries are zeros; this one is of order "
            f"{order}, {'sparse' if isinstance(data.share, SparseShare) else 'dense'}. Use method als"
        )
    fit, at = _Fit(data, data.share, samples, seed), progress or Progress()
    exact = min(exact_sweeps, max_iterations)
    if at.iteration < exact:
        model, going = _all_columns(fit.data, rank, init, exact, seed, at, after_sweep)
        if not going:
            return model
        at.restart, at.iteration, at.best = 0, exact, model
        at.factors, at.weights, at.relative_error = model.factors, model.weights, model.relative_error
    elif not at.factors:
        at.factors = data.whole(CPTensor(at.weights, begin(data, rank, init, seed, True), 0.0)).factors
    at.grams = at.grams or [gram_of(factor) for factor in at.factors]
    _descend(fit, at, max_iterations, check_every, tol, after_sweep)
    return at.best or replace(at.better(), relative_error=fit.error(at))


def _all_columns(
    data: Data, rank: int, init: Init, sweeps: int, seed: int, at: Progress, after_sweep: Callable[[Progress], bool]
) -> tuple[CPTensor, bool]:
    """The model after some exact sweeps, and whether the fit is to go on."""
    going = True

    def watched(one: Progress) -> bool:
        nonlocal going
        going = after_sweep(one)
        return going

    model = cp(data, rank, init=init, max_iterations=sweeps, tol=0, seed=seed, progress=at, after_sweep=watched)
    return model, going


def _descend(
    fit: _Fit,
    at: Progress,
    max_iterations: int,
    check_every: int,
    tol: float,
    after_sweep: Callable[[Progress], bool],
) -> None:
    """Sampled sweeps until they gain nothing more, or the caller ends the fit."""
    failures = 0
    while at.iteration < max_iterations and failures < FAILURES:
        began, *sampled, last = time.perf_counter(), *range(len(fit.share.shape))
        for mode in sampled:
            fit.update(at, mode, *fit.of_a_sample(at, mode))
        if checks := (at.iteration + 1) % check_every == 0 or at.iteration + 1 == max_iterations:
            inner = fit.update(at, last, *fit.of_all(at, last))
            at.error_before, at.relative_error = at.relative_error, fit.error(at, inner)
        else:
            fit.update(at, last, *fit.of_a_sample(at, last))
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if checks:
            failures = 0 if at.best is None or at.best.relative_error - at.relative_error > tol else failures + 1
            at.best = at.better()
        if not after_sweep(at):
            return


class _Fit:
    """A rank's block, and the leverage of every row of every factor, which all ranks know."""

    def __init__(self, data: Data, share: SparseShare, samples: int, seed: int) -> None:
        self.data, self.share, self.world = data, share, data.world
        self.samples, self.seed = samples, seed
        self.columns = [Columns.of(self.share.block, mode) for mode in range(len(data.share.shape))]
        self._stack = Stack(share.shape)
        self._leverage: dict[int, tuple[Tensor, Rows]] = {}

    def of_a_sample(self, at: Progress, mode: int) -> tuple[Tensor, Tensor]:
        """X_(n) W Z over |X|, this rank's own rows of it, and Z^T W Z: Z sampled Khatri-Rao rows, W their weights."""
        rank, others = at.factors[0].shape[1], self._others(mode)
        sample = draw([self._rows(at, m) for m in others], self.samples, (self.seed, at.iteration, mode))
        root = sample.weights.sqrt().to(at.factors[0].dtype)
        start = [self._stack.start[m] for m in others]
        sampled = khatri_rao_at(sample.index, self._stack.of(at.factors), start, root)
        layer = self.share.layers[mode]
        held = self.columns[mode].product(sample.index, root, sampled, layer.stop - layer.start)
        return layer.combine(held[:, :rank]) / self.data.norm, (sampled.T @ sampled)[:rank, :rank].double()

    def of_all(self, at: Progress, mode: int) -> tuple[Tensor, Tensor]:
        """The same with all columns."""
        product = self.share.layers[mode].combine(self.share.mttkrp(mode, self.data.held(at.factors)))
        return product / self.data.norm, reduce(torch.mul, [at.grams[m] for m in self._others(mode)])

    def update(self, at: Progress, mode: int, product: Tensor, gram: Tensor) -> Tensor:
        """A^(n) <- product gram^-1 and the weights; returns <product, A^(n)> with the weights in A^(n)."""
        layer = self.share.layers[mode]
        own, (gram, inner) = Normal(gram, product.dtype).solve(product)
        sums = layer.total(torch.cat([gram, inner[None]]), self.world)
        gram, inner = sums[:-1], sums[-1].sum()
        lengths = lengths_of(gram)
        at.weights, at.grams[mode] = lengths * self.data.norm, gram / torch.outer(lengths, lengths)
        at.factors[mode] = whole_factor(layer, own / lengths.to(own.dtype), self.world, self.share.shape[mode])
        return inner

    def error(self, at: Progress, inner: Tensor | None = None) -> float:
        """The true relative error; `inner` is <X, Y> over |X|², where it is known without a pass over the nonzeros."""
        held, weights = self.data.held(at.factors), at.weights / self.data.norm
        here = replace(at, factors=held)
        if inner is None:
            columns = (self.share.mttkrp(0, held) * held[0]).sum(0, dtype=torch.float64)
            inner = self.world.sum_(columns / self.data.norm) @ weights
        square, large = squares(weights, at.grams)
        return relative_error(self.data, here, square, inner, large)

    def _others(self, mode: int) -> list[int]:
        return [m for m in range(len(self.share.shape)) if m != mode]

    def _rows(self, at: Progress, mode: int) -> Rows:
        """The leverage scores of a factor's rows as probabilities; taken anew when the factor is another."""
        factor, known = at.factors[mode], self._leverage.get(mode)
        if known is None or known[0] is not factor:
            scores = Normal(at.grams[mode], factor.dtype).leverage(factor)
            # One rank's word: a sample must be the same on all of them, though their hardware may round differently.
            self._leverage[mode] = factor, Rows(self.world.from_first_(scores / scores.sum()))
        return self._leverage[mode][1]


def draw(rows: list[Rows], samples: int, seed: tuple[int, int, int]) -> Sample:
    """Columns drawn with the product of their rows' probabilities: the likely ones, and a random rest.

    Columns likelier than 1 / samples come with weight 1. The rest are `samples` draws less those that are likely; of
    the s that are left, one of a column of probability p has weight (1 - P) / (s p), P that of all likely ones.
    """
    likely, mass = _likely(rows, 1 / samples)
    number = ((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + seed[2]) % 2**63
    random = torch.Generator().manual_seed(number)
    uniform = torch.rand(len(rows), samples, generator=random, dtype=torch.float64)
    chance = torch.ones(samples, dtype=torch.float64, device=likely.device)
    index = torch.stack([one.draw(places, chance) for one, places in zip(rows, uniform, strict=True)])
    rare = (chance <= 1 / samples).nonzero().flatten()
    weights = max(0.0, 1 - mass) / (max(1, len(rare)) * chance[rare])
    return Sample(torch.cat([likely, index[:, rare]], 1), torch.cat([weights.new_ones(likely.shape[1]), weights]))


def _likely(rows: list[Rows], least: float) -> tuple[Tensor, float]:
    """Every column likelier than `least` (N - 1 x L), and the probability of them all; there are 1 / least at most."""
    index, chance = rows[0].likelier(least)
    index = index[None]
    for one in rows[1:]:
        order, falling = one.likelier(least)
        counts = torch.searchsorted(-falling, -least / chance)
        which = torch.repeat_interleave(torch.arange(len(chance), device=chance.device), counts)
        place = torch.arange(len(which), device=chance.device) - (counts.cumsum(0) - counts)[which]
        index = torch.cat([index[:, which], order[place][None]])
        chance = chance[which] * falling[place]
    return index, float(chance.sum())
