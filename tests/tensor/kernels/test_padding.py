"""Columns are padded to one register, or to whole cache lines of two registers."""

from __future__ import annotations

import pytest
import torch

from polyadic.tensor.kernels.padding import lanes, padded


@pytest.mark.parametrize(("dtype", "register"), [(torch.float32, 8), (torch.float64, 4)])
def test_columns_fill_a_register_or_whole_cache_lines(dtype: torch.dtype, register: int) -> None:
    assert lanes(dtype) == register
    line = 2 * register
    ranks = (1, register, register + 1, line, line + 1, 5 * line)
    assert [padded(rank, dtype) for rank in ranks] == [register, register, line, line, 2 * line, 5 * line]
