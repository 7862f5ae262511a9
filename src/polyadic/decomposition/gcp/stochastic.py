"""Generalized CP with gradients over samples of the entries, by Adam: for tensors whose zeros are too many to visit.

Kolda and Hong, "Stochastic gradients for large-scale tensor decomposition", SIAM J. Math. Data Sci. 2020.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import Data, Init
from polyadic.decomposition.cp.updates import overflow
from polyadic.decomposition.gcp.losses import Loss, named
from polyadic.decomposition.gcp.model import begin, but_one, finish, split
from polyadic.decomposition.gcp.objective import check, count, relative_error
from polyadic.decomposition.gcp.parts import of_zeros, square_of
from polyadic.decomposition.gcp.samples import Sample, sampler
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare

BETA_1, BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-8
SLOWER = 0.5
"""What the learning rate is multiplied by after an epoch that failed."""
EVALUATED_AT_ONCE = 2**21
"""Numbers of the rows of a sample's part."""


@dataclass
class Progress:
    """Where a fit stands at an epoch's end, changed in place by it: enough to go on from, exactly.

    factors: whole on every rank, without weights, the best so far of this restart; first and second: Adam's moments
    there (stacks of all factors), after `steps` steps. loss: the mean loss an entry with the l2 term, and
    relative_error, both estimated by one sample. learning_rate is 0 before the start.
    """

    restart: int = 0
    epoch: int = 0
    steps: int = 0
    failures: int = 0
    learning_rate: float = 0.0
    factors: list[Tensor] = field(default_factory=list)
    first: Tensor = field(default_factory=lambda: torch.empty(0))
    second: Tensor = field(default_factory=lambda: torch.empty(0))
    loss: float = math.inf
    relative_error: float = math.inf
    seconds: float = 0.0
    best: CPTensor | None = None
    best_loss: float = math.inf


def gcp_stochastic(
    tensor: Tensor | Slab | SparseTensor | Data,
    rank: int,
    loss: Loss | str,
    *,
    world: World | None = None,
    observed: bool = False,
    l2: float = 0.0,
    init: Init = "random",
    samples: int = 4096,
    loss_samples: int = 2**17,
    epochs: int = 100,
    iterations: int = 1000,
    learning_rate: float = 1e-3,
    failures: int = 4,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_epoch: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """The CP model that `gcp` looks for, by Adam with gradients over `samples` entries an iteration.

    tensor: as `cp` takes it; gcp_samples.py tells what samples are drawn from. To those of nonzeros, the zeros of
    gaussian and poisson are added exactly, in closed form: uniform samples miss the few zeros where a skewed model is
    large. A sample is a function of (seed, restart, epoch, iteration), the same for any number of ranks. After each
    epoch of `iterations`, a fixed sample of `loss_samples` estimates the loss; where that did not fall, the fit goes
    back to the epoch's beginning and halves its learning rate (a step's length in a factor's entries). A restart ends
    after so many `failures`, or `epochs`; the model of least loss is kept. Factors are projected on the loss's bound.
    `progress` is where an earlier fit stood; `after_epoch` sees each epoch, and ends the fit by returning False.
    The relative error of the result is exact unless that would visit more than 2^27 entries.

    Raises UserError for a rank under 1, samples under 2, and data that the loss is not for.
    """
    _refuse(rank=(rank, 1), samples=(samples, 2), loss_samples=(loss_samples, 2), iterations=(iterations, 1))
    loss = named(loss)
    world = world or (tensor.world if isinstance(tensor, Data) else World.alone())
    data = tensor if isinstance(tensor, Data) else Data.of(tensor, world, observed=observed)
    check(data, loss)
    walk = Walk(data, loss, l2, samples, iterations, loss_samples, seed)
    at = progress or Progress()
    going = True
    while going and at.restart < restarts:
        if not at.factors:
            walk.begin(at, rank, init, learning_rate)
        while going and at.epoch < epochs and at.failures < failures:
            walk.epoch(at)
            going = after_epoch(at)
        if at.best is None or at.loss < at.best_loss:
            at.best, at.best_loss = walk.model(at), at.loss
        if going:
            at.restart, at.epoch, at.failures, at.factors, at.loss = at.restart + 1, 0, 0, [], math.inf
    assert at.best is not None
    return at.best


def _refuse(**settings: tuple[int, int]) -> None:
    for name, (value, least) in settings.items():
        if value < least:
            raise UserError(f"{name} is {value}: it must be {least} or more")


class Walk:
    """The steps of a fit: what they are over, and the sample that judges them."""

    def __init__(
        self, data: Data, loss: Loss, l2: float, samples: int, iterations: int, judges: int, seed: int
    ) -> None:
        self.data, self.loss, self.l2, self.seed = data, loss, l2, seed
        self.samples, self.iterations, self.entries = samples, iterations, count(data)
        self.sampler = sampler(data, loss)
        self._zeros = isinstance(data.share, SparseShare) and not data.share.observed
        self.judge = self.sampler.draw(judges, (seed, 0, 0))

    def begin(self, at: Progress, rank: int, init: Init, learning_rate: float) -> None:
        """The start of a restart."""
        first, share = at.restart == 0, self.data.share
        stack = begin(self.data, self.loss, rank, init, self.seed + at.restart, first=first, entries=self.entries).to(
            share.dtype
        )
        at.factors, at.steps, at.learning_rate = list(split(stack, share.shape)), 0, learning_rate
        at.first, at.second = torch.zeros_like(stack), torch.zeros_like(stack)
        at.loss, at.relative_error = self.estimate(stack)
        if not math.isfinite(at.loss):
            raise overflow(share.dtype)

    def epoch(self, at: Progress) -> None:
        """Goes on by an epoch, or stays and slows down."""
        began = time.perf_counter()
        stack, first, second, steps = torch.cat(at.factors), at.first.clone(), at.second.clone(), at.steps
        for iteration in range(self.iterations):
            steps += 1
            gradient = self.gradient(stack, (self.seed + at.restart, at.epoch + 1, iteration))
            first.lerp_(gradient, 1 - BETA_1)
            second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            scale = (second / (1 - BETA_2**steps)).sqrt_().add_(ADAM_EPSILON)
            stack.addcdiv_(first, scale, value=-at.learning_rate / (1 - BETA_1**steps))
            stack.clamp_min_(self.loss.lower)
        loss, error = self.estimate(self.data.world.from_first_(stack))
        if loss < at.loss:
            at.factors, at.first, at.second, at.steps = list(split(stack, self.data.share.shape)), first, second, steps
            at.loss, at.relative_error = loss, error
        else:
            at.failures, at.learning_rate = at.failures + 1, at.learning_rate * SLOWER
        at.epoch, at.seconds = at.epoch + 1, time.perf_counter() - began

    def model(self, at: Progress) -> CPTensor:
        """The model at the end of a restart."""
        stack, share = torch.cat(at.factors), self.data.share
        error = relative_error(self.data, self.loss, stack)
        return finish(stack, share.shape, share.dtype, at.relative_error if error is None else error)

    def gradient(self, stack: Tensor, seed: tuple[int, int, int]) -> Tensor:
        """An estimate of the gradient of the sum of the loss."""
        gradient, sample = torch.zeros_like(stack), self.sampler.draw(self.samples, seed)
        for part in self._pieces(sample, stack):
            _add_gradient(gradient, part, stack, self.loss, self.data.share.shape)
        self.data.world.sum_(gradient)
        if self._zeros and self.loss.zeros:
            gradient += torch.cat(of_zeros(self.loss, split(stack, self.data.share.shape))[1])
        return gradient.add_(stack, alpha=2 * self.l2) if self.l2 else gradient

    def estimate(self, stack: Tensor) -> tuple[float, float]:
        """The mean loss an entry and the relative error, by the fixed sample and what has a closed form."""
        sums, factors = torch.zeros(2, dtype=torch.float64, device=stack.device), split(stack, self.data.share.shape)
        sums_square = self._zeros and not self.loss.linked
        for part in self._pieces(self.judge, stack):
            m = reduce(torch.mul, _rows(factors, part)).sum(1)
            mean, zero = self.loss.mean(m), torch.zeros_like(m)
            costs = self.loss.value(part.x, m) - part.beyond * self.loss.value(zero, m)
            squares = part.x * ((0 if self._zeros else part.x) - 2 * mean)
            squares += 0 if sums_square else (1 - part.beyond) * mean.square()
            sums += torch.stack([(part.weight * one).sum(dtype=torch.float64) for one in (costs, squares)])
        self.data.world.sum_(sums)
        exact = [factor.double() for factor in factors]
        sums[0] += of_zeros(self.loss, exact)[0] if self._zeros and self.loss.zeros else 0
        sums[0] += self.l2 * stack.double().square().sum()
        sums[1] += square_of(exact) if sums_square else 0
        sums[1] += self.data.norm**2 if self._zeros else 0
        # One rank's word: a fit must go the same way on all of them, though their hardware may round differently.
        loss, square = self.data.world.from_first_(sums).tolist()
        return loss / self.entries, math.sqrt(max(0.0, square)) / self.data.norm

    def _pieces(self, sample: Sample, stack: Tensor) -> list[Sample]:
        return sample.split(max(1, EVALUATED_AT_ONCE // stack.shape[1]))


def _add_gradient(gradient: Tensor, sample: Sample, stack: Tensor, loss: Loss, shape: Sequence[int]) -> None:
    """Adds to a stack what a sample tells of the gradient of the sum of the loss at a stack of factors."""
    rows = _rows(split(stack, shape), sample)
    m = reduce(torch.mul, rows).sum(1)
    slope = loss.derivative(sample.x, m) - sample.beyond * loss.derivative(torch.zeros_like(m), m)
    slope = (sample.weight * slope)[:, None]
    for own, index, others in zip(split(gradient, shape), sample.places, but_one(rows), strict=True):
        own.index_add_(0, index, others * slope)


def _rows(factors: tuple[Tensor, ...], sample: Sample) -> list[Tensor]:
    return [factor.index_select(0, index) for factor, index in zip(factors, sample.places, strict=True)]
