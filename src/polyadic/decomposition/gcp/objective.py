"""The loss of a model over all entries of a tensor, and its gradient, whatever share of the entries a rank has.

The gradient by factor n is the MTTKRP of Y, y = f'(x, m): Hong, Kolda and Duersch, SIAM Review 2020, theorem 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses.gaussian import Gaussian
from polyadic.decomposition.gcp.model import split
from polyadic.decomposition.gcp.parts import Blocks, Nonzeros, of_dense, of_sparse, of_zeros, square_of
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.errors import UserError
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

MOST_ENTRIES = 2**27
"""At most so many entries of a sparse tensor, its zeros among them, are gone through one by one."""


@dataclass(frozen=True)
class Evaluation:
    """The objective at a stack of factors.

    loss: the mean per entry. square: |X - Y|², where Y is the model's means. gradient: of the loss, a stack, float64.
    """

    loss: float
    square: float
    gradient: Tensor


class Objective:
    """The mean loss per entry, over all entries or the observed ones, with l2 times the square of the factors' entries.

    entries: the number of entries that count.

    Raises UserError for a sparse tensor whose zeros count and are too many to go through.
    """

    def __init__(self, data: Data, loss: Loss, l2: float = 0.0) -> None:
        self.data, self.loss, self.l2 = data, loss, l2
        self.entries = count(data)
        self._part = _part(data, loss)
        self._adds_zeros = isinstance(self._part, Nonzeros) and not self._part.share.observed

    def __call__(self, stack: Tensor) -> Evaluation:
        """The evaluation at a stack of whole factors, in its precision: the same on every rank. A collective."""
        layers, shape = self.data.share.layers, self.data.share.shape
        whole = split(stack, shape)
        part = self._part([factor[layer.held] for factor, layer in zip(whole, layers, strict=True)])
        # One collective for all that is summed over the ranks.
        flat = torch.zeros(2 + stack.numel(), dtype=torch.float64, device=stack.device)
        flat[0], flat[1] = part.loss, part.square
        gradient = flat[2:].view(stack.shape)
        for rows, layer, own in zip(part.gradient, layers, split(gradient, shape), strict=True):
            own[layer.held] += rows
        self.data.world.sum_(flat)
        loss, square = flat[0], flat[1]
        if self._adds_zeros:
            exact = [factor.double() for factor in whole]
            cost, slopes = of_zeros(self.loss, exact)
            loss, square = loss + cost, square + (cost if self.loss.zeros == "square" else square_of(exact))
            gradient += torch.cat(slopes)
        if self.l2:
            loss = loss + self.l2 * stack.double().square().sum()
            gradient += 2 * self.l2 * stack
        # One rank's word: what follows must be the same on all of them, though their hardware may round differently.
        loss, square = self.data.world.from_first_(torch.stack([loss, square]))
        return Evaluation(loss.item() / self.entries, max(0.0, square.item()), gradient / self.entries)

    def error(self, stack: Tensor, evaluation: Evaluation) -> float:
        """|X - Y| / |X| at a stack from its evaluation; in float64 anew where that would be round-off."""
        square = evaluation.square / self.data.norm / self.data.norm
        if self._adds_zeros and not square > TRUSTED_ROUND_OFFS * torch.finfo(stack.dtype).eps:
            exact = relative_error(self.data, self.loss, stack)
            return math.sqrt(square) if exact is None else exact
        return math.sqrt(square)


def count(data: Data) -> int:
    """The number of entries that count: the observed ones, or all."""
    if isinstance(data.mask, DenseShare):
        return int(data.world.sum_(data.mask.slab.local.sum(dtype=torch.float64)))
    if isinstance(data.share, SparseShare) and data.share.observed:
        return data.share.nonzeros
    return math.prod(data.share.shape)


def check(data: Data, loss: Loss) -> None:
    """Raises UserError on every rank for entries that the loss is not for."""
    if isinstance(data.share, SparseShare):
        loss.check(data.share.block.tensor.values, data.world)
    else:
        seen = data.mask.slab.local if isinstance(data.mask, DenseShare) else None
        loss.check(data.share.slab.local, data.world, seen)


def relative_error(data: Data, loss: Loss, stack: Tensor) -> float | None:
    """|X - Y| / |X| over the entries that count, in float64; None where they are too many. Y is the model's means."""
    measure = loss if loss.linked else Gaussian()
    if not reachable(data, measure):
        return None
    return math.sqrt(Objective(data, measure)(stack.double()).square) / data.norm


def reachable(data: Data, loss: Loss) -> bool:
    """Whether the sum over all entries that count can be taken."""
    share = data.share
    return (
        not isinstance(share, SparseShare) or _nonzeros_suffice(share, loss) or math.prod(share.shape) <= MOST_ENTRIES
    )


def _nonzeros_suffice(share: SparseShare, loss: Loss) -> bool:
    """Whether the zeros of a sparse tensor do not count, or have a sum in closed form."""
    return share.observed or loss.zeros is not None


def _part(data: Data, loss: Loss) -> Blocks | Nonzeros:
    """What takes the sums over this rank's entries."""
    share = data.share
    if isinstance(share, DenseShare):
        mask = data.mask if isinstance(data.mask, DenseShare) else None
        return Blocks(loss, share.slab.local.shape, of_dense(share, mask))
    if _nonzeros_suffice(share, loss):
        return Nonzeros(loss, share)
    if not reachable(data, loss):
        raise UserError(
            f"the tensor has {math.prod(share.shape):,} entries, zeros among them: with loss {loss.name} this method "
            f"goes through each of them, {MOST_ENTRIES:,} at most. Use method=adam, which takes samples of them"
        )
    return Blocks(loss, share.block.tensor.shape, of_sparse(share))
