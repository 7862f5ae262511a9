"""application/jsonlines: lines that are blank, that end otherwise, that are broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import jsonlines
from tests.helpers.format_checks import check_damaged, check_round_trip, json_values


def test_a_broken_line_is_located() -> None:
    with pytest.raises(UserError, match="broken JSON at line 3, column 4"):
        jsonlines.decode(b"[1]\n\n[2,\n[3]\n")


def test_blank_lines_and_other_line_ends_do_no_harm() -> None:
    assert jsonlines.decode(b'\n{"a":1}\r\n\r\n  \n[2]') == [{"a": 1}, [2]]
    assert jsonlines.decode(b"") == []


def test_every_line_of_json_lines_is_ended() -> None:
    assert jsonlines.encode([{"a": 1}, None]) == b'{"a":1}\nnull\n'
    assert jsonlines.encode([]) == b""


def test_null_is_written_for_a_number_that_is_not_finite() -> None:
    assert jsonlines.encode([float("nan")]) == b"null\n"


@pytest.mark.slow
@settings(deadline=None)
@given(value=st.lists(json_values, max_size=5), data=st.data())
def test_any_list_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(jsonlines.FORMAT, value)
    check_damaged(jsonlines.FORMAT, value, data)
