"""text/x-ldac: rows of counts as lda-c reads them, one line `n term:count term:count ...` per row.

There are n terms in the line; terms count from 0. https://github.com/blei-lab/lda-c
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO

import orjson

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import parse_number
from polyadic.formats._format import Examples, Format
from polyadic.formats._rows import LARGEST_COLUMN, Dealer, Row, Rows, join_rows, pack_rows, rows_of_lines, write_count

_DIGITS = b"0123456789.eE+-"
_COMMAS = bytes.maketrans(b" :", b",,")
_BEGINNING = re.compile(rb"\d+( \d+:\S+)+")


def decode(data: bytes) -> Rows:
    """The rows of a text; UserError with the line that is no row."""
    return join_rows(read_rows(io.BytesIO(data), "the body", Dealer()))


def encode(value: Rows) -> bytes:
    """One line per row; widths are not kept."""
    return b"".join(
        b"%d%b\n" % (len(columns), b"".join(map(_write_entry, columns.tolist(), values.tolist())))
        for columns, values, _ in value.each()
    )


def _write_entry(term: int, count: float) -> bytes:
    return f" {term}:{write_count(count)}".encode()


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, one batch at a time; UserError with the file and the line."""
    return rows_of_lines(file, name, dealer, _parse_row)


def _parse_row(line: bytes) -> Row:
    line = b" ".join(line.split())
    if line.translate(None, _DIGITS) == b" :" * line.count(b":"):
        try:
            # Most lines become a list in JSON, which is parsed fast.
            stated, *numbers = orjson.loads(b"[%b]" % line.translate(_COMMAS))
            if stated * 2 == len(numbers) and all(type(column) is int for column in numbers[::2]):
                return Row(0, [min(column, LARGEST_COLUMN) for column in numbers[::2]], numbers[1::2])
        except orjson.JSONDecodeError:
            pass
    return _parse_unusual_row([field.decode("utf-8", "replace") for field in line.split()])


def _parse_unusual_row(fields: list[str]) -> Row:
    """The row of a line that is not written as usual; UserError that says why it is no row."""
    stated, *pairs = fields
    if parse_number(stated) != len(pairs):
        raise UserError(
            f"it states {shorten(stated)} terms and has {len(pairs)} after it: a line is the number of its terms, and "
            "for each `term:count`"
        )
    parts = (pair.partition(":") for pair in pairs)
    entries = [(parse_number(term), parse_number(count)) for term, _, count in parts]
    for (term, count), pair in zip(entries, pairs, strict=True):
        if term is None or term != int(term) or count is None:
            raise UserError(f"{shorten(pair)} is not `term:count`, a whole number from 0 and a finite number")
    columns = [min(int(term or 0), LARGEST_COLUMN) for term, _ in entries]
    return Row(0, columns, [float(count or 0) for _, count in entries])


def _examples() -> Examples:
    values = (
        pack_rows([]),
        pack_rows([Row(1, [0, 7, 3], [1, 2.5, 4e9]), Row(2, [], []), Row(3, [5, 5], [0, 1])]),
    )
    broken = (b"x\n", b"2 0:1\n", b"1 0\n", b"1 0:x\n", b"1 0.5:1\n", b"2 0 1:5:2\n", b"1 0:nan\n", b"\xff", b"1 :1")
    return Examples(values, broken)


FORMAT = Format(
    name="ldac",
    suffixes=(".dat", ".ldac", ".dat.gz", ".ldac.gz"),
    content_types=("text/x-ldac",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    read_rows=read_rows,
    unit="line",
    begins=lambda head: _BEGINNING.match(head) is not None,
)
