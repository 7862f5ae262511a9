"""The loss of a model over all entries of a tensor, and its gradient, whatever share of the entries a rank has.

The gradient by factor n is the MTTKRP of Y, y = f'(x, m): Hong, Kolda and Duersch, SIAM Review 2020, theorem 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import DROWNED, Data
from polyadic.decomposition.gcp.losses import Gaussian, Loss
from polyadic.decomposition.gcp.model import split
from polyadic.decomposition.gcp.parts import Blocks, Listed, of_dense, of_sparse, of_zeros, square_of
from polyadic.errors import UserError
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

LARGEST = 2**27
"""Entries of a sparse tensor, its zeros among them, that are gone through one by one, at most."""


@dataclass(frozen=True)
class Evaluation:
    """At one point: the loss and its gradient (a stack, float64), both an entry, and |X - Y|² of the model's means."""

    loss: float
    square: float
    gradient: Tensor


class Objective:
    """The mean loss an entry: of all entries or the observed ones, with l2 times the square of the factors' entries.

    Raises UserError for a sparse tensor whose zeros count and are too many to go through.
    """

    def __init__(self, data: Data, loss: Loss, l2: float = 0.0) -> None:
        self.data, self.loss, self.l2 = data, loss, l2
        self.entries = count(data)
        self._part = _part(data, loss)
        self._adds_zeros = isinstance(self._part, Listed) and not self._part.share.observed

    def __call__(self, stack: Tensor) -> Evaluation:
        """The value at a stack of whole factors, in its precision: the same on every rank."""
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

    def error(self, stack: Tensor, here: Evaluation) -> float:
        """|X - Y| / |X| at a stack where all has been evaluated: in float64 anew, where round-off would drown it."""
        square = here.square / self.data.norm / self.data.norm
        if self._adds_zeros and not square > DROWNED * torch.finfo(stack.dtype).eps:
            exact = relative_error(self.data, self.loss, stack)
            return math.sqrt(square) if exact is None else exact
        return math.sqrt(square)


def count(data: Data) -> int:
    """The entries that count: the observed ones, or all."""
    if isinstance(data.mask, DenseShare):
        return int(data.world.sum_(data.mask.slab.local.sum(dtype=torch.float64)))
    if isinstance(data.share, SparseShare) and data.share.observed:
        return data.share.nonzeros
    return math.prod(data.share.shape)


def check(data: Data, loss: Loss) -> None:
    """UserError for entries that the loss is not for."""
    if isinstance(data.share, SparseShare):
        loss.check(data.share.block.tensor.values, data.world)
    else:
        seen = data.mask.slab.local if isinstance(data.mask, DenseShare) else None
        loss.check(data.share.slab.local, data.world, seen)


def relative_error(data: Data, loss: Loss, stack: Tensor) -> float | None:
    """|X - Y| / |X| over the entries that count, Y the model's means, in float64; None where they are too many."""
    measure = loss if loss.linked else Gaussian()
    if not reachable(data, measure):
        return None
    return math.sqrt(Objective(data, measure)(stack.double()).square) / data.norm


def reachable(data: Data, loss: Loss) -> bool:
    """Whether the sum over all entries that count can be taken."""
    share = data.share
    return not isinstance(share, SparseShare) or _listed(share, loss) or math.prod(share.shape) <= LARGEST


def _listed(share: SparseShare, loss: Loss) -> bool:
    return share.observed or loss.zeros is not None


def _part(data: Data, loss: Loss) -> Blocks | Listed:
    share = data.share
    if isinstance(share, DenseShare):
        mask = data.mask if isinstance(data.mask, DenseShare) else None
        return Blocks(loss, share.slab.local.shape, of_dense(share, mask))
    if _listed(share, loss):
        return Listed(loss, share)
    if not reachable(data, loss):
        raise UserError(
            f"the tensor has {math.prod(share.shape):,} entries, zeros among them: with loss {loss.name} this method "
            f"goes through each of them, {LARGEST:,} at most. Use method=adam, which takes samples of them"
        )
    return Blocks(loss, share.block.tensor.shape, of_sparse(share))
