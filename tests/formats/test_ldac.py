"""lda-c's text: what lines may look like, what is refused, and the corpus that it is known by."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import Row, ldac, pack_rows
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.row_values import dense, part_of, rows


def test_a_line_is_a_row() -> None:
    found = ldac.decode(b"2 0:1 4:3\n0\n1 2:0.5\n")
    assert dense(found, 5) == [[1, 0, 0, 0, 3], [0] * 5, [0, 0, 0.5, 0, 0]]
    assert found.widths.tolist() == [-1] * 3


def test_blanks_and_unusual_numbers_do_no_harm() -> None:
    found = ldac.decode(b"\n  2\t0:1   4:3 \r\n\n1 02:+1.\n1 1:1e1")
    assert dense(found, 5) == [[1, 0, 0, 0, 3], [0, 0, 1, 0, 0], [0, 10, 0, 0, 0]]
    assert found.numbers.tolist() == [2, 4, 5]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_parts_are_all_rows_in_turn(parts: int) -> None:
    text = b"".join(b"1 %d:1\n\n" % number for number in range(50))
    for part in range(parts):
        assert part_of(ldac.FORMAT, text, part, parts).columns.tolist() == list(range(50))[part::parts]


def test_whole_counts_are_written_as_such() -> None:
    assert ldac.encode(pack_rows([Row(1, [3, 1], [2.0, 0.5]), Row(2, [], [])])) == b"2 3:2 1:0.5\n0\n"


REFUSED = {
    "too few": (b"1 0:1\n\n3 0:1 1:2\n", "line 3: it states '3' terms and has 2 after it"),
    "too many": (b"1 0:1 1:2\n", "line 1: it states '1' terms and has 2 after it"),
    "no number of terms": (b"0:1 1:2\n", "line 1: it states '0:1' terms and has 1 after it"),
    "text": (b"1 0:1\nhello\n", "line 2: it states 'hello' terms"),
    "no count": (b"1 5\n", "line 1: '5' is not `term:count`"),
    "a count that is text": (b"1 5:x\n", "line 1: '5:x' is not `term:count`"),
    "a term in part": (b"1 0.5:1\n", "line 1: '0.5:1' is not `term:count`"),
    "colons astray": (b"2 0 1:5:2\n", "line 1: '0' is not `term:count`"),
    "not a number": (b"1 0:nan\n", "line 1: '0:nan' is not `term:count`, a whole number from 0 and a finite number"),
    "other bytes": (b"1 \xff:1\n", "line 1: '.:1' is not `term:count`"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused_is_located(what: str) -> None:
    data, message = REFUSED[what]
    with pytest.raises(UserError, match=f"^the file, {message}"):
        part_of(ldac.FORMAT, data)


AP = Path(__file__).parents[3] / "shared" / "data" / "ap.tgz"


@pytest.mark.skipif(not AP.exists(), reason="ap.tgz is not in ../shared/data")
def test_the_associated_press_is_read() -> None:
    with tarfile.open(AP) as archive:
        file = archive.extractfile("ap/ap.dat")
        assert file is not None
        found = ldac.decode(file.read())
    assert len(found) == 2_246 and found.columns.max() + 1 == 10_473 and found.values.sum() == 435_838


@pytest.mark.slow
@settings(deadline=None)
@given(value=rows(stated="never"), data=st.data())
def test_any_corpus_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(ldac.FORMAT, value)
    check_damaged(ldac.FORMAT, value, data)
