"""text/csv: a table with one row per line. As a file, a sparse tensor: one column per index and one of values.

The values are in the column that a header calls `value`, or else in the last. There is a header where the first line
has no number in that column. An index column holds numbers that count from 0, or labels where a cell is no number.
As rows of counts, one column per count and no header.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._cells import BLANKS, index_fault, is_unbounded, parse_number, value_fault
from polyadic.formats._columns import parse_columns
from polyadic.formats._coordinates import Coordinates, Gatherer, Labelled, check_order, narrow
from polyadic.formats._csv_rows import read_rows
from polyadic.formats._csv_text import CsvLine, csv_lines, refuse_other_marks, split_csv_line
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._gzip import opened
from polyadic.formats._lines import Lines
from polyadic.formats._whole_lines import whole_blocks

_QUOTED = re.compile(rb'(?m)(?:^|(?<=,))"(?:[^"\n]|"")*+"(?=,|\r?$)')
_BEFORE, _AFTER = np.frombuffer(b',\n"', np.uint8), np.frombuffer(b',\r\n"', np.uint8)
_OPEN = re.compile(rb'(?m)(?:^|,)"')
MOST_CELL_BYTES = 2**17
"""What csv takes as a cell, unless a program tells it otherwise: a line feed within quotes is not further away."""
_DENSE = "A line is the indices of an entry, then its value: save a dense array with numpy.save, as .npy"
_ROW_OF_NUMBERS = re.compile(rb"[\d.eE+-]+(,[\d.eE+-]*)+")


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
    return [[_parse_cell(cell) for cell in row] for _, row in rows]


def read_table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table below its header, each with its line; a cell is a number, a text, or None where it is empty.

    A cell may have line feeds within quotes. Raises UserError, with the line, for what is no CSV.
    """
    with opened(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            header = next((row for row in reader if row), [])
            refuse_other_marks(path.name, CsvLine(reader.line_num, 0, 0, header))
            names = [name.strip() for name in header]
            if len(set(names)) < len(names) or "" in names:
                raise UserError(f"{path.name}, line 1: {shorten(header)} must name each column, each by another name")
            for row in reader:
                if row and len(row) != len(names):
                    raise UserError(
                        f"{path.name}, line {reader.line_num}: {len(row)} cells where the header has {len(names)}"
                    )
                if row:
                    cells = (None if not cell.strip() else _parse_cell(cell) for cell in row)
                    yield f"line {reader.line_num}", dict(zip(names, cells, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(
                f"{path.name}, line {reader.line_num + 1}: broken CSV: {error}. A table is UTF-8 with commas"
            ) from None


def pieces(body: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """A large body in bodies of whole lines, none of which ends within quotes.

    Quotes that are no cell's, of which there may be an odd number, keep lines together for a while only.
    """
    piece, quotes = bytearray(), 0
    for block in whole_blocks(body, "the body", most_bytes):
        piece += block
        quotes += block.count(b'"')
        if quotes % 2 == 0 or len(piece) > 2 * most_bytes + MOST_CELL_BYTES:
            yield bytes(piece)
            piece, quotes = bytearray(), 0
    if piece:
        yield bytes(piece)


def _parse_cell(text: str) -> int | float | str:
    number = parse_number(text)
    return text if number is None else number


def encode(rows: Sequence[Sequence[Any]]) -> bytes:
    """One line per row. None, and a number that is not finite, is an empty cell."""
    return "".join((",".join(map(_write_cell, row)) or '""') + "\n" for row in rows).encode()


def _write_cell(cell: Any) -> str:
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
    layout = _read_layout(text)
    while True:
        gatherer = Gatherer(len(layout.modes), labelled)
        more = _gather(gatherer, text, layout, part, parts, labelled)
        if not more:
            return gatherer.join()
        labelled |= more


def heading(path: Path) -> list[str] | None:
    """The names of the columns of a file's records, that of the values last; None where the first line is a record."""
    text = Lines(path)
    layout = _read_layout(text)
    first = next(csv_lines(text))
    if layout.begin == first.begin:
        return None
    return [first.cells[column].strip() for column in (*layout.modes, layout.value)]


def _read_layout(text: Lines) -> _Layout:
    """The layout that the first line gives, which is a header or a record."""
    rows = csv_lines(text)
    first = next(rows, None)
    if first is not None:
        refuse_other_marks(text.name, first)
        check_order(len(first.cells) - 1, f"{text.name}, line {first.number},")
        names = [cell.strip().lower() for cell in first.cells]
        value = names.index("value") if "value" in names else len(names) - 1
        if parse_number(first.cells[value]) is not None or is_unbounded(first.cells[value]):
            return _Layout(first.begin, len(names), value)
        if "" in names:
            raise UserError(
                f"{text.name}, line {first.number}: column {names.index('') + 1} has no name, as pandas writes its "
                "index. Write the table with to_csv(file, index=False), or name the column where it is a mode"
            )
        if next(rows, None) is not None:
            return _Layout(first.end, len(names), value)
    raise UserError(f"{text.name} holds no records: a line is 1 or more indices and a value, with commas between")


def _gather(
    gatherer: Gatherer, text: Lines, layout: _Layout, part: int, parts: int, labelled: frozenset[int]
) -> frozenset[int]:
    """Gathers records until modes turn out to hold labels that are not in `labelled`; returns those modes."""
    for offset, block in text.blocks(layout.begin, part, parts):
        records = _parse_records(block, layout, labelled)
        if isinstance(records, frozenset):
            return records
        if records is None:
            raise text.refusal(offset, block, "a table of records", lambda line: _line_fault(line, layout, labelled))
        gatherer.add(*records)
    return frozenset()


def _parse_records(
    block: bytes, layout: _Layout, labelled: frozenset[int]
) -> tuple[list[NDArray[np.int32] | Labelled], NDArray[Any]] | frozenset[int] | None:
    """One column per mode, and the values; or modes that prove to hold labels; None where something is wrong."""
    columns = _parse_block(block, layout, labelled)
    if columns is None:
        return None
    values = columns.pop(layout.value).to_numpy()
    numbers = [None if mode in labelled else _numbers(column) for mode, column in enumerate(columns)]
    if more := frozenset(mode for mode, column in enumerate(numbers) if column is None) - labelled:
        return more
    pairs = zip(columns, numbers, strict=True)
    indices = [_labels(column) if given is None else narrow(given) for column, given in pairs]
    whole = [index for index in indices if index is not None]
    return (whole, values) if len(whole) == len(columns) and np.isfinite(values).all() else None


def _parse_block(block: bytes, layout: _Layout, labelled: frozenset[int]) -> list[Any] | None:
    """Arrow's columns of a block: the values as numbers, indices as numbers or, where that cannot be, as text."""
    for kind in ("int64", "string"):
        if kind == "int64" and (b"0x" in block or b"0X" in block):
            continue
        kinds = ["words" if mode in labelled else kind for mode in range(len(layout.modes))]
        kinds.insert(layout.value, "float64")
        columns = parse_columns(block, kinds, ",", quote=True)
        if columns is not None:
            return None if _misleads(block, len(columns[0])) else columns
    return None


def _misleads(block: bytes, records: int) -> bool:
    """Whether Arrow took what is no CSV: text after a quote, quoted line breaks, lines that end in a bare return."""
    if b'"' in block and not _well_quoted(block) and _OPEN.search(_QUOTED.sub(b"", block)):
        return True
    return b"\r" in block and records != sum(1 for line in block.split(b"\n") if line.rstrip(b"\r"))


def _well_quoted(block: bytes) -> bool:
    """Whether all quotes are as a careful writer makes them: round a whole cell of a line, or doubled in a cell."""
    text = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    quotes, ends = np.flatnonzero(text == ord('"')), np.flatnonzero(text == ord("\n"))
    opening, closing = quotes[::2], quotes[1::2]
    return (
        len(opening) == len(closing)
        and bool(np.isin(text[opening - 1], _BEFORE).all() and np.isin(text[closing + 1], _AFTER).all())
        and np.array_equal(np.searchsorted(ends, opening), np.searchsorted(ends, closing))
    )


def _numbers(column: Any) -> NDArray[Any] | None:
    """The numbers of a column; None where a cell is no number. float64 holds every index exactly."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_string(column.type):
        try:
            column = compute.cast(compute.ascii_trim(column, BLANKS), pa.float64())
        except pa.ArrowInvalid:
            return None
    array: NDArray[Any] = column.to_numpy()
    return array


def _labels(column: Any) -> Labelled | None:
    words = column.dictionary.to_pylist()
    return None if "" in words else Labelled(words, column.indices.to_numpy())


def _line_fault(line: bytes, layout: _Layout, labelled: frozenset[int]) -> str | None:
    """Why a line is no record; None for one that is, and for one that is empty."""
    if not line:
        return None
    cells = split_csv_line(line)
    if not cells[0] and all(parse_number(cell) is not None for cell in cells[1:]):
        return f"column 1 is empty, as pandas writes it above its index: use to_csv(file, index=False). {_DENSE}"
    if len(cells) != layout.columns:
        return f"{len(cells)} cells where the first line has {layout.columns}: complete the line, or take it out"
    for mode, column in enumerate(layout.modes):
        if mode in labelled and not cells[column]:
            return f"the label in column {column + 1} is empty: give it a name, or take the line out"
        # A cell that is no number makes the mode one of labels, and is no fault.
        is_number = parse_number(cells[column]) is not None or is_unbounded(cells[column]) or not cells[column]
        if mode not in labelled and is_number and (fault := index_fault(cells[column], 0)):
            return f"{fault}. {_DENSE}" if isinstance(parse_number(cells[column]), float) else fault
    return value_fault(cells[layout.value])


def _begins(head: bytes) -> bool:
    return _ROW_OF_NUMBERS.fullmatch(head.split(b"\n", 1)[0].rstrip(b"\r")) is not None


def _examples() -> Examples:
    broken = (b"1,2\n1\n", b'"a,1\n', b'"a"b,1\n', b"\xff,1\n", b"1,2\n" + b"x" * 200_000)
    return Examples(([], [[1, 2.5, "a"], [-3, 1e300, 'b "c", d']], [[""], ["two\nlines"]]), broken)


FORMAT = Format(
    name="csv",
    suffixes=(".csv", ".csv.gz"),
    content_types=("text/csv",),
    form=Form.TABLE,
    decode=decode,
    encode=encode,
    pieces=pieces,
    examples=_examples,
    ends_lines=True,
    read_coordinates=read_coordinates,
    heading=heading,
    read_table=read_table,
    read_rows=read_rows,
    unit="line",
    begins=_begins,
)
