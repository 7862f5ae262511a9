"""JSON that comes from elsewhere is read or refused; what leaves here is JSON that every reader knows."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.ab.documents import finite, read_json

CONTENT = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(CONTENT)
def test_what_leaves_is_json_without_words_of_pythons(content: Any) -> None:
    text = json.dumps(finite(content), allow_nan=False)
    assert json.dumps(finite(read_json(text)), allow_nan=False) == text


def test_numbers_that_are_none_and_long_ones_are_read() -> None:
    one, other, long = read_json(b"[NaN, -Infinity, 123456789012345678901234567890]")
    assert math.isnan(one) and other == -math.inf and long == 123456789012345678901234567890


@pytest.mark.parametrize("text", ["[" * 100_000, "{", b"\xff", "", "9" * 6000])
def test_what_is_no_document_is_a_value_error(text: bytes | str) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_dates_and_decimals_are_written() -> None:
    content = {"d": Decimal("1.5"), "day": date(2026, 1, 2), "at": datetime(2026, 1, 2, 3), "map": [("k", math.nan)]}
    assert finite(content) == {"d": 1.5, "day": "2026-01-02", "at": "2026-01-02T03:00:00", "map": [["k", None]]}
