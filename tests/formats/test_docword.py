"""UCI's bags of words: documents over several batches, empty ones, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import docword
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.row_values import dense, part_of, rows

KOS = b"4\n3\n4\n1 1 2\n1 3 1\n3 2 5\n3 1 0.5\n"


def test_documents_are_rows_and_those_without_a_line_are_empty() -> None:
    found = docword.decode(KOS)
    assert dense(found, 3) == [[2, 0, 1], [0, 0, 0], [0.5, 5, 0], [0, 0, 0]]
    assert found.widths.tolist() == [3] * 4 and found.numbers.tolist() == [1, 2, 3, 4]


def test_blanks_do_no_harm() -> None:
    text = KOS.replace(b"\n", b" \r\n").replace(b"1 3 1", b"\r\n 1\t3  1")
    assert dense(docword.decode(text), 3) == dense(docword.decode(KOS), 3)


def test_no_documents_are_no_rows() -> None:
    assert len(docword.decode(b"0\n5\n0\n")) == 0
    assert dense(docword.decode(b"2\n1\n0\n\n"), 1) == [[0], [0]]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_parts_are_all_documents_in_turn(parts: int) -> None:
    lines = [b"%d %d 1\n" % (document, word) for document in range(3, 60, 2) for word in range(1, 1 + document)]
    text = b"70\n60\n%d\n" % len(lines) + b"".join(lines)
    wanted = [[float(row % 2 and 3 <= row < 60 and word <= row) for word in range(1, 61)] for row in range(1, 71)]
    for part in range(parts):
        found = part_of(docword.FORMAT, text, part, parts)
        assert dense(found, 60) == wanted[part::parts]
        assert found.numbers.tolist() == list(range(1, 71))[part::parts]


REFUSED = {
    "no header": (b"", ", line 1: '' is not the number of documents"),
    "a header of text": (b"4\nthree\n4\n", ", line 2: 'three' is not the number of words"),
    "a header that goes below zero": (b"4\n3\n-1\n", ", line 3: '-1' is not the number of lines that follow"),
    "cut short": (KOS[:-8], " ends after 3 counts where its third line states 4: copy it whole"),
    "too much": (KOS + b"4 1 1\n", " ends after 5 counts where its third line states 4"),
    "two fields": (KOS[:-8] + b"3 1\n", ", line 7: '3 1' is not `document word count`"),
    "text": (KOS[:-8] + b"3 one 1\n", ", line 7: '3 one 1' is not `document word count`"),
    "hexadecimal": (KOS[:-8] + b"3 0x1 1\n", ", line 7: '3 0x1 1' is not `document word count`"),
    "not finite": (KOS[:-8] + b"3 1 x1\n\n", ", line 7: '3 1 x1' is not `document word count`"),
    "a document too many": (KOS[:-8] + b"5 1 1\n", ", line 7: document 5 is beyond the 4 that the first line states"),
    "document 0": (b"4\n3\n1\n0 1 1\n", ", line 4: document 0 is beyond the 4"),
    "a word too many": (KOS[:-8] + b"4 4 1\n", ", line 7: word 4 is beyond the 3 that the second line states"),
    "disorder": (KOS[:-8] + b"\n1 2 1\n", ", line 8: document 1 after document 3: put the lines in the order of"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused_is_located(what: str) -> None:
    data, message = REFUSED[what]
    with pytest.raises(UserError, match=f"^the file{message}"):
        part_of(docword.FORMAT, data)


@pytest.mark.usefixtures("small_blocks")
def test_disorder_is_seen_between_batches() -> None:
    lines = [b"%d 1 1\n" % document for document in range(1, 60)]
    with pytest.raises(UserError, match="line 63: document 58 after document 59"):
        docword.decode(b"60\n1\n60\n" + b"".join(lines) + b"58 1 1\n")


@pytest.mark.slow
@settings(deadline=None)
@given(value=rows(stated="alike"), data=st.data())
def test_any_corpus_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(docword.FORMAT, value)
    check_damaged(docword.FORMAT, value, data)


def test_a_header_of_far_more_documents_than_counts_is_refused() -> None:
    with pytest.raises(UserError, match=r"line 1: 300,000,000 documents, but 2 counts \(line 3\).*Write the number"):
        docword.decode(b"300000000\n8\n2\n1 1 5\n2 2 5\n")
    assert len(docword.decode(b"1000000\n8\n1\n1 1 5\n")) == 1_000_000
