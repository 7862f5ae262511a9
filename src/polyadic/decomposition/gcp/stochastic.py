"""Generalized CP with gradients over samples of the entries, by Adam: for tensors whose zeros are too many to visit.

Kolda and Hong, "Stochastic gradients for large-scale tensor decomposition", SIAM J. Math. Data Sci. 2020.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch

from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.data import Data, overflow
from polyadic.decomposition.gcp.estimates import Estimator
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import LOSSES, named
from polyadic.decomposition.gcp.model import begin, finish, split
from polyadic.decomposition.gcp.objective import check, relative_error
from polyadic.decomposition.gcp.progress import StochasticProgress
from polyadic.distributed import World
from polyadic.tensor.arguments import Dense, checked
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor

FIRST_DECAY, SECOND_DECAY, ADAM_EPSILON = 0.9, 0.999, 1e-8
"""β_1, β_2 and ε of Adam."""
RATE_AFTER_FAILURE = 0.5
"""The learning rate is multiplied by this after an epoch that failed."""


@checked(least={"samples": 2, "loss_samples": 2}, known={"loss": LOSSES})
def gcp_stochastic(
    tensor: Dense | Slab | SparseTensor | Data,
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
    progress: StochasticProgress | None = None,
    after_epoch: Callable[[StochasticProgress], bool] = lambda _: True,
) -> CPTensor:
    """The CP model that `gcp` looks for, by Adam with gradients over `samples` entries in each iteration.

    tensor, rank, loss, observed, l2, init: as `gcp` takes them.
    samples: entries of a gradient; gcp/samples.py tells how they are drawn. To those of nonzeros, the zeros of
    gaussian and poisson are added exactly, in closed form: uniform samples would miss the few zeros where a skewed
    model is large. A sample is a function of (seed, restart, epoch, iteration), the same for any number of ranks.
    iterations: of an epoch. loss_samples: entries of the fixed sample that estimates the loss after each epoch.
    Where the loss did not fall, the epoch has failed: the fit goes back to its beginning and halves the learning rate,
    which is the length of a step in an entry of a factor. A restart ends after so many `failures`, or `epochs`; the
    model of least loss of the `restarts` is kept. Factors are projected on the bound of the loss.
    progress: the state of an earlier fit to resume. after_epoch: sees the state after each epoch, and ends the fit by
    returning False.

    Returns weights (R, float64) and factors (I_n x R, columns of length 1), whole on every rank, with the relative
    error |X - Y| / |X| as `gcp` has it: exact unless that would visit more than 2^27 entries.

    Raises UserError for a rank under 1, samples or loss_samples under 2, iterations under 1, a loss that is not known,
    data that the loss is not for, and data that `cp` refuses.
    """
    loss = named(loss)
    data = Data.of(tensor, world, observed=observed)
    check(data, loss)
    estimator = Estimator(data, loss, l2, samples=samples, loss_samples=loss_samples, seed=seed)
    adam, progress, going = _Adam(estimator, iterations, seed), progress or StochasticProgress(), True
    while going and progress.restart < restarts:
        if not progress.factors:
            adam.begin(progress, rank, init, learning_rate)
        while going and progress.epoch < epochs and progress.failures < failures:
            adam.epoch(progress)
            going = after_epoch(progress)
        progress.keep(partial(_model, data, loss, progress))
        if going:
            progress.next_restart()
    assert progress.best is not None
    return progress.best


def _model(data: Data, loss: Loss, progress: StochasticProgress) -> CPTensor:
    """The model at the end of a restart."""
    stack, share = torch.cat(progress.factors), data.share
    error = relative_error(data, loss, stack)
    return finish(stack, share.shape, share.dtype, progress.relative_error if error is None else error)


class _Adam:
    """Epochs of Adam, each of `iterations` steps: Kingma and Ba, ICLR 2015, algorithm 1."""

    def __init__(self, estimator: Estimator, iterations: int, seed: int) -> None:
        self.estimator, self.data, self.loss = estimator, estimator.data, estimator.loss
        self.iterations, self.seed = iterations, seed

    def begin(self, progress: StochasticProgress, rank: int, init: Init, learning_rate: float) -> None:
        """The start of a restart."""
        first, share, seed = progress.restart == 0, self.data.share, self.seed + progress.restart
        stack = begin(self.data, self.loss, rank, init, seed, first=first, entries=self.estimator.entries)
        stack = stack.to(share.dtype)
        progress.factors, progress.steps, progress.learning_rate = list(split(stack, share.shape)), 0, learning_rate
        progress.first, progress.second = torch.zeros_like(stack), torch.zeros_like(stack)
        progress.loss, progress.relative_error = self.estimator.loss_and_error(stack)
        if not math.isfinite(progress.loss):
            raise overflow(share.dtype)

    def epoch(self, progress: StochasticProgress) -> None:
        """Goes on by an epoch, or stays and slows down."""
        began = time.perf_counter()
        stack, first, second = torch.cat(progress.factors), progress.first.clone(), progress.second.clone()
        steps = progress.steps
        for iteration in range(self.iterations):
            steps += 1
            gradient = self.estimator.gradient(stack, (self.seed + progress.restart, progress.epoch + 1, iteration))
            first.lerp_(gradient, 1 - FIRST_DECAY)
            second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
            scale = (second / (1 - SECOND_DECAY**steps)).sqrt_().add_(ADAM_EPSILON)
            stack.addcdiv_(first, scale, value=-progress.learning_rate / (1 - FIRST_DECAY**steps))
            stack.clamp_min_(self.loss.lower)
        loss, error = self.estimator.loss_and_error(self.data.world.from_first_(stack))
        if loss < progress.loss:
            progress.factors, progress.steps = list(split(stack, self.data.share.shape)), steps
            progress.first, progress.second = first, second
            progress.loss, progress.relative_error = loss, error
        else:
            progress.failures += 1
            progress.learning_rate *= RATE_AFTER_FAILURE
        progress.epoch, progress.seconds = progress.epoch + 1, time.perf_counter() - began
