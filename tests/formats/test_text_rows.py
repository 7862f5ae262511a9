"""Rows of counts in CSV and in JSON Lines: their forms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import csv, json, jsonlines
from tests.helpers.row_values import dense, part_of

TABLE: list[list[float]] = [[0, 2, 0.5], [0, 0, 0], [1, 0, 12]]


def test_a_line_of_csv_is_a_row_of_all_counts() -> None:
    found = part_of(csv.FORMAT, b"\xef\xbb\xbf0,2,0.5\r\n\n0,0,0\n1.0,0,1.2e1")
    assert dense(found, 3) == TABLE
    assert found.widths.tolist() == [3] * 3 and found.numbers.tolist() == [1, 3, 4] and len(found.columns) == 4


def test_unusual_cells_of_csv_are_read() -> None:
    assert dense(part_of(csv.FORMAT, b' 00, +2,".5"\n0.,"0",0\n1,0, 12 \n'), 3) == TABLE


def test_cells_that_are_not_finite_are_left_to_whoever_checks() -> None:
    assert str(part_of(csv.FORMAT, b"1,nan,-inf").values.tolist()) == "[1.0, nan, -inf]"


FORMS: dict[str, list[Any]] = {
    "dense": [{"features": row} for row in TABLE],
    "dense within": [{"data": {"features": {"values": row}}} for row in TABLE],
    "dense with its shape": [{"data": {"features": {"values": row, "shape": [3]}}} for row in TABLE],
    "sparse": [
        {"data": {"features": {"keys": keys, "shape": [3], "values": [TABLE[row][key] for key in keys]}}}
        for row, keys in enumerate([[1, 2], [], [2, 0]])
    ],
}


@pytest.mark.parametrize("what", FORMS)
def test_the_forms_of_json_lines(what: str) -> None:
    found = part_of(jsonlines.FORMAT, b"\n" + jsonlines.encode(FORMS[what]))
    assert dense(found, 3) == TABLE
    assert found.widths.tolist() == [3] * 3 and found.numbers.tolist() == [2, 3, 4]


def test_a_sparse_row_need_not_state_its_shape() -> None:
    assert part_of(jsonlines.FORMAT, b'{"features": {"keys": [7], "values": [1]}}').widths.tolist() == [-1]


def features(**given: Any) -> bytes:
    return json.encode({"data": {"features": given}})


REFUSED = {
    "headings": (csv, b"apple,pear\n1,2\n", "the cell 'apple' is not a count: give one number per term, and no line"),
    "an empty cell": (csv, b"\n1,,2\n", "the cell '' is not a count"),
    "truth": (csv, b"\n1,true\n", "the cell 'true' is not a count"),
    "a number beyond floats": (csv, b"\n1,1e999\n", "the cell '1e999' is not a count"),
    "an open quote": (csv, b'\n1,"2\n', "unexpected end of data. A row is a line of UTF-8"),
    "other bytes": (csv, b"\n1,\xff\n", "'utf-8' codec can't decode byte 0xff"),
    "broken JSON": (jsonlines, b'\n{"features": [1,]}', "broken JSON at column 16"),
    "a list": (jsonlines, b"\n[1, 2]", r"\[1, 2\] holds no counts: write {\"features\": \[0, 2, 1\]}, or"),
    "no features": (jsonlines, b'\n{"data": {}}', r"{'data': {}} holds no counts"),
    "no values": (jsonlines, b"\n" + features(keys=[1]), ".* holds no counts"),
    "text": (jsonlines, b"\n" + features(values=["1"]), r"values is \['1'\]: give a list of numbers"),
    "null": (jsonlines, b'\n{"features": [1, null]}', r"values is \[1, None\]: give a list of numbers"),
    "truths": (jsonlines, b'\n{"features": [true]}', r"values is \[True\]: give a list of numbers"),
    "rows of rows": (jsonlines, b'\n{"features": [[1], [2, 3]]}', r"values is \[\[1\], \[2, 3\]\]: give a list of"),
    "a number": (jsonlines, b"\n" + features(values=1), "values is 1: give a list of numbers"),
    "keys in part": (jsonlines, b"\n" + features(values=[1], keys=[0.5]), r"keys is \[0\.5\]: give a list of whole nu"),
    "fewer keys": (jsonlines, b"\n" + features(values=[1, 2], keys=[0]), "2 values and 1 keys: give as many of each"),
    "another shape": (
        jsonlines,
        b"\n" + features(values=[1], shape=[2]),
        "1 values and a shape of 2: give as many, or",
    ),
    "a shape below zero": (jsonlines, b"\n" + features(values=[1], keys=[0], shape=[-1]), r"shape is \[-1\]: give the"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused_is_located(what: str) -> None:
    kind, data, message = REFUSED[what]
    with pytest.raises(UserError, match=f"^the file, line {1 if what == 'headings' else 2}: {message}"):
        part_of(kind.FORMAT, data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.integers(0, 200), st.binary(max_size=3), st.booleans())
def test_no_bytes_whatever_raise_another_error(form: str, at: int, bytes_: bytes, table: bool) -> None:
    kind = csv if table else jsonlines
    good = bytearray(csv.encode(TABLE) if table else jsonlines.encode(FORMS[form]))
    good[at : at + 1] = bytes_
    try:
        part_of(kind.FORMAT, bytes(good))
    except UserError as error:
        assert "line " in str(error)
