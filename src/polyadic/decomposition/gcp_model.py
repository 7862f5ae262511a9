"""The factors of a generalized CP model as its optimisers hold them: one above another, without weights.

Shapes: the stack of factors I_n x R is (I_1 + ... + I_N) x R, whole on every rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from polyadic.decomposition.cp import Data, Init
from polyadic.decomposition.cp import begin as begin_cp
from polyadic.decomposition.losses import Loss
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor


def split(stack: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The factors of a stack, as views."""
    return torch.split(stack, list(shape))


def begin(data: Data, loss: Loss, rank: int, init: Init, seed: int, *, first: bool, entries: int) -> Tensor:
    """The stack that a fit begins with, float64: a model as it is, or factors of which the model has the data's norm.

    Columns are as long in every mode. entries: how many the norm of the data is of, all or the observed ones.
    Raises UserError for a model with negative entries where the loss allows none.
    """
    given = isinstance(init, CPTensor)
    factors = data.whole(CPTensor(torch.empty(0), begin_cp(data, rank, init, seed, first), math.nan)).factors
    factors = [factor.double() for factor in factors]
    if loss.lower == 0 and given and any(bool((factor < 0).any()) for factor in factors):
        raise UserError(
            f"the model to begin from has negative entries: loss {loss.name} needs factors of 0 or more. "
            "Give a nonnegative model, or begin at random"
        )
    if loss.lower == 0:
        factors = [factor.abs() for factor in factors]
    lengths = [factor.norm(dim=0) for factor in factors]
    common = reduce(torch.mul, lengths).pow(1 / len(factors))
    factors = [factor * (common / torch.where(own == 0, 1, own)) for factor, own in zip(factors, lengths, strict=True)]
    if not given:
        norm = reduce(torch.mul, [factor.T @ factor for factor in factors]).sum().sqrt().item()
        wanted = data.norm * math.sqrt(math.prod(data.share.shape) / entries)
        factors = [factor * (wanted / norm) ** (1 / len(factors)) for factor in factors]
    return torch.cat(factors)


def finish(stack: Tensor, shape: Sequence[int], dtype: torch.dtype, relative_error: float) -> CPTensor:
    """The model of a stack: columns of length 1, their lengths in the weights."""
    factors = [factor.double() for factor in split(stack, shape)]
    lengths = [factor.norm(dim=0) for factor in factors]
    ones = [(factor / torch.where(own == 0, 1, own)).to(dtype) for factor, own in zip(factors, lengths, strict=True)]
    return CPTensor(reduce(torch.mul, lengths), ones, relative_error)


def but_one(parts: Sequence[Tensor]) -> list[Tensor]:
    """For each of some tensors of one shape, the product of all the others."""
    before, after = [torch.ones_like(parts[0])], torch.ones_like(parts[0])
    for part in parts[:-1]:
        before.append(before[-1] * part)
    products = []
    for part, left in zip(reversed(parts), reversed(before), strict=True):
        products.append(left * after)
        after = after * part
    return products[::-1]
