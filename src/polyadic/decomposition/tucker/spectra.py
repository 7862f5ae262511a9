"""Squared singular values and left singular vectors of an unfolding whose columns are divided over the ranks.

Shapes: a rank has some columns of the unfolding I_n x C; the squares fall, I_n; the vectors are columns, I_n x I_n.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from polyadic.decomposition.tucker.unfoldings import blocks
from polyadic.distributed import World
from polyadic.tensor.skinny import PANEL_COLUMNS, gram_of_columns

ROW_BLOCKS = 3
"""A Gram matrix is formed in so many blocks of rows: of each, only the part under the diagonal."""

Spectrum: TypeAlias = Callable[[Tensor, int, World, bool], tuple[Tensor, Tensor]]
"""(local, mode, world, whole) -> the squares and the vectors; `whole` says that each rank has all columns."""


class Way(NamedTuple):
    """A way to a spectrum, and the error of its squares as a share of their sum."""

    spectrum: Spectrum
    precision: float


def ways(dtype: torch.dtype, *, tall: bool) -> list[Way]:
    """The ways to a spectrum, the cheapest first; the last counts as exact.

    A Gram matrix X_(n) X_(n)^T in the precision of the data, then in float64; and at last the triangle of a QR
    decomposition of X_(n)^T in float64, which squares nothing (Li, Fang and Ballard, ICPP 2021). The triangle also
    serves a `tall` unfolding, with more rows than columns.
    """
    if tall:
        return [Way(_by_triangle, 0.0)]
    exact = _by_triangle if dtype == torch.float64 else partial(_by_gram, torch.float64)
    return [Way(partial(_by_gram, dtype), torch.finfo(dtype).eps), Way(exact, 0.0)]


def _by_gram(dtype: torch.dtype, local: Tensor, mode: int, world: World, whole: bool) -> tuple[Tensor, Tensor]:
    """From the Gram matrix: its products in this precision, their sums in float64."""
    gram = _gram(local, mode, dtype)
    values, vectors = torch.linalg.eigh(gram if whole else world.sum_(gram))  # It reads the lower triangle alone.
    return values.flip(0).clamp_min(0), vectors.flip(1)


def _gram(local: Tensor, mode: int, dtype: torch.dtype) -> Tensor:
    """The unfolding times its transpose, of which only what lies on and under the diagonal counts: float64.

    Where the mode is the last one, on a CPU, our kernel takes half as long as the library.
    """
    rows = local.shape[mode]
    if mode == local.ndim - 1 and local.device.type == "cpu" and rows >= PANEL_COLUMNS:
        return gram_of_columns(local.reshape(-1, rows).to(dtype))
    gram = torch.zeros(rows, rows, dtype=torch.float64, device=local.device)
    ends = [rows * block // ROW_BLOCKS for block in range(ROW_BLOCKS + 1)]
    for block in blocks(local, mode):
        matrix = block.matrix.to(dtype)
        for first, end in itertools.pairwise(ends):
            gram[first:end, :end] += matrix[first:end] @ matrix[:end].T
    return gram


def _by_triangle(local: Tensor, mode: int, world: World, whole: bool) -> tuple[Tensor, Tensor]:
    """From the triangle of a QR decomposition of the transposed unfolding, in float64."""
    rows = local.shape[mode]
    upper = torch.zeros(0, rows, dtype=torch.float64, device=local.device)
    for block in blocks(local, mode):
        upper = _triangle(torch.cat([upper, block.matrix.T.double()]))
    vectors, values, _ = torch.linalg.svd(_triangle(upper if whole else world.gather_rows(upper)).T)
    return torch.nn.functional.pad(values, (0, rows - len(values))).square(), vectors


def _triangle(stack: Tensor) -> Tensor:
    """R of a QR decomposition; what has no more rows than columns stays as it is."""
    upper: Tensor = torch.linalg.qr(stack, mode="r")[1] if len(stack) > stack.shape[1] else stack
    return upper
