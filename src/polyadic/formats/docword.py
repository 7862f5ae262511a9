"""text/x-docword: rows of counts as UCI's bags of words have them, one line `document word count` per entry.

Documents and words count from 1. Before the entries stand three lines: the number of documents, of words, and of the
lines that follow.
https://archive.ics.uci.edu/dataset/164/bag+of+words
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import parse_number
from polyadic.formats._columns import parse_columns
from polyadic.formats._coordinates import LARGEST_MODE
from polyadic.formats._format import Examples, Format
from polyadic.formats._rows import Dealer, Row, Rows, join_rows, pack_rows, write_count
from polyadic.formats._whole_lines import whole_lines

_NAMES_OF_UCI = re.compile(r"docword\..*\.txt(\.gz)?")
"""Such as docword.nips.txt.gz."""
_NUMBER = re.compile(rb"\s*\d+\s*")
_HEADER = ("the number of documents", "the number of words", "the number of lines that follow")

LONGEST_NUMBER = 256
"""Bytes of a line of the header that are looked at."""
FEW_DOCUMENTS, DOCUMENTS_PER_ENTRY = 10**6, 10
"""More documents than this would nearly all be empty: no file holds that, its first line is wrong."""


class _Entries(NamedTuple):
    """The lines of a batch: documents and words that count from 0, and counts, an array each."""

    documents: NDArray[np.int64]
    words: NDArray[np.int64]
    counts: NDArray[np.float64]

    def part(self, chosen: slice) -> _Entries:
        """A part of them."""
        return _Entries(self.documents[chosen], self.words[chosen], self.counts[chosen])

    def and_then(self, other: _Entries) -> _Entries:
        """These entries, and others after them."""
        return _Entries(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


_NO_ENTRIES = _Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def decode(data: bytes) -> Rows:
    """The rows of a text; UserError with the line that is no entry."""
    return join_rows(read_rows(io.BytesIO(data), "the body", Dealer()))


def encode(value: Rows) -> bytes:
    """One line per entry. All rows have the width of the first."""
    width = int(value.widths[0]) if len(value) else 0
    lines = [
        f"{row} {column + 1} {write_count(count)}\n"
        for row, (columns, values, _) in enumerate(value.each(), 1)
        for column, count in zip(columns.tolist(), values.tolist(), strict=True)
    ]
    return f"{len(value)}\n{width}\n{len(lines)}\n{''.join(lines)}".encode()


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, one batch at a time; UserError with the file and the line."""
    documents, words, entries = (
        _stated(file.readline(LONGEST_NUMBER), name, line) for line, _ in enumerate(_HEADER, 1)
    )
    if documents > FEW_DOCUMENTS + DOCUMENTS_PER_ENTRY * entries:
        raise UserError(
            f"{name}, line 1: {documents:,} documents, but {entries:,} counts (line 3): nearly all would be empty. "
            "Write the number of documents there"
        )
    line, done, seen, held = len(_HEADER) + 1, 0, 0, _NO_ENTRIES
    for lines in whole_lines(file, name, line):
        batch = _parse_entries(lines)
        if batch is None or not _fits(batch, held, documents, words):
            raise _refusal(lines, line, held, documents, words, name)
        line, seen = line + len(lines), seen + len(batch.counts)
        held = held.and_then(batch)
        # The last document may go on in the next batch.
        whole = int(held.documents[-1]) if len(held.documents) else done
        first = int(np.searchsorted(held.documents, whole))
        yield _rows_of(held.part(slice(first)), done, whole, words).take(dealer.mine(whole - done))
        held, done = held.part(slice(first, None)), whole
    if seen != entries:
        raise UserError(f"{name} ends after {seen} counts where its third line states {entries}: copy it whole")
    yield _rows_of(held, done, documents, words).take(dealer.mine(documents - done))


def _stated(line: bytes, name: str, line_number: int) -> int:
    text = line.decode("utf-8", "replace").strip()
    count = parse_number(text)
    if not isinstance(count, int) or not 0 <= count <= LARGEST_MODE:
        raise UserError(
            f"{name}, line {line_number}: {shorten(text)} is not {_HEADER[line_number - 1]}: a docword file begins "
            f"with {', '.join(_HEADER)}, each on a line of its own"
        )
    return count


def _rows_of(held: _Entries, first: int, last: int, width: int) -> Rows:
    """The rows of documents [first, last), those without an entry among them."""
    numbers = np.arange(first, last + 1, dtype=np.int64)
    offsets = np.searchsorted(held.documents, numbers).astype(np.int64)
    return Rows(offsets, held.words, held.counts, np.full(last - first, width, np.int64), numbers[1:])


def _parse_entries(lines: list[bytes]) -> _Entries | None:
    """The entries of a batch of lines; None where a line is no entry."""
    block = b"".join(lines).replace(b"\r\n", b"\n")
    if block.isspace():
        return _NO_ENTRIES
    columns = _parse_block(block) or _parse_block(b"\n".join(b" ".join(line.split()) for line in lines) + b"\n")
    if columns is None:
        return None
    documents, words, counts = (column.to_numpy() for column in columns)
    return _Entries(documents - 1, words - 1, counts)


def _parse_block(block: bytes) -> list[Any] | None:
    # Arrow alone would take hexadecimal numbers, and lines that end without a line feed.
    misleading = b"x" in block or b"X" in block or b"\r" in block
    return None if misleading else parse_columns(block, ["int64", "int64", "float64"], " ", quote=False)


def _fits(batch: _Entries, held: _Entries, documents: int, words: int) -> bool:
    """Whether all entries of a batch are of documents and words that there are, in the order of the documents."""
    order = np.append(held.documents[-1:], batch.documents)
    within = (batch.documents >= 0) & (batch.documents < documents) & (batch.words >= 0) & (batch.words < words)
    return bool(within.all() and (np.diff(order) >= 0).all())


def _refusal(lines: list[bytes], line: int, held: _Entries, documents: int, words: int, name: str) -> UserError:
    """The error that tells which line of a batch is the first that is no entry, and why."""
    before = int(held.documents[-1]) + 1 if len(held.documents) else 1
    for line_number, text in enumerate(lines, line):
        if fields := text.decode("utf-8", "replace").split():
            if why := _line_fault(fields, before, documents, words):
                return UserError(f"{name}, line {line_number}: {why}")
            before = int(parse_number(fields[0]) or 0)
    return UserError(f"{name} is not a docword file near line {line}")


def _line_fault(fields: list[str], before: int, documents: int, words: int) -> str | None:
    numbers = [parse_number(field) for field in fields]
    if len(fields) != 3 or not all(isinstance(number, int) for number in numbers[:2]) or numbers[2] is None:
        return f"{shorten(' '.join(fields))} is not `document word count`, two whole numbers from 1 and a finite number"
    document, word = int(numbers[0] or 0), int(numbers[1] or 0)
    if not 1 <= document <= documents:
        return f"document {document} is beyond the {documents} that the first line states: documents count from 1"
    if not 1 <= word <= words:
        return f"word {word} is beyond the {words} that the second line states: words count from 1"
    if document < before:
        return f"document {document} after document {before}: put the lines in the order of their documents"
    return None


def _begins(head: bytes) -> bool:
    lines = head.split(b"\n", len(_HEADER))
    return len(lines) > len(_HEADER) and all(map(_NUMBER.fullmatch, lines[: len(_HEADER)]))


def _examples() -> Examples:
    values = (
        pack_rows([Row(1, [0, 2], [1, 2.5], 3), Row(2, [], [], 3), Row(3, [1, 1], [4, 5], 3)]),
        pack_rows([Row(1, [], [], LARGEST_MODE)]),
    )
    broken = (
        *(b"", b"1\n2\n", b"1\nx\n0\n", b"1\n2\n-1\n", b"1\n2\n1\n", b"1\n2\n1\n1 1\n", b"1\n2\n1\n1 1 x\n"),
        *(b"1\n2\n1\n1 3 1\n", b"1\n2\n1\n0 1 1\n", b"2\n2\n2\n2 1 1\n1 1 1\n", b"1\n2\n1\n1 1 1\n1 2 1\n"),
        b"1\n2\n1\n\xff 1 1\n",
    )
    return Examples(values, broken)


FORMAT = Format(
    name="docword",
    suffixes=(".docword", ".docword.txt", ".docword.gz", ".docword.txt.gz"),
    content_types=("text/x-docword",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    read_rows=read_rows,
    unit="document",
    names=_NAMES_OF_UCI,
    begins=_begins,
)
