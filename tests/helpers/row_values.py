"""Rows of counts to try, and whether two hold the same."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from polyadic.formats import RowsFormat
from polyadic.formats._rows import UNSTATED, Dealer, Row, Rows, join, pack

numbers = st.integers(0, 9) | st.floats(allow_nan=False, allow_infinity=False)
WIDEST = 2**31 - 1


@st.composite
def rows(draw: st.DrawFn, stated: Literal["never", "alike", "each"]) -> Rows:
    """Up to five rows: none state their width, or all of them one, or each its own or none."""
    keys = st.integers(0, 300) | st.integers(0, WIDEST - 1)
    found = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        columns = draw(st.lists(keys, max_size=6))
        values = draw(st.lists(numbers, min_size=len(columns), max_size=len(columns)))
        width = {"never": st.just(UNSTATED), "alike": st.just(WIDEST)}.get(stated, st.integers(UNSTATED, WIDEST))
        found.append(Row(number, columns, values, draw(width)))
    return pack(found)


def same_rows(found: Rows, value: Rows) -> bool:
    """Whether two hold the same rows in the same order, with the same entries in theirs."""
    pairs = zip(vars(found).values(), vars(value).values(), strict=True)
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def part_of(kind: RowsFormat, data: bytes, part: int = 0, parts: int = 1) -> Rows:
    """A part of the rows of a file of these bytes."""
    return join(kind.read_rows(io.BytesIO(data), "the file", Dealer(part, parts)))


def dense(found: Rows, width: int) -> list[list[float]]:
    """Rows with all their zeros; what stands twice is summed."""
    out = np.zeros((len(found), width))
    for row, (columns, values, _) in zip(out, found.each(), strict=True):
        np.add.at(row, columns, values)
    return out.tolist()  # type: ignore[no-any-return]
