"""What speaks against reading a CP model component by component: where its factors are not the only ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from polyadic.tensor.cp_tensor import CPTensor

CANCELLING_COSINE = -0.95
"""Two components whose tensors have at most this cosine are nearly each other's opposite."""
LEAST_APART, MOST_APART = 1e-6, 1e-4
"""Two columns are one and the same whose cosine is within the squared error of 1, or within these bounds on that."""
MOST_NAMED = 3
"""Pairs of components that a sentence names."""


def doubted(model: CPTensor, *more: str, entries: int, l2: float) -> CPTensor:
    """The model with all that speaks against its factors being the only ones, sentences for people; `more` are given.

    entries: those that the model was fitted to. l2: that of the fit; with one, a single model is best.

    Numbers that are free: R (sum_n I_n - N + 1) in a model, which are to be no more than the tensor's entries, or
    whole families of models fit as well: Kolda and Bader, SIAM Review 2009, section 3.2.
    Components that cancel: those whose cosine, the product of their columns' over the modes, nears -1: the sign of a
    fit that diverges (Mitchell and Burdick, J. Chemometrics 1994).
    Shared columns: two components with the same column in all modes but two, of which those two determine the sum
    alone: Sidiropoulos and Bro, J. Chemometrics 2000.
    """
    shape, rank = model.shape, model.rank
    order, free = len(shape), sum(shape) - len(shape) + 1
    cosines = np.stack([_cosines(factor) for factor in model.factors])
    signs = np.sign(model.weights.cpu().numpy())
    doubts, apart = [], np.triu(np.ones((rank, rank), bool), 1)
    if order == 2 and rank > 1 and not l2:
        doubts.append("factors of a matrix are never the only ones: give a tensor of three modes or more")
    elif rank * free > entries and not l2:
        doubts.append(
            f"rank {rank} has {rank * free} free numbers, and the tensor {entries} entries: other factors fit as well. "
            f"Lower rank, to {max(1, entries // free)} or less"
        )
    cancelling = apart & (cosines.prod(0) * np.outer(signs, signs) < CANCELLING_COSINE)
    if cancelling.any():
        doubts.append(
            f"of the components {_named(cancelling)} each takes away most of what the other adds, so that neither "
            f"means much alone: lower rank, or set {'a larger l2' if l2 else 'l2 (0.001, say)'}"
        )
    apart_by = min(max(LEAST_APART, model.relative_error**2), MOST_APART)
    shared = apart & ~cancelling & ((np.abs(cosines) >= 1 - apart_by).sum(0) >= max(1, order - 2))
    if order > 2 and shared.any():
        doubts.append(
            f"the components {_named(shared)} have the same column in {order - 2} or more modes, so that only their "
            "sum is known, and not each: read them together, or lower rank"
        )
    return replace(model, doubts=(*doubts, *more))


def _cosines(factor: Tensor) -> NDArray[np.float64]:
    """The cosines between the columns of a factor: R x R."""
    gram: NDArray[np.float64] = (factor.T @ factor).double().cpu().numpy()
    lengths = np.sqrt(gram.diagonal())
    cosines: NDArray[np.float64] = gram / np.maximum(np.outer(lengths, lengths), np.finfo(float).tiny)
    return cosines


def _named(pairs: NDArray[np.bool_]) -> str:
    """The first pairs, by their components' numbers from 0."""
    found = [f"{r} and {s}" for r, s in np.argwhere(pairs)]
    more = f" and {len(found) - MOST_NAMED} pairs more" if len(found) > MOST_NAMED else ""
    return ", ".join(found[:MOST_NAMED]) + more
