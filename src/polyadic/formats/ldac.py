"""text/x-ldac: rows of counts as lda-c reads them, `n term:count term:count ...` a line, with n terms from 0.

https://github.com/blei-lab/lda-c
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

import orjson

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import number
from polyadic.formats._rows import LARGEST_COLUMN, Dealer, Row, Rows, join, rows_of_lines

SUFFIXES: tuple[str, ...] = (".dat", ".ldac", ".dat.gz", ".ldac.gz")
CONTENT_TYPES: tuple[str, ...] = ("text/x-ldac",)
UNIT = "line"

_DIGITS = b"0123456789.eE+-"
_APART = bytes.maketrans(b" :", b",,")


def decode(data: bytes) -> Rows:
    """The rows of a text; UserError with the line for one that is none."""
    return join(read_rows(io.BytesIO(data), "the body", Dealer()))


def encode(value: Rows) -> bytes:
    """A line a row; widths are not kept."""
    return b"".join(
        f"{len(columns)}{''.join(f' {j}:{plain(count)}' for j, count in zip(columns, values, strict=True))}\n".encode()
        for columns, values, _ in value.each()
    )


def plain(count: float) -> str:
    """A count without a point where it is whole."""
    return str(int(count)) if float(count).is_integer() else repr(float(count))


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, a batch at a time; UserError with the file and the line."""
    return rows_of_lines(file, name, dealer, _row)


def _row(line: bytes) -> Row:
    line = b" ".join(line.split())
    if line.translate(None, _DIGITS) == b" :" * line.count(b":"):
        try:
            # Most lines are such as a list in JSON, which is parsed fast.
            stated, *numbers = orjson.loads(b"[%b]" % line.translate(_APART))
            if stated * 2 == len(numbers) and all(type(column) is int for column in numbers[::2]):
                return Row(0, [min(column, LARGEST_COLUMN) for column in numbers[::2]], numbers[1::2])
        except orjson.JSONDecodeError:
            pass
    return _slow_row([field.decode("utf-8", "replace") for field in line.split()])


def _slow_row(fields: list[str]) -> Row:
    """The row of a line that is not as usual; UserError that says why it is none."""
    stated, *pairs = fields
    if number(stated) != len(pairs):
        raise UserError(
            f"it states {shorten(stated)} terms and has {len(pairs)} after it: a line is the number of its terms, and "
            "for each `term:count`"
        )
    found = [(number(term), number(count)) for term, _, count in (pair.partition(":") for pair in pairs)]
    for (term, count), pair in zip(found, pairs, strict=True):
        if term is None or term != int(term) or count is None:
            raise UserError(f"{shorten(pair)} is not `term:count`, a whole number from 0 and a finite number")
    return Row(0, [min(int(term or 0), LARGEST_COLUMN) for term, _ in found], [float(count or 0) for _, count in found])
