"""text/csv as rows of counts: one row per line, one column per count, no header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import orjson

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import is_unbounded, parse_number
from polyadic.formats._csv_text import split_csv_line
from polyadic.formats._gzip import BYTE_ORDER_MARK
from polyadic.formats._rows import Dealer, Row, Rows, rows_of_lines

_PLAIN = b"0123456789.,eE+- \t\r\n"


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, one batch at a time; UserError with the file and the line."""
    return rows_of_lines(file, name, dealer, _parse_row)


def _parse_row(line: bytes) -> Row:
    line = line.removeprefix(BYTE_ORDER_MARK)
    if not line.translate(None, _PLAIN):
        try:
            # Most lines look like a list in JSON, and no parser of CSV is as fast.
            return Row(0, None, orjson.loads(b"[%b]" % line))
        except orjson.JSONDecodeError:
            pass
    return Row(0, None, [_parse_count(cell) for cell in split_csv_line(line)])


def _parse_count(cell: str) -> float:
    number = parse_number(cell)
    if number is not None:
        return float(number)
    if is_unbounded(cell):
        return float(cell)
    raise UserError(
        f"the cell {shorten(cell)} is not a count: give one number per term, and no line of headings and no column of "
        "names (pandas: to_csv(file, index=False, header=False))"
    )
