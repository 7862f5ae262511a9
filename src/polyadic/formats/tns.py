"""text/x-tns: a sparse tensor in FROSTT's text format, one record per line: its indices, from 1, then its value.

Any whitespace separates the fields, and a # starts a comment. The order is that of the first record. A shape is not
stated: it is what the indices need. http://frostt.io/tensors/file-formats.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import index_fault, value_fault
from polyadic.formats._columns import parse_columns
from polyadic.formats._coordinates import Coordinates, Gatherer, narrow
from polyadic.formats._format import Examples, Format
from polyadic.formats._lines import Lines

_SPACES = bytes.maketrans(b"\t\v\f", b"   ")
_COMMENT = re.compile(rb"#[^\n]*")
_BEGINNING = re.compile(rb"(?:\s*#[^\n]*\n|\s*\n)*[ \t]*[0-9]+(?:[ \t]+[-+.0-9eE]+)+[ \t\r]*(?:\n|$)")
"""Comments and blank lines, then whole numbers and a number."""


def decode(data: bytes) -> Coordinates:
    """The records of a text."""
    return _read(Lines(data), 0, 1)


def encode(value: Coordinates) -> bytes:
    """One line per record. Rows without a record, and labels, are not kept."""
    columns = [(index.astype(np.int64) + 1).tolist() for index in value.indices]
    rows = zip(*columns, value.values.tolist(), strict=True)
    return "".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()


def read_coordinates(path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """The `part`-th of `parts` of a file's records; UserError that names the line. A text has no labels."""
    return _read(Lines(path), part, parts)


def _read(text: Lines, part: int, parts: int) -> Coordinates:
    order = _order(text)
    gatherer = Gatherer(order)
    for offset, block in text.blocks(0, part, parts):
        records = _parse_records(block, order)
        if records is None:
            raise text.refusal(offset, block, "a text of records", lambda line: _line_fault(line, order))
        gatherer.add(*records)
    return gatherer.join()


def _order(text: Lines) -> int:
    for number, _, line in text:
        if fields := _fields(line):
            if len(fields) == 1:
                _refuse_beginning(line, f"{text.name}, line {number},")
            return len(fields) - 1
    raise UserError(f"{text.name} holds no records: a line is 1 or more indices, counted from 1, and a value")


def _refuse_beginning(line: bytes, place: str) -> None:
    """UserError where a first line of one field is that of another format: with commas, or a header."""
    text = line.decode("utf-8", "replace").strip()
    if "," in text or ";" in text:
        raise UserError(
            f"{place} is {shorten(text)}: spaces separate the fields of a .tns file. Write them for the commas, or "
            "name the modes in a first line and the file .csv"
        )
    raise UserError(
        f"{place} has no index in a record: a record is 1 or more indices, and a value after them. It is "
        f"{shorten(text)}: if it begins a header, take out all lines before the first record"
    )


def _fields(line: bytes) -> list[bytes]:
    text = line.partition(b"#")[0].removesuffix(b"\n").removesuffix(b"\r").translate(_SPACES)
    return [field for field in text.split(b" ") if field]


def _parse_records(block: bytes, order: int) -> tuple[list[NDArray[np.int32]], NDArray[Any]] | None:
    """The indices from 0, one column per mode, and the values; None where something is wrong."""
    columns = _parse_block(block, order)
    if columns is None:
        return None
    *places, values = (column.to_numpy() for column in columns)
    indices = [index for index in (narrow(place - 1) for place in places) if index is not None]
    return (indices, values) if len(indices) == order and np.isfinite(values).all() else None


def _parse_block(block: bytes, order: int) -> list[Any] | None:
    """Arrow's columns of a block: as it is, or else tidied, or else with indices such as 3.0."""
    whole, floats = ["int64"] * order + ["float64"], ["float64"] * (order + 1)
    block = block.replace(b"\r\n", b"\n")
    columns = _parse_columns(block, whole)
    if columns is None:
        block = _tidy(block)
        columns = _parse_columns(block, whole) or _parse_columns(block, floats)
    return columns


def _parse_columns(block: bytes, kinds: list[str]) -> list[Any] | None:
    # Arrow alone would take hexadecimal numbers, and lines that end without a line feed.
    misleading = b"x" in block or b"X" in block or b"\r" in block
    return None if misleading else parse_columns(block, kinds, " ", quote=False)


def _tidy(block: bytes) -> bytes:
    """The block without comments, with one space between fields and none at either end of a line."""
    if b"#" in block:
        block = _COMMENT.sub(b"", block)
    text = np.frombuffer(block.translate(_SPACES) + b"\n", np.uint8)
    space = text == ord(" ")
    after = np.append(True, (space | (text == ord("\n")))[:-1])
    tidied: bytes = text[~(space & after)].tobytes()
    return tidied.replace(b" \n", b"\n")


def _line_fault(line: bytes, order: int) -> str | None:
    """Why a line is no record; None for one that is, and for one without fields."""
    fields = [field.decode("utf-8", "replace") for field in _fields(line)]
    if not fields:
        return None
    if len(fields) != order + 1:
        return (
            f"{len(fields)} fields where the first record has {order + 1} ({order} indices and a value): "
            "complete the line, or take it out; where the first lines are a header, take those out"
        )
    faults = [index_fault(field, 1) for field in fields[:-1]]
    return next((fault for fault in faults if fault), None) or value_fault(fields[-1])


def _examples() -> Examples:
    indices = np.array([[0, 4, 4], [7, 2, 2], [1, 0, 2**31 - 2]], np.int32)
    values = (
        Coordinates(indices, np.array([1.5, -2, 1e-300]), None, (None,) * 3),
        Coordinates(indices[:1], np.array([1.0, 2, 3]), None, (None,)),
    )
    broken = (b"", b"\n# nothing\n", b"5\n", b"1 2 x\n", b"0 1 1\n", b"1 1 nan\n", b"1 1 1 1\n1 1 1\n", b"\xff 1 1")
    return Examples(values, broken)


FORMAT = Format(
    name="tns",
    suffixes=(".tns", ".tns.gz"),
    content_types=("text/x-tns",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    read_coordinates=read_coordinates,
    begins=lambda head: _BEGINNING.match(head) is not None,
)
