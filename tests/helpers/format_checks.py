"""What the contract asks of a format, for one value or a few bytes at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polyadic.errors import UserError
from polyadic.formats import Coordinates, Format, Rows
from tests.helpers.row_values import same_rows
from tests.helpers.sparse_values import same


def check_round_trip(tested: Format, value: Any) -> None:
    """What is encoded is decoded again, of the same type."""
    decoded = tested.decode(tested.encode(value))
    if isinstance(value, np.ndarray):
        assert decoded.dtype == value.dtype and decoded.shape == value.shape
        assert np.array_equal(decoded, value, equal_nan=value.dtype.kind == "f")
    elif isinstance(value, Coordinates):
        assert same(decoded, value)
    elif isinstance(value, Rows):
        assert same_rows(decoded, value)
    else:
        assert decoded == value


def check_refused(tested: Format, broken: bytes) -> None:
    """Broken bytes are the user's fault."""
    with pytest.raises(UserError):
        tested.decode(broken)


def check_damaged(tested: Format, value: Any, data: st.DataObject) -> None:
    """A good body with some of its bytes replaced, or cut short, is decoded or refused, and nothing else happens."""
    good = bytearray(tested.encode(value))
    for place in data.draw(st.lists(st.integers(0, max(0, len(good) - 1)), max_size=3)):
        good[place : place + 1] = data.draw(st.binary(max_size=2))
    broken = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        tested.decode(broken)
    except UserError as error:
        assert str(error)


plain_arrays = npst.arrays(
    st.sampled_from(["<f2", "<f4", "<f8", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "?"]),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)
"""Arrays of the types that every format of arrays keeps."""
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
