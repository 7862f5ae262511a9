"""Sparse tensors to try: records of any order, with labels or without; and how a file of them is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import LARGEST_MODE, Coordinates, by_file_name

places = st.integers(0, 9) | st.integers(0, LARGEST_MODE - 1)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def coordinates(draw: st.DrawFn, labels: bool = False, stated: bool = False) -> Coordinates:
    """Records of order 1 to 4; modes may have labels, and the shape may be stated."""
    order, count = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    columns: list[list[int]] = []
    known: list[tuple[str, ...] | None] = []
    for _ in range(order):
        if labels and draw(st.booleans()):
            column = draw(st.lists(words, min_size=count, max_size=count))
            vocabulary = sorted(set(column))
            known.append(tuple(vocabulary))
            columns.append([vocabulary.index(word) for word in column])
        else:
            known.append(None)
            columns.append(draw(st.lists(places, min_size=count, max_size=count)))
    indices = np.array(columns, np.int32)
    values = np.array(draw(st.lists(numbers, min_size=count, max_size=count)))
    shape = tuple(min(int(row.max()) + 1 + draw(st.integers(0, 3)), LARGEST_MODE) for row in indices)
    return Coordinates(indices, values, shape if stated and draw(st.booleans()) else None, tuple(known))


def same(first: Coordinates, second: Coordinates) -> bool:
    """Whether two hold the same records in the same order."""
    return (
        first.indices.dtype == second.indices.dtype
        and np.array_equal(first.indices, second.indices)
        and np.array_equal(first.values, second.values)
        and (first.shape, first.labels) == (second.shape, second.labels)
    )


def read(path: Path, part: int = 0, parts: int = 1, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """A part of a file."""
    tested = by_file_name(path.name)
    assert tested is not None and tested.read_coordinates is not None
    return tested.read_coordinates(path, part, parts, labelled)


def refusal(path: Path, data: bytes, part: int = 0, parts: int = 1) -> str:
    """What is said of a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read(path, part, parts)
    return str(caught.value)
