"""FROSTT's text: what separates fields, what is refused and where."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import LARGEST_MODE, parse_number, tns
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.sparse_values import coordinates, refusal

PLAIN = b"1 2 3 0.5\n3 1 1 -2\n2 2 2 1e3\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN[:-1],
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b" ", b"\t"),
        PLAIN.replace(b" ", b" \t  "),
        PLAIN.replace(b"\n", b"  \n"),
        b"   " + PLAIN.replace(b"\n", b"\n \t"),
        b"\n\n" + PLAIN.replace(b"\n", b"\n\n\n"),
        b"# by hand\n" + PLAIN + b"# the end",
        PLAIN.replace(b"\n", b" # 0x1F\n"),
        PLAIN.replace(b"2 2 2", b"2.0 +2 2e0"),
        PLAIN.replace(b" 2 2 ", b" 002 2 "),
        PLAIN.replace(b"-2\n", b"-2.\n").replace(b"0.5", b"+.5"),
    ],
)
def test_fields_stand_apart_by_any_whitespace(text: bytes) -> None:
    found = tns.decode(text)
    assert found.indices.tolist() == [[0, 2, 1], [1, 0, 1], [2, 0, 1]]
    assert found.values.tolist() == [0.5, -2, 1000] and found.values.dtype == np.float64
    assert found.shape is None and found.rows == (3, 2, 3)


def test_the_largest_index_fits() -> None:
    found = tns.decode(f"{LARGEST_MODE} 1 1\n".encode())
    assert found.indices.tolist() == [[LARGEST_MODE - 1], [0]] and found.rows == (LARGEST_MODE, 1)


def plainly(text: str) -> list[tuple[float, ...]] | None:
    """The records of a text, counted from 1, a line at a time; None where a line is none."""
    lines = [line.partition("#")[0].replace("\t", " ").split(" ") for line in text.replace("\r\n", "\n").split("\n")]
    rows = [[parse_number(field) for field in line if field] for line in lines if any(line)]
    good = all(
        len(row) == len(rows[0]) >= 2
        and None not in row
        and all(n == int(n) and 1 <= n <= LARGEST_MODE for n in row[:-1] if n is not None)
        for row in rows
    )
    return [tuple(float(n) for n in row if n is not None) for row in rows] if rows and good else None


TOKENS = ["1", "2", "7", "30", " ", "  ", "\t", "\n", "\r\n", "1 1 1\n", "\n2 1 3.5", ".5", "-", "+", "e1", "0x1", "#"]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), min_size=3, max_size=12).map("".join))
@example("1e11 1 1\n")
def test_a_fast_reading_is_a_plain_one(text: str) -> None:
    expected = plainly(text)
    try:
        found = tns.decode(text.encode())
    except UserError:
        assert expected is None
    else:
        assert expected == list(zip(*(found.indices + 1.0).tolist(), found.values.tolist(), strict=True))


REFUSED: dict[str, tuple[bytes, str]] = {
    "index 0": (b"1 0 3 5\n", "the index 0 is too small: FROSTT counts from 1"),
    "a negative index": (b"1 -1 3 5\n", "the index -1 is too small: FROSTT counts from 1"),
    "a fractional index": (b"1 1.5 3 5\n", "the index 1.5 is not a whole number"),
    "a word for an index": (b"1 one 3 5\n", "the index 'one' is not a whole number"),
    "a hexadecimal index": (b"1 0x1F 3 5\n", "the index '0x1F' is not a whole number"),
    "an underscore": (b"1 1_0 3 5\n", "the index '1_0' is not a whole number"),
    "digits of another script": ("1 ٣ 3 5\n".encode(), "the index '٣' is not a whole number"),
    "an index that is not a number": (b"1 nan 3 5\n", "the index 'nan' is not a whole number"),
    "an index beyond 32 bits": (
        b"1 2147483648 3 5\n",
        "the index '2147483648' is too large: a mode has 21474836",
    ),
    "an index beyond 64 bits": (b"1 1" + b"0" * 40 + b" 3 5\n", "is too large"),
    "a word for a value": (b"1 1 3 five\n", "the value 'five' is not a number"),
    "NaN": (b"1 1 3 NaN\n", "the value 'NaN' is not finite"),
    "infinite": (b"1 1 3 -inf\n", "the value '-inf' is not finite"),
    "a value beyond floats": (b"1 1 3 1e400\n", "the value '1e400' is not finite"),
    "old line ends": (b"1 1 3 5\r2 1 3 5\n", "7 fields where"),
    "too few fields": (b"1 1 3\n", r"3 fields where the first record has 4"),
    "too many fields": (b"1 1 3 5 5\n", r"5 fields where the first record has 4"),
    "commas": (b"1,1,3,5\n", r"1 fields where the first record has 4"),
    "not text": (b"\xff\xfe\n", "1 fields where"),
}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("what", sorted(REFUSED))
@pytest.mark.parametrize("part", [0, 1])
def test_a_line_that_is_no_record_is_refused_by_its_number(what: str, part: int, tmp_path: Path) -> None:
    line, why = REFUSED[what]
    good = 30 * b"1 2 3 0.5\n"
    before, after = (good, 2 * good) if part == 0 else (b"# comment\n\n" + 2 * good, good)
    said = refusal(tmp_path / "a.tns", before + line + after, part, 2)
    number = (before + line).count(b"\n")
    assert said.startswith(f"a.tns, line {number}: ") and why in said


def test_a_file_that_ends_in_mid_record_is_refused(tmp_path: Path) -> None:
    assert "a.tns, line 31: 2 fields where" in refusal(tmp_path / "a.tns", 30 * b"1 2 3 0.5\n" + b"2 1")


def test_a_value_alone_is_no_record(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.tns", b"# a comment\n5\n")
    assert "a.tns, line 2, has no index in a record: a record is 1 or more indices, and a value after them" in said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"sptensor\n3\n4 5 6\n2\n1 1 1 2\n2 3 4 1\n", "It is 'sptensor': if it begins a header, take out all lines"),
        (b"1,1,1,2.0\n2,3,4,1.5\n", "a.tns, line 1, is '1,1,1,2.0': spaces separate the fields"),
        (
            b"4 5 6\n1 1 1 2\n",
            "line 2: 4 fields where the first record has 3 .* where the first lines are a header, take",
        ),
    ],
)
def test_a_file_of_another_program_is_refused_by_its_cause(data: bytes, message: str, tmp_path: Path) -> None:
    assert re.search(message, refusal(tmp_path / "a.tns", data))


def test_a_gzipped_file_needs_no_name_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tns").write_bytes(gzip.compress(b"1 1 2.5\n2 3 1\n"))
    assert tns.read_coordinates(tmp_path / "a.tns", 0, 1).rows == (2, 3)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.tns", b"1 2 3\n" + bytes(3 * 2**20))
    assert "a.tns has a line of more than 1048576 bytes: it is not a text of records" in said
    said = refusal(tmp_path / "a.tns", bytes(3 * 2**20))
    assert "a.tns has a line of more than 1048576 bytes" in said


MED = Path(__file__).parents[3] / "shared" / "data" / "med.tns"


@pytest.mark.skipif(not MED.exists(), reason="med.tns is not in ../shared/data")
def test_a_real_tensor_is_read_whole() -> None:
    found = tns.read_coordinates(MED, 0, 1)
    parts = [tns.read_coordinates(MED, part, 3) for part in range(3)]
    assert found.rows == (2425, 10816, 29567) and len(found.values) == 100_000
    assert np.array_equal(np.concatenate([part.indices for part in parts], 1), found.indices)
    expected = np.loadtxt(MED)
    assert np.array_equal(found.indices.T + 1, expected[:, :3]) and np.array_equal(found.values, expected[:, 3])


@pytest.mark.slow
@settings(deadline=None)
@given(value=coordinates(), data=st.data())
def test_any_tensor_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(tns.FORMAT, value)
    check_damaged(tns.FORMAT, value, data)
