"""Columns cut into the pieces that the kernels of a CPU are compiled for."""

from __future__ import annotations

import torch

from polyadic.tensor.kernels.padding import LANES, lanes

PIECE_COLUMNS = (64, 32, 16, 8)
"""Columns of a piece in float32: powers of two, since LLVM splits other vectors badly. Half of each in float64."""


def pieces(columns: int, dtype: torch.dtype, widest: int = PIECE_COLUMNS[0]) -> list[tuple[int, int]]:
    """The pieces that cover `columns` columns of a padded array, widest first: pairs (first column, columns).

    widest: the most columns of a piece, counted in float32.
    """
    widths = [width * lanes(dtype) // LANES["float32"] for width in PIECE_COLUMNS if width <= widest]
    cut, column = [], 0
    while column < columns:
        width = next(width for width in widths if width <= columns - column)
        cut.append((column, width))
        column += width
    return cut
