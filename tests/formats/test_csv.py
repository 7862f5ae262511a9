"""Tables of text: as requests and as sparse tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import csv, parse_number
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.sparse_values import read, refusal

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"", []),
        (b"\n\r\n", []),
        (b"1,2,3\n", [[1, 2, 3]]),
        (b"1,2,3\r\n\r\n4,5,6", [[1, 2, 3], [4, 5, 6]]),
        (b"\xef\xbb\xbf1,-2,+3\n", [[1, -2, 3]]),
        (b" 1 , 2.5,x y \n", [[1, 2.5, "x y "]]),
        (b'"a,b","say ""so""","c\nd"\n', [["a,b", 'say "so"', "c\nd"]]),
        (b"nan,inf,1e400\n", [["nan", "inf", "1e400"]]),
        (b"1_0,0x1F,\n", [["1_0", "0x1F", ""]]),
        (b"1" + b"0" * 5000 + b"\n", [["1" + "0" * 5000]]),
    ],
)
def test_cells_are_numbers_or_text(text: bytes, rows: list[list[Any]]) -> None:
    assert csv.decode(text) == rows


def test_what_is_no_number_is_an_empty_cell() -> None:
    assert csv.encode([[1, float("nan"), None], [np.float32(0.1), np.inf, "a,b"]]) == b'1,,\n0.1,,"a,b"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1,2\n\n1,2,3\n", "broken CSV at line 3: 3 cells where the first row has 2"),
        (b'"a,b\n', "broken CSV: unexpected end of data"),
        (b"\xff,1\n", "broken CSV: 'utf-8' codec can't decode"),
    ],
)
def test_a_broken_table_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        csv.decode(text)


@pytest.mark.parametrize(
    ("text", "value", "labels"),
    [
        (b"0,2,5\n1,0,6\n", [5, 6], None),
        (b"i,j,v\n0,2,5\n1,0,6\n", [5, 6], None),
        (b"value,i,j\n5,0,2\n6,1,0\n", [5, 6], None),
        (b"i, Value ,j\r\n0,5,2\r\n1,6,0\r\n", [5, 6], None),
        (b"\n\xef\xbb\xbfi,j,v\n"[1:] + b"0,2,5\n1,0,6", [5, 6], None),
        (b"0, 2,5\n1 ,0, 6\n", [5, 6], None),
        (b"0,2.0,5\n1,0e0,6\n", [5, 6], None),
        (b"00,+2,5\n01,0,6\n", [5, 6], None),
        (b'"0","2","5"\n"1","0","6"\n', [5, 6], None),
        (b"b,2,5\nc,0,6\n", [5, 6], ("b", "c")),
        (b"x,y,count\nb,2,5\nc,0,6\n", [5, 6], ("b", "c")),
        (b'"b,",2,5\n"c""",0,6\n', [5, 6], ("b,", 'c"')),
        (b"0x0,2,5\n0x1,0,6\n", [5, 6], ("0x0", "0x1")),
        (b"007,2,5\n7a,0,6\n", [5, 6], ("007", "7a")),
        ("é,2,5\nñ,0,6\n".encode(), [5, 6], ("é", "ñ")),
        (b" b,2,5\nc,0,6\n", [5, 6], (" b", "c")),
        (b'6" pipe,2,5\n"7"" ,""pipe""",0,6\n', [5, 6], ('6" pipe', '7" ,"pipe"')),
        (b"true,2,5\nvalue of,0,6\n", [5, 6], ("true", "value of")),
    ],
)
def test_columns_are_modes(text: bytes, value: list[float], labels: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    found = read(tmp_path / "a.csv")
    assert found.indices.tolist() == [[0, 1], [2, 0]]
    assert found.values.tolist() == value
    assert found.labels == (labels, None) and found.shape is None and found.rows == (2, 3)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"userId,movieId,rating,timestamp\n1,2,3,4\n", ["userId", "movieId", "rating", "timestamp"]),
        (b"i, Value ,j\n0,5,2\n", ["i", "j", "Value"]),
        (b"0,2,5\n1,0,6\n", None),
    ],
)
def test_a_heading_names_the_modes_and_then_the_values(text: bytes, names: list[str] | None, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    assert csv.heading(tmp_path / "a.csv") == names


@pytest.mark.parametrize(("mark", "called"), [(";", "semicolons"), ("\t", "tabs"), (" ", "blanks")])
def test_other_separators_are_named(mark: str, called: str, tmp_path: Path) -> None:
    header = mark.join(["user", "item", "value"])
    said = refusal(tmp_path / "a.csv", f"{header}\na{mark}b{mark}1.5\n".encode())
    assert said.startswith(f"a.csv, line 1, is {header!r}: commas separate the cells of a CSV file, not {called}")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"ann,tea,\n", "line 2: the value is empty: leave out what is not known"),
        (b"ann,tea,2\nbob,tea,\n", "line 3: the value is empty"),
        (b"ann,tea,two\n" + b"bob,tea,1\n" * 99, "line 2: the value 'two' is not a number"),
        (b"ann,tea,2\n,tea,1\n", "line 3: the label in column 1 is empty"),
        (b"ann,0.5,2\n", "line 2: the index 0.5 is not a whole number"),
        (b"ann,0.5,2\n", "save a dense array with numpy.save, as .npy"),
        (b"ann,5000000000,2\n", "too large: a mode has 2147483647 rows at most. Number them from 0, or write them as"),
    ],
)
def test_the_fault_is_named_and_not_the_labels_beside_it(lines: bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path / "a.csv", b"user,drink,rating\n" + lines)


def test_the_index_that_pandas_writes_is_no_mode(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.csv", b",user,item,rating\n0,ann,tea,2\n1,bob,tea,1\n")
    assert said.startswith(
        "a.csv, line 1: column 1 has no name, as pandas writes its index. Write the table with to_csv("
    )


def test_labels_may_begin_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"2,0,1.5\n" * 100 + b"1,0,2.5\nten,3,2.5\n")
    found = read(tmp_path / "a.csv")
    assert found.labels == (("1", "2", "ten"), None)
    assert found.indices[0].tolist() == [1] * 100 + [0, 2]


REFUSED: dict[str, tuple[bytes, str]] = {
    "a negative index": (b"1,-1,5\n", "the index -1 is too small: rows count from 0"),
    "a fractional index": (b"1,1.5,5\n", "the index 1.5 is not a whole number"),
    "an index that is not a number": (b"1,nan,5\n", "the index 'nan' is not a whole number"),
    "an index beyond 32 bits": (b"1,2147483647,5\n", "is too large: a mode has 2147483647 rows at most"),
    "a word for a value": (b"1,1,five\n", "the value 'five' is not a number"),
    "no value": (b"1,1,\n", "the value is empty: leave out what is not known"),
    "NaN": (b"1,1,nan\n", "the value 'nan' is not finite: leave out what is not known"),
    "infinite": (b"1,1,Infinity\n", "the value 'Infinity' is not finite"),
    "a value beyond floats": (b"1,1,1e999\n", "the value '1e999' is not finite"),
    "an empty label": (b'1,"",5\n', "the label in column 2 is empty"),
    "too few cells": (b"1,5\n", "2 cells where the first line has 3"),
    "too many cells": (b"1,2,3,5\n", "4 cells where the first line has 3"),
    "a quote that does not end": (b'1,"2,5\n', "unexpected end of data"),
    "a quoted line break": (b'1,"a\nb",5\n', "unexpected end of data"),
    "a quote inside": (b'1,"a"b,5\n', "expected after"),
    "another encoding": (b"1,\xe9,5\n", "'utf-8' codec can't decode"),
    "a blank of spaces": (b"  \n", "1 cells where the first line has 3"),
    "old line ends": (b"1,2,3\r4,5,6\n", "new-line character seen in unquoted field"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
@pytest.mark.parametrize("part", [0, 1])
def test_a_line_that_is_no_record_is_refused_by_its_number(what: str, part: int, tmp_path: Path) -> None:
    line, why = REFUSED[what]
    good = 40 * b"1,2,0.5\n"
    before, after = (good, 2 * good) if part == 0 else (b"i,j,value\n\n" + 2 * good, good)
    said = refusal(tmp_path / "a.csv", before + line + after, part, 2)
    number = before.count(b"\n") + 1
    assert said.startswith(f"a.csv, line {number}: ") and why in said


def test_a_file_that_ends_in_mid_record_is_refused(tmp_path: Path) -> None:
    assert "a.csv, line 31: 2 cells where" in refusal(tmp_path / "a.csv", 30 * b"1,2,0.5\n" + b"2,1")


@pytest.mark.parametrize("text", [b"5\n", b"value\n5\n"])
def test_a_value_alone_is_no_record(text: bytes, tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.csv", text)
    assert "a.csv, line 1, has no index in a record: a record is 1 or more indices, and a value after them" in said


def test_a_tensor_may_have_one_mode(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"name,value\nann,5\nbob,6\n")
    found = read(tmp_path / "a.csv")
    assert (found.order, found.labels, found.values.tolist()) == (1, (("ann", "bob"),), [5, 6])


cells = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")).filter(
        lambda text: parse_number(text) is None
    )
)
tables = st.integers(1, 4).flatmap(lambda columns: st.lists(st.lists(cells, min_size=columns, max_size=columns)))


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=tables, data=st.data())
def test_any_table_comes_back(value: list[list[Any]], data: st.DataObject) -> None:
    check_round_trip(csv.FORMAT, value)
    check_damaged(csv.FORMAT, value, data)
