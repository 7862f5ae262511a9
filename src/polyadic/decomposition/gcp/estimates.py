"""Gradients and losses of a generalized CP model, estimated from samples of the entries.

Kolda and Hong, "Stochastic gradients for large-scale tensor decomposition", SIAM J. Math. Data Sci. 2020.
Shapes: stacks of factors, (I_1 + ... + I_N) x R; samples of S entries, of which a rank has its part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.model import products_of_others, split
from polyadic.decomposition.gcp.objective import count
from polyadic.decomposition.gcp.parts import of_zeros, square_of
from polyadic.decomposition.gcp.samples import Sample, sampler
from polyadic.tensor.sparse_share import SparseShare

CHUNK_NUMBERS = 2**21
"""Numbers of the factors' rows at a sample's entries that stand in memory together."""


class Estimator:
    """The loss over the entries of a tensor, as samples tell it.

    l2: the weight of the squares of the factors. samples: entries that a gradient is taken from. loss_samples:
    entries of the fixed sample that the loss is taken from. seed: of that sample.
    """

    def __init__(self, data: Data, loss: Loss, l2: float, *, samples: int, loss_samples: int, seed: int) -> None:
        self.data, self.loss, self.l2, self.samples, self.entries = data, loss, l2, samples, count(data)
        self._sampler = sampler(data, loss)
        self._zeros = isinstance(data.share, SparseShare) and not data.share.observed
        self._loss_sample = self._sampler.draw(loss_samples, (seed, 0, 0))

    def gradient(self, stack: Tensor, seed: tuple[int, int, int]) -> Tensor:
        """An estimate of the gradient of the sum of the loss at a stack: a stack, the same on every rank."""
        gradient, sample = torch.zeros_like(stack), self._sampler.draw(self.samples, seed)
        for part in _chunks(sample, stack):
            _add_gradient(gradient, part, stack, self.loss, self.data.share.shape)
        self.data.world.sum_(gradient)
        if self._zeros and self.loss.zeros:
            gradient += torch.cat(of_zeros(self.loss, split(stack, self.data.share.shape))[1])
        return gradient.add_(stack, alpha=2 * self.l2) if self.l2 else gradient

    def loss_and_error(self, stack: Tensor) -> tuple[float, float]:
        """The mean loss per entry and the relative error, by the fixed sample and what has a closed form."""
        sums, factors = torch.zeros(2, dtype=torch.float64, device=stack.device), split(stack, self.data.share.shape)
        exact_square = self._zeros and not self.loss.linked
        for part in _chunks(self._loss_sample, stack):
            sums += self._sums(part, factors, exact_square)
        self.data.world.sum_(sums)
        exact = [factor.double() for factor in factors]
        sums[0] += of_zeros(self.loss, exact)[0] if self._zeros and self.loss.zeros else 0
        sums[0] += self.l2 * stack.double().square().sum()
        sums[1] += square_of(exact) if exact_square else 0
        sums[1] += self.data.norm**2 if self._zeros else 0
        # One rank's word: a fit must go the same way on all of them, though their hardware may round differently.
        loss, square = self.data.world.from_first_(sums).tolist()
        return loss / self.entries, math.sqrt(max(0.0, square)) / self.data.norm

    def _sums(self, part: Sample, factors: tuple[Tensor, ...], exact_square: bool) -> Tensor:
        """What a part of a sample tells of the sum of the loss and of |X - Y|²: 2, float64."""
        m = reduce(torch.mul, _rows(factors, part)).sum(1)
        mean, zero = self.loss.mean(m), torch.zeros_like(m)
        costs = self.loss.value(part.x, m) - part.beyond * self.loss.value(zero, m)
        squares = part.x * ((0 if self._zeros else part.x) - 2 * mean)
        squares += 0 if exact_square else (1 - part.beyond) * mean.square()
        return torch.stack([(part.weight * terms).sum(dtype=torch.float64) for terms in (costs, squares)])


def _chunks(sample: Sample, stack: Tensor) -> list[Sample]:
    return sample.split(max(1, CHUNK_NUMBERS // stack.shape[1]))


def _add_gradient(gradient: Tensor, sample: Sample, stack: Tensor, loss: Loss, shape: Sequence[int]) -> None:
    """Adds to a stack what a sample tells of the gradient of the sum of the loss at a stack of factors."""
    rows = _rows(split(stack, shape), sample)
    m = reduce(torch.mul, rows).sum(1)
    slope = loss.derivative(sample.x, m) - sample.beyond * loss.derivative(torch.zeros_like(m), m)
    slope = (sample.weight * slope)[:, None]
    for own, index, others in zip(split(gradient, shape), sample.places, products_of_others(rows), strict=True):
        own.index_add_(0, index, others * slope)


def _rows(factors: tuple[Tensor, ...], sample: Sample) -> list[Tensor]:
    """The rows of each factor at a sample's entries: N tensors of S x R."""
    return [factor.index_select(0, index) for factor, index in zip(factors, sample.places, strict=True)]
