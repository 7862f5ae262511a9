"""Series in CSV. A long table has one row per item and time stamp; a wide one has one row per time stamp.

In a wide table each column is a series.

Shapes: R rows, V columns of values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.forecasting.calendar import FORM_OF_STAMPS, Frequency
from polyadic.forecasting.series import Series
from polyadic.formats import (
    Lines,
    csv,
    csv_lines,
    is_unbounded,
    parse_columns,
    parse_number,
    refuse_other_marks,
    split_csv_line,
)
from polyadic.readers.series.formats._series_format import SeriesFormat
from polyadic.readers.series.grid import Misfit, lay
from polyadic.readers.series.records import LARGEST_VALUE, NamedSeries
from polyadic.room import Watch

TIMES = ("timestamp", "date")
ALIASES = {"unique_id": "item_id", "ds": "timestamp", "y": "target"}
"""Names that Nixtla's libraries and Prophet have for the same columns."""
_TIMES_BYTES = tuple(name.encode() for name in (*TIMES, "ds"))
_FORMS = (
    "it must be item_id, timestamp, target (or unique_id, ds, y; and dynamic features), with one row per item and time "
    "stamp: rename the columns; or begin with timestamp or date, each of the other columns a series"
)
_YEAR_1 = int(np.datetime64("0001-01-01", "us").astype(np.int64))


def read(path: Path, frequency: Frequency) -> Iterator[NamedSeries]:
    """The series of a file: items in the order in which they first appear, or columns in their order.

    The value of a step without a row is missing.

    Raises UserError that names the file, and the line where there is one.
    """
    text = Lines(path)
    layout = _read_layout(text)
    rows = None if layout is None else _read_rows(text, layout)
    if layout is None or rows is None:
        return
    grid = lay(rows.codes, rows.stamps, frequency, bool(layout.features))
    if isinstance(grid, Misfit):
        place = "" if layout.item is None else f", item {shorten(rows.items[rows.codes[grid.row]])}"
        raise UserError(f"{text.name}, line {_line_number(text, layout, grid.row)}{place}: {grid.why}")
    values = np.full((len(rows.values), grid.ends[-1]), np.nan, np.float32)
    values[:, grid.place] = rows.values
    for code, (begin, end) in enumerate(pairwise([0, *grid.ends.tolist()])):
        first: datetime = grid.first[code].astype("datetime64[us]").item()
        minutes, columns = frequency.minutes(first, end - begin), values[:, begin:end]
        if layout.item is None:
            for column, target in zip(layout.values, columns, strict=True):
                yield NamedSeries(f"column {shorten(layout.names[column])}", Series(target, minutes))
        else:
            item, dynamic = rows.items[code], columns[1:] if layout.features else None
            yield NamedSeries(f"item {shorten(item)}", Series(columns[0], minutes, (), dynamic), item)


@dataclass(frozen=True)
class _Layout:
    """Where the rows begin, and which column is what.

    In a wide table `item` is None, and each column of `values` is a series. In a long table the first column of
    `values` is the target, and the others are dynamic features.
    """

    begin: int
    names: tuple[str, ...]
    item: int | None
    time: int
    values: tuple[int, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """The columns whose cells may not be empty."""
        return () if self.item is None else self.values[1:]

    @property
    def kinds(self) -> list[str]:
        """How each column is parsed."""
        kinds = ["float64"] * len(self.names)
        kinds[self.time] = "time"
        if self.item is not None:
            kinds[self.item] = "words"
        return kinds


def _read_layout(text: Lines) -> _Layout | None:
    """What the header says; None where the file is empty."""
    header = next(csv_lines(text), None)
    if header is None:
        return None
    refuse_other_marks(text.name, header)
    return _parse_header(header.cells, header.end, text.name)


def _parse_header(cells: list[str], begin: int, file: str) -> _Layout:
    names = tuple(cell.strip() for cell in cells)
    small = [ALIASES.get(name.lower(), name.lower()) for name in names]
    if "" in names:
        raise UserError(
            f"{file}: column {names.index('') + 1} has no name in the header: name it, or leave it out, as pandas does "
            "its index with to_csv(file, index=False)"
        )
    often, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{file}: {count} columns are called {shorten(often)}: give each a name of its own")
    times = [small.index(time) for time in TIMES if time in small]
    if times and {"item_id", "target"} <= set(small):
        item, time, target = small.index("item_id"), times[0], small.index("target")
        rest = (column for column in range(len(names)) if column not in (item, time, target))
        return _Layout(begin, names, item, time, (target, *rest))
    if small[0] in TIMES and len(names) > 1 and "item_id" not in small:
        return _Layout(begin, names, None, 0, tuple(range(1, len(names))))
    raise UserError(f"{file} has the header {shorten(','.join(names))}: {_FORMS}")


@dataclass(frozen=True)
class _Rows:
    """The rows of a file: items, the number of each row's item (R), its time stamp (R, in µs), its values (V x R)."""

    items: Sequence[str]
    codes: NDArray[np.int64]
    stamps: NDArray[np.int64]
    values: NDArray[np.float32]


def _read_rows(text: Lines, layout: _Layout) -> _Rows | None:
    """All rows; None where there are none."""
    known: dict[str, int] = {}
    parts, watch = [], Watch("rows")
    for offset, block in text.blocks(layout.begin, 0, 1):
        part = _parse_block(block, layout, known)
        if part is None:
            raise text.refusal(offset, block, "a table of series", lambda line: _line_fault(line, layout))
        parts.append(part)
        watch.add(sum(column.nbytes for column in part))
    if not sum(len(stamps) for _, stamps, _ in parts):
        return None
    codes, stamps, values = zip(*parts, strict=True)
    return _Rows(list(known), np.concatenate(codes), np.concatenate(stamps), np.concatenate(values, axis=1))


def _parse_block(
    block: bytes, layout: _Layout, known: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]] | None:
    """Codes, stamps and values of a block, its new items added to `known`; None where a cell or a line is at fault."""
    columns = parse_columns(block, layout.kinds, ",", quote=True, missing=("",))
    if columns is None or columns[layout.time].null_count:
        return None
    stamps = columns[layout.time].to_numpy().astype("datetime64[us]").astype(np.int64)
    values = np.array([columns[column].to_numpy(zero_copy_only=False) for column in layout.values], np.float64)
    good = (np.abs(values) <= LARGEST_VALUE) | np.isnan(values)
    if layout.features:
        good[1:] &= np.isfinite(values[1:])
    if not good.all() or stamps.min(initial=0) < _YEAR_1:
        return None
    if layout.item is None:
        return np.zeros(len(stamps), np.int64), stamps, values.astype(np.float32)
    words = columns[layout.item].dictionary.to_pylist()
    if "" in words:
        return None
    numbers = np.array([known.setdefault(word, len(known)) for word in words], np.int64)
    return numbers[columns[layout.item].indices.to_numpy()], stamps, values.astype(np.float32)


def _line_number(text: Lines, layout: _Layout, row: int) -> int:
    """The number of the line that a row stands in."""
    lines = (number for number, after, line in text if after > layout.begin and line.rstrip(b"\r\n"))
    return next(islice(lines, row, None))


def _line_fault(line: bytes, layout: _Layout) -> str | None:
    """Why a line is no row; None for one that is, and for one that is empty."""
    if not line:
        return None
    cells = split_csv_line(line)
    if len(cells) != len(layout.names):
        return f"{len(cells)} cells where the header has {len(layout.names)}: complete the line, or take it out"
    if layout.item is not None and not cells[layout.item]:
        return f"{layout.names[layout.item]} is empty: name the item that the row is of"
    if not _is_stamp(cells[layout.time]):
        return f"{layout.names[layout.time]} is {shorten(cells[layout.time])}: {FORM_OF_STAMPS}"
    faults = (_value_fault(cells[column], layout.names[column], column in layout.features) for column in layout.values)
    return next((fault for fault in faults if fault), None)


def _is_stamp(cell: str) -> bool:
    import pyarrow as pa

    try:
        stamp = pa.array([cell]).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return False
    return bool(stamp.astype(np.int64)[0] >= _YEAR_1)


def _value_fault(cell: str, name: str, feature: bool) -> str | None:
    value = float(cell) if is_unbounded(cell) else parse_number(cell)
    if value is not None and (abs(value) <= LARGEST_VALUE or (value != value and not feature)):
        return None
    largest = f"{LARGEST_VALUE:.1e} at most"
    if feature:
        return f"{name} is {shorten(cell)}: a dynamic feature must be a number at every time stamp, {largest}"
    if not cell:
        return None
    return f"{name} is {shorten(cell)}: it must be a number, {largest}, or empty where it is missing"


def _begins(head: bytes) -> bool:
    """Whether the first line names a column of time stamps."""
    return any(cell.strip().strip(b'"') in _TIMES_BYTES for cell in head.split(b"\n", 1)[0].split(b","))


SERIES_FORMAT = SeriesFormat(
    name="csv",
    suffixes=csv.FORMAT.suffixes,
    content_types=(*csv.FORMAT.content_types, "csv"),
    read=read,
    begins=_begins,
)
