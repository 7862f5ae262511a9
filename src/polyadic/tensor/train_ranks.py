"""The ranks of a tensor train: what the shape allows, and how many singular values a truncation keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.arguments import numbers_of

ROUND_OFFS = 30
"""A relative error of so many round-offs is no part of a tensor."""


def feasible_ranks(shape: Sequence[int], max_rank: int | Sequence[int] | None, tol: float | None) -> list[int]:
    """The largest ranks r_1, ..., r_{N-1} that `max_rank` and the shape I_1 x ... x I_N allow: N - 1 numbers.

    max_rank: one number for all ranks, or a list of N - 1; tol: a relative error, which is only checked here.
    Raises UserError where both are None, where tol is negative, infinite or NaN, and where max_rank has a number under
    1 or another length.
    """
    if tol is None and max_rank is None:
        raise UserError("neither tol nor max_rank is given: set tol (the relative error allowed), max_rank, or both")
    if tol is not None and not 0 <= tol < math.inf:
        raise UserError(f"tol is {tol}: it must be a relative error, 0 or more")
    count = len(shape) - 1
    caps = [math.prod(shape)] * count if max_rank is None else numbers_of(max_rank, count, "max_rank")
    for n, rows in enumerate(shape[:-1]):
        caps[n] = min(caps[n], rows * (caps[n - 1] if n else 1))
    for n in reversed(range(len(caps))):
        caps[n] = min(caps[n], shape[n + 1] * (caps[n + 1] if n + 1 < len(caps) else 1))
    return caps


def tolerance(tol: float | None, dtype: torch.dtype) -> float:
    """The relative error that a truncation may make: `tol`, but never less than the round-off of numbers of a type."""
    return max(tol or 0.0, ROUND_OFFS * torch.finfo(dtype).eps)


def kept_rank(squares: Tensor, allowed: float, cap: int) -> int:
    """How many singular values to keep, 1 to `cap`, so that the squares of the others sum to `allowed` at most.

    squares: the squared singular values, falling.
    """
    tails = squares.flip(0).cumsum(0)
    return max(1, min(cap, len(squares) - int((tails <= allowed).sum())))


def positive_signs(columns: Tensor) -> Tensor:
    """The signs that make the largest entry of each column (I x R) positive: R numbers, 1 or -1."""
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))[0]
    return torch.where(largest < 0, -1, 1).to(columns.dtype)
