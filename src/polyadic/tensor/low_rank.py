"""What every tensor of few numbers can be asked, whichever decomposition it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from polyadic.errors import UserError, shorten
from polyadic.tensor.arguments import dense, mode_of, whole, whole_numbers
from polyadic.tensor.sparse import MOST_DENSE_ENTRIES


class LowRank(Protocol):
    """A tensor I_1 x ... x I_N in few numbers: CPTensor, TuckerTensor and TensorTrain are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, integers from 0): B."""

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries at fixed rows of some modes.

        index: one row per mode, or None for all rows of it. The result has the modes that are None, in their order.
        """

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that B new slabs along `mode` would have, by least squares, and the relative residuals: B x R, B.

        slabs: B x (the other modes, in their order), NaN where an entry was not observed. R: the numbers that describe
        a row of the mode. A residual is |slab - model| / |slab| over the observed entries.
        """


def indices_of(index: Any, shape: Sequence[int]) -> Tensor:
    """The indices (B x N, from 0) that `at` is asked for, of a tensor, an array or lists; one index alone is N numbers.

    Negative rows count from the end. Raises UserError for another width, and for rows that a mode does not have.
    """
    if (
        isinstance(index, Tensor)
        and index.dtype is torch.int64
        and not index.is_cuda
        and index.ndim == 2
        and len(index)
    ):
        numbers = index.numpy()
        if numbers.shape[1] == len(shape) and numbers.min() >= 0 and bool((numbers.max(0) < shape).all()):
            return index  # The usual case, by a few calls of numpy in the place of a dozen of torch.
    rows, sizes = whole_numbers(index, "index"), torch.tensor(shape)
    if not rows.numel() and rows.ndim < 2:
        return rows.new_zeros(0, len(shape))
    if rows.ndim not in (1, 2) or rows.shape[-1] != len(shape):
        raise UserError(
            f"index has the shape {tuple(rows.shape)}: give {len(shape)} rows, one of each mode, or B x {len(shape)} "
            "of them for B entries"
        )
    sizes = sizes.to(rows.device)
    wrong = (rows < -sizes) | (rows >= sizes)
    if bool(wrong.any()):
        mode = int(wrong.nonzero()[0][-1])
        raise UserError(f"index has row {int(rows[wrong][0])} of mode {mode}: {_rows_of(mode, shape[mode])}")
    return torch.where(rows < 0, rows + sizes, rows)


def rows_of(index: Any, shape: Sequence[int]) -> list[int | None]:
    """The row of each mode, from 0, or None for all of them, that `slice` is asked for.

    Negative rows count from the end. Raises UserError for another number of modes, and for a row that one lacks.
    """
    if isinstance(index, str) or not hasattr(index, "__len__") or len(index) != len(shape):
        raise UserError(
            f"index is {shorten(index)}: give {len(shape)} values, a row of each mode, or None for all of its rows"
        )
    entries = math.prod(size for size, value in zip(shape, index, strict=True) if value is None)
    if entries > MOST_DENSE_ENTRIES:
        raise UserError(f"the slice has {entries:,} entries: {MOST_DENSE_ENTRIES:,} at most are made. Fix more modes")
    rows = list[int | None]()
    for mode, value in enumerate(index):
        row = None if value is None else whole(value, f"index[{mode}]")
        if row is not None and not -shape[mode] <= row < shape[mode]:
            raise UserError(f"index has row {row} of mode {mode}: {_rows_of(mode, shape[mode])}")
        rows.append(None if row is None else row % shape[mode])
    return rows


def slabs_of(mode: Any, slabs: Any, shape: Sequence[int]) -> tuple[int, Tensor]:
    """The number of a mode, and the slabs (B x the other modes) that `embed` is asked about.

    Raises UserError for a mode that does not exist, and for slabs of another shape.
    """
    number, given = mode_of(mode, len(shape)), dense(slabs, "slabs").detach()
    others = (*shape[:number], *shape[number + 1 :])
    if given.shape[1:] != others or not given.ndim:
        one = f". Write slabs[None] for a single one of {others}" if given.shape == others else ""
        raise UserError(
            f"slabs are of shape {tuple(given.shape)}: along mode {number} they must be of (B, "
            f"{', '.join(map(str, others))}), for B slabs{one}"
        )
    return number, given


def in_words(tensor: Any, ranks: str) -> str:
    """What a tensor is, in a line: its class, its shape, its ranks, its relative error."""
    shape = " x ".join(map(str, tensor.shape))
    return f"<{type(tensor).__name__} {shape}, {ranks}, relative error {tensor.relative_error:.4g}>"


def _rows_of(mode: int, rows: int) -> str:
    return f"mode {mode} has rows 0 to {rows - 1}, or -{rows} to -1 from its end"
