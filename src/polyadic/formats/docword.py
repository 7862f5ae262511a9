"""text/x-docword: rows of counts as UCI's bags of words have them, `document word count` a line, from 1.

Before these are three lines: the number of documents, of words, and of lines that follow.
https://archive.ics.uci.edu/dataset/164/bag+of+words
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats import _rows, _table
from polyadic.formats._cells import number
from polyadic.formats._coordinates import LARGEST_MODE
from polyadic.formats._rows import Dealer, Rows, join
from polyadic.formats.ldac import plain

SUFFIXES: tuple[str, ...] = (".docword", ".docword.txt", ".docword.gz", ".docword.txt.gz")
CONTENT_TYPES: tuple[str, ...] = ("text/x-docword",)
UNIT = "document"
PREFIX = "docword."
"""What the names of UCI's own files begin with: docword.nips.txt.gz."""

_HEADER = ("the number of documents", "the number of words", "the number of lines that follow")


class _Entries(NamedTuple):
    """Lines of a batch: documents and words from 0, and counts."""

    documents: NDArray[np.int64]
    words: NDArray[np.int64]
    counts: NDArray[np.float64]

    def part(self, chosen: slice) -> _Entries:
        """Some of them."""
        return _Entries(self.documents[chosen], self.words[chosen], self.counts[chosen])

    def and_then(self, other: _Entries) -> _Entries:
        """These and others."""
        return _Entries(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


_NO_ENTRIES = _Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def decode(data: bytes) -> Rows:
    """The rows of a text; UserError with the line for one that is none."""
    return join(read_rows(io.BytesIO(data), "the body", Dealer()))


def encode(value: Rows) -> bytes:
    """A line an entry. All rows have the first one's width."""
    width = int(value.widths[0]) if len(value) else 0
    lines = [
        f"{row} {column + 1} {plain(count)}\n"
        for row, (columns, values, _) in enumerate(value.each(), 1)
        for column, count in zip(columns.tolist(), values.tolist(), strict=True)
    ]
    return f"{len(value)}\n{width}\n{len(lines)}\n{''.join(lines)}".encode()


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, a batch at a time; UserError with the file and the line."""
    documents, words, entries = (_stated(file.readline(), name, line) for line, _ in enumerate(_HEADER, 1))
    line, done, seen, held = len(_HEADER) + 1, 0, 0, _NO_ENTRIES
    while lines := file.readlines(_rows.AT_ONCE):
        found = _entries(lines)
        if found is None or not _fits(found, held, documents, words):
            raise _fault(lines, line, held, documents, words, name)
        line, seen = line + len(lines), seen + len(found.counts)
        held = held.and_then(found)
        # The last document may go on in the next batch.
        whole = int(held.documents[-1]) if len(held.documents) else done
        first = int(np.searchsorted(held.documents, whole))
        yield _rows_of(held.part(slice(first)), done, whole, words).take(dealer.mine(whole - done))
        held, done = held.part(slice(first, None)), whole
    if seen != entries:
        raise UserError(f"{name} ends after {seen} counts where its third line states {entries}: copy it whole")
    yield _rows_of(held, done, documents, words).take(dealer.mine(documents - done))


def _stated(line: bytes, name: str, number_: int) -> int:
    found = number(line.decode("utf-8", "replace").strip())
    if not isinstance(found, int) or not 0 <= found <= LARGEST_MODE:
        what = f"{shorten(line.decode('utf-8', 'replace').strip())} is not {_HEADER[number_ - 1]}"
        raise UserError(f"{name}, line {number_}: {what}: a docword file begins with these three, a line each")
    return found


def _rows_of(held: _Entries, first: int, last: int, width: int) -> Rows:
    """The rows of documents [first, last), those without an entry among them."""
    numbers = np.arange(first, last + 1, dtype=np.int64)
    offsets = np.searchsorted(held.documents, numbers).astype(np.int64)
    return Rows(offsets, held.words, held.counts, np.full(last - first, width, np.int64), numbers[1:])


def _entries(lines: list[bytes]) -> _Entries | None:
    """The entries of some lines; None where one is none."""
    block = b"".join(lines).replace(b"\r\n", b"\n")
    if block.isspace():
        return _NO_ENTRIES
    columns = _columns(block) or _columns(b"\n".join(b" ".join(line.split()) for line in lines) + b"\n")
    if columns is None:
        return None
    documents, words, counts = (column.to_numpy() for column in columns)
    return _Entries(documents - 1, words - 1, counts)


def _columns(block: bytes) -> list[Any] | None:
    # Arrow alone would take hexadecimal numbers, and lines that end without a line feed.
    misleading = b"x" in block or b"X" in block or b"\r" in block
    return None if misleading else _table.parse(block, ["int64", "int64", "float64"], " ", quote=False)


def _fits(found: _Entries, held: _Entries, documents: int, words: int) -> bool:
    """Whether all entries are of documents and words that there are, in the order of the documents."""
    order = np.append(held.documents[-1:], found.documents)
    within = (found.documents >= 0) & (found.documents < documents) & (found.words >= 0) & (found.words < words)
    return bool(within.all() and (np.diff(order) >= 0).all())


def _fault(lines: list[bytes], line: int, held: _Entries, documents: int, words: int, name: str) -> UserError:
    """The first of some lines that is no entry, and why."""
    before = int(held.documents[-1]) + 1 if len(held.documents) else 1
    for number_, text in enumerate(lines, line):
        if fields := text.decode("utf-8", "replace").split():
            if why := _line_fault(fields, before, documents, words):
                return UserError(f"{name}, line {number_}: {why}")
            before = int(number(fields[0]) or 0)
    return UserError(f"{name} is not a docword file near line {line}")


def _line_fault(fields: list[str], before: int, documents: int, words: int) -> str | None:
    numbers = [number(field) for field in fields]
    if len(fields) != 3 or not all(isinstance(one, int) for one in numbers[:2]) or numbers[2] is None:
        return f"{shorten(' '.join(fields))} is not `document word count`, two whole numbers from 1 and a finite number"
    document, word = int(numbers[0] or 0), int(numbers[1] or 0)
    if not 1 <= document <= documents:
        return f"document {document} is beyond the {documents} that the first line states: documents count from 1"
    if not 1 <= word <= words:
        return f"word {word} is beyond the {words} that the second line states: words count from 1"
    if document < before:
        return f"document {document} after document {before}: put the lines in the order of their documents"
    return None
