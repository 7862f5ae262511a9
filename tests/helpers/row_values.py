"""Rows of counts to try, and whether two hold the same."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from polyadic.formats import UNSTATED, Dealer, Format, Row, Rows, join_rows, pack_rows

numbers = st.integers(0, 9) | st.floats(allow_nan=False, allow_infinity=False)
WIDEST = 2**31 - 1


@st.composite
def rows(draw: st.DrawFn, stated: Literal["never", "alike", "each"]) -> Rows:
    """Up to five rows: none state their width, or all of them one, or each its own or none."""
    keys = st.integers(0, 300) | st.integers(0, WIDEST - 1)
    drawn = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        columns = draw(st.lists(keys, max_size=6))
        values = draw(st.lists(numbers, min_size=len(columns), max_size=len(columns)))
        width = {"never": st.just(UNSTATED), "alike": st.just(WIDEST)}.get(stated, st.integers(UNSTATED, WIDEST))
        drawn.append(Row(number, columns, values, draw(width)))
    return pack_rows(drawn)


def same_rows(first: Rows, second: Rows) -> bool:
    """Whether two hold the same rows in the same order, with the same entries in them."""
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(left.dtype == right.dtype and np.array_equal(left, right) for left, right in pairs)


def part_of(tested: Format, data: bytes, part: int = 0, parts: int = 1) -> Rows:
    """A part of the rows of a file of these bytes."""
    assert tested.read_rows is not None
    return join_rows(tested.read_rows(io.BytesIO(data), "the file", Dealer(part, parts)))


def dense(rows: Rows, width: int) -> list[list[float]]:
    """Rows with all their zeros; what stands twice is summed."""
    out = np.zeros((len(rows), width))
    for row, (columns, values, _) in zip(out, rows.each(), strict=True):
        np.add.at(row, columns, values)
    return out.tolist()
