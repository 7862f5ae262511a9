"""Rows with time stamps in their places."""

from __future__ import annotations

import numpy as np

from polyadic.readers.series import grid
from tests.helpers.series_files import HOUR


def test_the_longest_series_is_taken() -> None:
    codes, stamps = np.zeros(2, np.int64), np.array([0, (grid.MOST_STEPS - 1) * 3_600_000_000])
    assert isinstance(grid.lay(codes, stamps, HOUR, False), grid.Grid)
    assert isinstance(grid.lay(codes, stamps + 3_600_000_000 * codes.argsort(), HOUR, False), grid.Misfit)
