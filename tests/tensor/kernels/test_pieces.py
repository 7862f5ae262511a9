"""Pieces cover the padded columns of a factor, and are of widths that the kernels are compiled for."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.pieces import pieces


@given(st.integers(1, 300), st.sampled_from([torch.float32, torch.float64]))
def test_pieces_cover_every_column_once(rank: int, dtype: torch.dtype) -> None:
    columns, covered = padded(rank, dtype), 0
    for first, width in pieces(columns, dtype):
        assert first == covered and width & (width - 1) == 0
        covered += width
    assert covered == columns


def test_pieces_are_the_widest_that_fit() -> None:
    assert pieces(112, torch.float32) == [(0, 64), (64, 32), (96, 16)]
    assert pieces(56, torch.float64) == [(0, 32), (32, 16), (48, 8)]
    assert pieces(48, torch.float32, 16) == [(0, 16), (16, 16), (32, 16)]
