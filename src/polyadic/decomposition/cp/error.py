"""The relative error of a CP model |X - Y| / |X|, mostly without forming Y."""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.data import Data, overflow
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

ROUGH_ERROR = 0.1
"""Relative errors below this, from sums of float32, may be wrong by more than 1e-6: by half of the sums' round-off over
the error."""


class Squares(NamedTuple):
    """The square |Y|² of a model, and the square of the model of absolute values: scalars, float64.

    The second tells how large the terms of the first are that may cancel.
    """

    model: Tensor
    absolute: Tensor


def squares_of(weights: Tensor, grams: list[Tensor]) -> Squares:
    """The squares of a model over all entries, from its weights (R) and its factors' Gram matrices (R x R)."""
    gram = reduce(torch.mul, grams)
    return Squares(weights @ gram @ weights, weights.abs() @ gram.abs() @ weights.abs())


def observed_squares(gram: Tensor, rows: Tensor) -> Squares:
    """The squares over the observed entries of J rows, from each row's normal equations.

    gram: J x R x R; rows: J x R, in which the weights are contained.
    """
    exact = rows.double()
    square = torch.einsum("jr,jrs,js->", exact, gram, exact)
    return Squares(square, torch.einsum("jr,jrs,js->", exact.abs(), gram.abs(), exact.abs()))


def relative_error(data: Data, progress: Progress, squares: Squares, inner: Tensor) -> float:
    """|X - Y| / |X| from |X|² + |Y|² - 2 <X, Y>, or by reconstruction where that would be round-off.

    squares: of the model; inner: <X, Y>; all divided by |X|². The same number on every rank.

    Raises UserError where the sums overflow.
    """
    share = data.share
    difference = torch.stack([squares.model - 2 * inner, squares.absolute])
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    rest, size = data.world.from_first_(difference).tolist()
    rest += 1
    if not math.isfinite(rest):
        raise overflow(share.dtype)
    # Components that cancel are each far larger than the model they sum to.
    if not rest >= TRUSTED_ROUND_OFFS * torch.finfo(share.dtype).eps * max(1, size):
        return exact_error(data, progress)
    return math.sqrt(rest)


def exact_error(data: Data, progress: Progress) -> float:
    """|X - Y| / |X| by reconstruction in float64, a pass over the data; the same number on every rank.

    Raises UserError where the sums overflow.
    """
    rest = max(0.0, data.world.from_first_(_residual(data, progress)).item()) / data.norm / data.norm
    if not math.isfinite(rest):
        raise overflow(data.share.dtype)
    return math.sqrt(rest)


def final_error(data: Data, progress: Progress) -> float:
    """The relative error at the end of a fit, right to 1e-6: by reconstruction where sums in float32 tell less."""
    rough = data.share.dtype == torch.float32 and progress.relative_error < ROUGH_ERROR
    return exact_error(data, progress) if rough else progress.relative_error


def _residual(data: Data, progress: Progress) -> Tensor:
    """|X - Y|² by reconstruction in float64."""
    share, mask = data.share, data.mask
    if isinstance(share, SparseShare):
        return share.residual(progress.weights, progress.factors, zeros=mask is None)
    return share.residual(progress.weights, progress.factors, mask if isinstance(mask, DenseShare) else None)
