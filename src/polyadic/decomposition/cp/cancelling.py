"""Components that cancel: the sign of a rank that is too high, or of a tensor that has no best fit of its rank."""

from __future__ import annotations

from functools import reduce

import torch

from polyadic.tensor.cp_tensor import CPTensor

CANCELLING_COSINE = -0.95
"""Two components whose tensors have at most this cosine are nearly each other's opposite."""


def cancelling(model: CPTensor) -> list[tuple[int, int]]:
    """The pairs of components (from 0) of which each takes away most of what the other adds.

    The cosine of two components is the product of their columns' over the modes: Tucker's congruence coefficient;
    a fit in which it nears -1 diverges: Mitchell and Burdick, J. Chemometrics 1994.
    """
    units = [torch.nn.functional.normalize(factor.double(), dim=0) for factor in model.factors]
    signs = model.weights.double().sign().to(units[0].device)
    cosines = reduce(torch.mul, [unit.T @ unit for unit in units]) * torch.outer(signs, signs)
    return [(int(r), int(s)) for r, s in (cosines < CANCELLING_COSINE).triu(1).nonzero()]
