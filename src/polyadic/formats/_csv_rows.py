"""text/csv as rows of counts: a row a line, a count a column, no header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO

import orjson

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import number, unbounded
from polyadic.formats._rows import Dealer, Row, Rows, rows_of_lines

_MARK = b"\xef\xbb\xbf"
_PLAIN = b"0123456789.,eE+- \t\r\n"


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, a batch at a time; UserError with the file and the line."""
    return rows_of_lines(file, name, dealer, _row)


def _row(line: bytes) -> Row:
    line = line.removeprefix(_MARK)
    if not line.translate(None, _PLAIN):
        try:
            # Most lines are such as a list in JSON, and no parser of CSV is as fast.
            return Row(0, None, orjson.loads(b"[%b]" % line))
        except orjson.JSONDecodeError:
            pass
    return Row(0, None, [_count(cell) for cell in _cells(line)])


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.rstrip(b"\r\n").decode()], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{error}. A row is a line of UTF-8 with commas") from None


def _count(cell: str) -> float:
    if (found := number(cell)) is not None:
        return float(found)
    if unbounded(cell):
        return float(cell)
    raise UserError(f"the cell {shorten(cell)} is not a count: give a number a term, and no line of headings")
