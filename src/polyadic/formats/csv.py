"""text/csv: a table, a row a line. As a file, a sparse tensor: a column an index and one a value.

The value is in the column that a header calls `value`, or else in the last. There is a header where the first line has
no number in that column. An index column is of numbers, counted from 0, or of labels where any of its cells is none.
As rows of counts, a count a column and no header.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats import _table
from polyadic.formats._cells import BLANKS, index_fault, number, unbounded, value_fault
from polyadic.formats._coordinates import Coordinates, Gatherer, Labelled, check_order, narrow
from polyadic.formats._csv_rows import read_rows as read_rows
from polyadic.formats._lines import Lines

SUFFIXES: tuple[str, ...] = (".csv", ".csv.gz")
CONTENT_TYPES: tuple[str, ...] = ("text/csv",)
UNIT = "line"

_QUOTED = re.compile(rb'(?m)(?:^|(?<=,))"(?:[^"\n]|"")*+"(?=,|\r?$)')
_BEFORE, _AFTER = np.frombuffer(b',\n"', np.uint8), np.frombuffer(b',\r\n"', np.uint8)
_OPEN = re.compile(rb'(?m)(?:^|,)"')
_MARK = b"\xef\xbb\xbf"
"""What some programs begin a text of UTF-8 with."""


def decode(data: bytes) -> list[list[Any]]:
    """The rows that are not blank; a cell is an int, a float, or else a str."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"broken CSV: {error}. Send UTF-8 with commas between the cells") from None
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise UserError(f"broken CSV at line {line}: {len(row)} cells where the first row has {len(rows[0][1])}")
    return [[_cell(cell) for cell in row] for _, row in rows]


def _cell(text: str) -> int | float | str:
    found = number(text)
    return text if found is None else found


def encode(rows: Sequence[Sequence[Any]]) -> bytes:
    """A line a row. None, and a number that is not finite, is an empty cell."""
    return "".join((",".join(map(_written, row)) or '""') + "\n" for row in rows).encode()


def _written(cell: Any) -> str:
    if cell is None or (isinstance(cell, (float, np.floating)) and not math.isfinite(cell)):
        return ""
    text = str(cell)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


@dataclass(frozen=True)
class _Layout:
    """Where a file's records begin, how many columns they have, and which of them is the value."""

    begin: int
    columns: int
    value: int

    @property
    def modes(self) -> list[int]:
        """The columns of indices, in their order."""
        return [column for column in range(self.columns) if column != self.value]


def read_coordinates(path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """The `part`-th of `parts` of a file's records; UserError that names the line.

    The modes in `labelled` are read as labels even where this part has nothing but numbers in them.
    """
    text = Lines(path)
    layout = _layout(text)
    while True:
        gatherer = Gatherer(len(layout.modes), labelled)
        more = _gather(gatherer, text, layout, part, parts, labelled)
        if not more:
            return gatherer.join()
        labelled |= more


def _layout(text: Lines) -> _Layout:
    begin, first = 0, None
    for line_number, after, line in text:
        row = line.removeprefix(_MARK if line_number == 1 else b"").rstrip(b"\r\n")
        if first is None and row:
            cells = _split(row, text.name, line_number)
            check_order(len(cells) - 1, f"{text.name}, line {line_number},")
            names = [cell.strip().lower() for cell in cells]
            value = names.index("value") if "value" in names else len(cells) - 1
            first = _Layout(len(_MARK) if line.startswith(_MARK) and line_number == 1 else begin, len(cells), value)
            if number(cells[value]) is not None or unbounded(cells[value]):
                return first
            begin = after
        elif row and first is not None:
            return _Layout(begin, first.columns, first.value)
    raise UserError(f"{text.name} holds no records: a line is 2 or more indices and a value, with commas between")


def _split(row: bytes, name: str, line_number: int) -> list[str]:
    try:
        return next(csv.reader([row.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name}, line {line_number}: {error}. A record is a line of UTF-8 with commas") from None


def _gather(
    gatherer: Gatherer, text: Lines, layout: _Layout, part: int, parts: int, labelled: frozenset[int]
) -> frozenset[int]:
    """Gathers records until modes turn out to hold labels that are not in `labelled`; those."""
    for offset, block in text.blocks(layout.begin, part, parts):
        records = _records(block, layout, labelled)
        if isinstance(records, frozenset):
            return records
        if records is None:
            raise _fault(text, offset, block, layout, labelled)
        gatherer.add(*records)
    return frozenset()


def _records(
    block: bytes, layout: _Layout, labelled: frozenset[int]
) -> tuple[list[NDArray[np.int32] | Labelled], NDArray[Any]] | frozenset[int] | None:
    """A column a mode, and the values; or modes that prove to hold labels; None where something is wrong."""
    columns = _columns(block, layout, labelled)
    if columns is None:
        return None
    values = columns.pop(layout.value).to_numpy()
    numbers = [None if mode in labelled else _numbers(column) for mode, column in enumerate(columns)]
    if more := frozenset(mode for mode, found in enumerate(numbers) if found is None) - labelled:
        return more
    pairs = zip(columns, numbers, strict=True)
    found = [_labelled(column) if given is None else narrow(given) for column, given in pairs]
    whole = [one for one in found if one is not None]
    return (whole, values) if len(whole) == len(columns) and np.isfinite(values).all() else None


def _columns(block: bytes, layout: _Layout, labelled: frozenset[int]) -> list[Any] | None:
    """Arrow's columns of a block: the values as numbers, indices as numbers or, where that cannot be, as text."""
    for kind in ("int64", "string"):
        if kind == "int64" and (b"0x" in block or b"0X" in block):
            continue
        kinds = ["words" if mode in labelled else kind for mode in range(len(layout.modes))]
        kinds.insert(layout.value, "float64")
        columns = _table.parse(block, kinds, ",", quote=True)
        if columns is not None:
            return None if _misleads(block, len(columns[0])) else columns
    return None


def _misleads(block: bytes, records: int) -> bool:
    """Whether Arrow alone takes it: text after a quote, quoted line breaks, lines that end without a line feed."""
    if b'"' in block and not _well_quoted(block) and _OPEN.search(_QUOTED.sub(b"", block)):
        return True
    return b"\r" in block and records != sum(1 for line in block.split(b"\n") if line.rstrip(b"\r"))


def _well_quoted(block: bytes) -> bool:
    """Whether all quotes are such as a careful writer makes: round a whole cell, within a line, or doubled in one."""
    text = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    quotes, ends = np.flatnonzero(text == ord('"')), np.flatnonzero(text == ord("\n"))
    opening, closing = quotes[::2], quotes[1::2]
    return (
        len(opening) == len(closing)
        and bool(np.isin(text[opening - 1], _BEFORE).all() and np.isin(text[closing + 1], _AFTER).all())
        and np.array_equal(np.searchsorted(ends, opening), np.searchsorted(ends, closing))
    )


def _numbers(column: Any) -> NDArray[Any] | None:
    """The numbers of a column; None where its text spells none. float64 holds every index exactly."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_string(column.type):
        try:
            column = compute.cast(compute.ascii_trim(column, BLANKS), pa.float64())
        except pa.ArrowInvalid:
            return None
    array: NDArray[Any] = column.to_numpy()
    return array


def _labelled(column: Any) -> Labelled | None:
    words = column.dictionary.to_pylist()
    return None if "" in words else Labelled(words, column.indices.to_numpy())


def _fault(text: Lines, offset: int, block: bytes, layout: _Layout, labelled: frozenset[int]) -> UserError:
    """The first line of a block that is no record, and why."""
    for line_number, line in enumerate(block.split(b"\n"), text.number(offset)):
        row = line.rstrip(b"\r")
        if row and (why := _line_fault(_split(row, text.name, line_number), layout, labelled)):
            return UserError(f"{text.name}, line {line_number}: {why}")
    return UserError(f"{text.name} is not a table of records near line {text.number(offset)}")


def _line_fault(cells: list[str], layout: _Layout, labelled: frozenset[int]) -> str | None:
    if len(cells) != layout.columns:
        return f"{len(cells)} cells where the first line has {layout.columns}: complete the line, or take it out"
    for mode, column in enumerate(layout.modes):
        if mode in labelled and not cells[column]:
            return f"the label in column {column + 1} is empty: give it a name, or take the line out"
        if mode not in labelled and (fault := index_fault(cells[column], 0)):
            return fault
    return value_fault(cells[layout.value])
