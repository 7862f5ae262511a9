"""CP of a large sparse tensor by least squares over a sample of Khatri-Rao rows, drawn by their leverage.

CP-ARLS-LEV: Larsen and Kolda, "Practical leverage-based sampling for low-rank tensor decomposition", SIMAX 2022.
Shapes: rank R; S sampled columns of an unfolding, each a tuple of rows of the other modes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from polyadic.decomposition.cp import Data, Init, Progress, begin, cp
from polyadic.decomposition.cp_updates import Normal
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.columns import Columns, ravel, unravel
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.layout import whole_factor
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare

FAILURES = 3
"""Checks without a better error after which a fit ends: sampled sweeps jitter about their optimum."""


class Sample(NamedTuple):
    """Columns of an unfolding: keys (S, in order, each once) and the weight of each in the squared residual (S)."""

    keys: Tensor
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
    columns likelier than 1 / samples are all taken, repeats are combined. The draw is a function of (seed, sweep,
    mode), the same for any number of ranks. The true error is taken every `check_every` sweeps, and the best model so
    checked is kept; a fit ends when three checks in a row bring no gain of `tol`, or after `max_iterations` sweeps.

    Raises UserError for an order under 3, a dense tensor, and modes whose other modes have 2^63 columns or more.
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
        began = time.perf_counter()
        for mode in range(len(fit.share.shape)):
            fit.update(at, mode)
        at.iteration, at.seconds = at.iteration + 1, time.perf_counter() - began
        if at.iteration % check_every == 0 or at.iteration == max_iterations:
            at.error_before, at.relative_error = at.relative_error, fit.error(at)
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
        self._leverage: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, at: Progress, mode: int) -> None:
        """A^(n) <- X_(n) W Z (Z^T W Z)^-1 over the sampled columns, Z their Khatri-Rao rows, W their weights."""
        shape, layer = self.share.shape, self.share.layers[mode]
        others = [m for m in range(len(shape)) if m != mode]
        probabilities = [self._probabilities(at.factors[m], m) for m in others]
        sample = draw(probabilities, self.samples, (self.seed, at.iteration, mode))
        rows = at.factors[0].new_ones(())
        for m, index in zip(others, unravel(sample.keys, [shape[m] for m in others]), strict=True):
            rows = rows * at.factors[m][index]
        weighted = rows * sample.weights.to(rows.dtype)[:, None]
        held = self.columns[mode].product(sample.keys, weighted, layer.stop - layer.start)
        product = layer.combine(held) / self.data.norm
        own, (gram, _) = Normal((rows.T @ weighted).double(), product.dtype).solve(product)
        lengths = layer.total(gram, self.world).diagonal().sqrt()
        lengths = torch.where(lengths == 0, 1, lengths)
        at.weights = lengths * self.data.norm
        at.factors[mode] = whole_factor(layer, own / lengths.to(own.dtype), self.world, shape[mode])

    def error(self, at: Progress) -> float:
        """The true relative error, by one pass over the nonzeros."""
        grams = [(factor.T @ factor).double() for factor in at.factors]
        square = self.share.residual(at.weights, self.data.held(at.factors), grams)
        return float(self.world.from_first_(square).clamp_min(0).sqrt()) / self.data.norm

    def _probabilities(self, factor: Tensor, mode: int) -> Tensor:
        """The leverage scores of a factor's rows as probabilities, float64; taken anew when the factor is another."""
        known = self._leverage.get(mode)
        if known is None or known[0] is not factor:
            normal = Normal((factor.T @ factor).double(), factor.dtype)
            scores = (normal.solve(factor)[0] * factor).sum(1).double().clamp_min(0)
            # One rank's word: a sample must be the same on all of them, though their hardware may round differently.
            self._leverage[mode] = factor, self.world.from_first_(scores / scores.sum())
        return self._leverage[mode][1]


def draw(probabilities: list[Tensor], samples: int, seed: tuple[int, int, int]) -> Sample:
    """Columns drawn with the product of their rows' probabilities (a vector a mode): the likely ones and a random rest.

    Columns likelier than 1 / samples come with weight 1. The rest are `samples` draws less those that are likely; c of
    the s that are left fell on a column of probability p, whose weight is c (1 - P) / (s p), P that of all likely ones.
    """
    shape = [len(one) for one in probabilities]
    likely, mass = _likely(probabilities, 1 / samples)
    number = ((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + seed[2]) % 2**63
    uniform = torch.rand(len(shape), samples, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    index, chance = [], torch.ones(samples, dtype=torch.float64, device=probabilities[0].device)
    for one, places in zip(probabilities, uniform, strict=True):
        total = one.cpu().cumsum(0)  # A GPU adds up in no fixed order: ranks would draw different columns.
        index.append(torch.searchsorted(total, places * total[-1]).clamp(max=len(one) - 1).to(one.device))
        chance = chance * one[index[-1]]
    rare = chance <= 1 / samples
    keys, inverse, counts = torch.unique(
        ravel(index, shape)[rare], sorted=True, return_inverse=True, return_counts=True
    )
    chances = torch.empty(len(keys), dtype=torch.float64, device=keys.device)
    chances[inverse] = chance[rare]
    weights = counts * max(0.0, 1 - mass) / (max(1, int(rare.sum())) * chances)
    together, order = torch.sort(torch.cat([likely, keys]))
    return Sample(together, torch.cat([torch.ones_like(likely, dtype=torch.float64), weights])[order])


def _likely(probabilities: list[Tensor], least: float) -> tuple[Tensor, float]:
    """Every column more probable than `least`, and the probability of them all; there are 1 / least at most."""
    first = probabilities[0]
    keys = (first > least).nonzero().flatten()
    chance = first[keys]
    for one in probabilities[1:]:
        falling, order = torch.sort(one, descending=True)
        counts = torch.searchsorted(-falling, -least / chance)
        which = torch.repeat_interleave(torch.arange(len(keys), device=keys.device), counts)
        place = torch.arange(len(which), device=keys.device) - (counts.cumsum(0) - counts)[which]
        keys, chance = keys[which] * len(one) + order[place], chance[which] * falling[place]
    return keys, float(chance.sum())
