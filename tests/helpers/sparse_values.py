"""Sparse tensors to try: records of any order, with labels or without; and how a file of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import SparseFormat, by_suffix
from polyadic.formats._coordinates import LARGEST_MODE, Coordinates

places = st.integers(0, 9) | st.integers(0, LARGEST_MODE - 1)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def coordinates(draw: st.DrawFn, labels: bool = False, stated: bool = False) -> Coordinates:
    """Records of order 2 to 4; modes may have labels, and the shape may be stated."""
    order, count = draw(st.integers(2, 4)), draw(st.integers(1, 6))
    columns, known = [], []
    for _ in range(order):
        if labels and draw(st.booleans()):
            column: list[Any] = draw(st.lists(words, min_size=count, max_size=count))
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


def same(found: Coordinates, value: Coordinates) -> bool:
    """Whether two hold the same records in the same order."""
    return (
        found.indices.dtype == value.indices.dtype
        and np.array_equal(found.indices, value.indices)
        and np.array_equal(found.values, value.values)
        and (found.shape, found.labels) == (value.shape, value.labels)
    )


def read(path: Path, part: int = 0, parts: int = 1, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """A part of a file."""
    kind = by_suffix(path.name)
    assert isinstance(kind, SparseFormat)
    return kind.read_coordinates(path, part, parts, labelled)


def refusal(path: Path, data: bytes, part: int = 0, parts: int = 1) -> str:
    """What is said of a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read(path, part, parts)
    return str(caught.value)
