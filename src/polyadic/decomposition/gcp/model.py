"""The factors of a generalized CP model as its optimisers hold them: in one stack, without weights.

Shapes: the stack of factors I_n x R is (I_1 + ... + I_N) x R, one factor below the other, whole on every rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.cp.start import begin as begin_cp
from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.loss import Loss
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse_share import SparseShare


def split(stack: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The factors I_n x R of a stack, as views."""
    return torch.split(stack, list(shape))


def begin(data: Data, loss: Loss, rank: int, init: Init, seed: int, *, first: bool, entries: int) -> Tensor:
    """The stack that a fit begins with, float64: a given model as it is, or factors scaled to the data.

    rank, init, seed, first: as `begin` of a CP fit takes them. entries: the number of the data's entries that count,
    all or the observed ones. The columns of a component are equally long in every mode.
    For a loss whose factors are 0 or more the model gets the mean of the data, for others its norm. For a loss with a
    link, the first component is an intercept, where that is far from 0: what all entries have in common.

    Raises UserError for a given model of another shape or rank, or with negative entries where the loss allows none.
    """
    given = isinstance(init, CPTensor)
    factors = data.whole(CPTensor(torch.empty(0), begin_cp(data, rank, init, seed, first), math.nan)).factors
    factors = _even([factor.double() for factor in factors])
    if given:
        if loss.lower == 0 and any(bool((factor < 0).any()) for factor in factors):
            raise UserError(
                f"the model to begin from has negative entries: loss {loss.name} needs factors of 0 or more. "
                "Give a nonnegative model, or begin at random"
            )
        return torch.cat(factors)
    if loss.lower == 0:
        factors = [factor.abs() for factor in factors]
        return torch.cat(_scaled(factors, _mean(data, entries) / _mean_of(factors)))
    norm = reduce(torch.mul, [factor.T @ factor for factor in factors]).sum().sqrt().item()
    factors = _scaled(factors, data.norm * math.sqrt(math.prod(data.share.shape) / entries) / norm)
    intercept = loss.inverse(_mean(data, entries)) if loss.linked else 0.0
    if abs(intercept) > 1:
        for mode, factor in enumerate(factors):
            factor[:, 0] = abs(intercept) ** (1 / len(factors)) * (math.copysign(1, intercept) if mode == 0 else 1)
    return torch.cat(factors)


def _even(factors: list[Tensor]) -> list[Tensor]:
    """The same model with the columns of each component equally long in every mode."""
    lengths = [factor.norm(dim=0) for factor in factors]
    common = reduce(torch.mul, lengths).pow(1 / len(factors))
    return [factor * (common / torch.where(own == 0, 1, own)) for factor, own in zip(factors, lengths, strict=True)]


def _scaled(factors: list[Tensor], scale: float) -> list[Tensor]:
    return [factor * scale ** (1 / len(factors)) for factor in factors]


def _mean(data: Data, entries: int) -> float:
    """The mean of the data's entries."""
    share = data.share
    local = share.block.tensor.values if isinstance(share, SparseShare) else share.slab.local
    return data.world.sum_(local.sum(dtype=torch.float64)).item() / entries


def _mean_of(factors: list[Tensor]) -> float:
    """The mean of a model's entries."""
    return reduce(torch.mul, [factor.mean(0) for factor in factors]).sum().item()


def finish(stack: Tensor, shape: Sequence[int], dtype: torch.dtype, relative_error: float) -> CPTensor:
    """The model of a stack: factors with columns of length 1 in a data type, and the lengths in the weights (R)."""
    factors = [factor.double() for factor in split(stack, shape)]
    lengths = [factor.norm(dim=0) for factor in factors]
    pairs = zip(factors, lengths, strict=True)
    columns = [(factor / torch.where(own == 0, 1, own)).to(dtype) for factor, own in pairs]
    return CPTensor(reduce(torch.mul, lengths), columns, relative_error)


def products_of_others(parts: Sequence[Tensor]) -> list[Tensor]:
    """For each of several tensors of one shape, the product of all the others."""
    before, after = [torch.ones_like(parts[0])], torch.ones_like(parts[0])
    for part in parts[:-1]:
        before.append(before[-1] * part)
    products = []
    for part, left in zip(reversed(parts), reversed(before), strict=True):
        products.append(left * after)
        after = after * part
    return products[::-1]
