"""Series in CSV: long, a row a time stamp of an item, or wide, a row a time stamp and a column a series.

Shapes: R rows, V columns of values.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.windows import Series
from polyadic.formats import _table
from polyadic.formats._cells import number, unbounded
from polyadic.formats._lines import Lines
from polyadic.readers.series.deepar import LARGEST
from polyadic.readers.series.grid import Misfit, lay

TIMES = ("timestamp", "date")
_MARK = b"\xef\xbb\xbf"
_FORMS = (
    "it must be item_id, timestamp, target (and dynamic features), a row a time stamp of an item; "
    "or begin with timestamp or date, the other columns a series each"
)
_YEAR_1 = int(np.datetime64("0001-01-01", "us").astype(np.int64))


class Named(NamedTuple):
    """A series, how a message calls it, and the item that it is where rows say so."""

    name: str
    series: Series
    item: str | None = None


def read(path: Path, frequency: Frequency) -> Iterator[Named]:
    """The series of a file, items by first appearance, columns in their order; steps without a row are missing.

    Raises UserError that names the file, and the line where there is one.
    """
    text = Lines(path)
    layout = _layout(text)
    rows = None if layout is None else _rows(text, layout)
    if layout is None or rows is None:
        return
    grid = lay(rows.codes, rows.stamps, frequency, bool(layout.features))
    if isinstance(grid, Misfit):
        item = "" if layout.item is None else f", item {shorten(rows.items[rows.codes[grid.row]])}"
        raise UserError(f"{text.name}, line {_line(text, layout, grid.row)}{item}: {grid.why}")
    values = np.full((len(rows.values), grid.ends[-1]), np.nan, np.float32)
    values[:, grid.place] = rows.values
    for code, (begin, end) in enumerate(pairwise([0, *grid.ends.tolist()])):
        first: datetime = grid.first[code].astype("datetime64[us]").item()
        minutes, found = frequency.minutes(first, end - begin), values[:, begin:end]
        if layout.item is None:
            for column, target in zip(layout.values, found, strict=True):
                yield Named(f"column {shorten(layout.names[column])}", Series(target, minutes))
        else:
            dynamic = found[1:] if layout.features else None
            yield Named(f"item {shorten(rows.items[code])}", Series(found[0], minutes, (), dynamic), rows.items[code])


@dataclass(frozen=True)
class _Layout:
    """Where the rows begin, and what the columns are; `item` is None where each column of `values` is a series.

    Else the first of `values` is the target, and the others are dynamic features.
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


def _layout(text: Lines) -> _Layout | None:
    """What the header says; None where the file is empty."""
    for line_number, after, line in text:
        row = line.removeprefix(_MARK if line_number == 1 else b"").rstrip(b"\r\n")
        if row:
            return _parse_header(_split(row, f"{text.name}, line {line_number}"), after, text.name)
    return None


def _parse_header(cells: list[str], begin: int, name: str) -> _Layout:
    names = tuple(cell.strip() for cell in cells)
    small = [one.lower() for one in names]
    if "" in names:
        raise UserError(f"{name}: column {names.index('') + 1} has no name in the header: name it, or leave it out")
    often, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{name}: {count} columns are called {shorten(often)}: give each a name of its own")
    times = [small.index(one) for one in TIMES if one in small]
    if times and {"item_id", "target"} <= set(small):
        item, time, target = small.index("item_id"), times[0], small.index("target")
        rest = (column for column in range(len(names)) if column not in (item, time, target))
        return _Layout(begin, names, item, time, (target, *rest))
    if small[0] in TIMES and len(names) > 1 and "item_id" not in small:
        return _Layout(begin, names, None, 0, tuple(range(1, len(names))))
    raise UserError(f"{name} has the header {shorten(','.join(names))}: {_FORMS}")


def _split(row: bytes, where: str) -> list[str]:
    try:
        return next(csv.reader([row.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: {error}. A row is a line of UTF-8 with commas") from None


@dataclass(frozen=True)
class _Rows:
    """The rows of a file: items, the number of each row's item (R), its time stamp (R, in µs), its values (V x R)."""

    items: Sequence[str]
    codes: NDArray[np.int64]
    stamps: NDArray[np.int64]
    values: NDArray[np.float32]


def _rows(text: Lines, layout: _Layout) -> _Rows | None:
    """All rows; None where there are none."""
    known: dict[str, int] = {}
    parts = []
    for offset, block in text.blocks(layout.begin, 0, 1):
        part = _parse(block, layout, known)
        if part is None:
            raise _fault(text, offset, block, layout)
        parts.append(part)
    if not sum(len(stamps) for _, stamps, _ in parts):
        return None
    codes, stamps, values = zip(*parts, strict=True)
    return _Rows(list(known), np.concatenate(codes), np.concatenate(stamps), np.concatenate(values, axis=1))


def _parse(
    block: bytes, layout: _Layout, known: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]] | None:
    """Codes, stamps and values of a block, its new items added to `known`; None where a cell or a line is at fault."""
    columns = _table.parse(block, layout.kinds, ",", quote=True, missing=("",))
    if columns is None or columns[layout.time].null_count:
        return None
    stamps = columns[layout.time].to_numpy().astype("datetime64[us]").astype(np.int64)
    found = np.array([columns[column].to_numpy(zero_copy_only=False) for column in layout.values], np.float64)
    good = (np.abs(found) <= LARGEST) | np.isnan(found)
    if layout.features:
        good[1:] &= np.isfinite(found[1:])
    if not good.all() or stamps.min(initial=0) < _YEAR_1:
        return None
    if layout.item is None:
        return np.zeros(len(stamps), np.int64), stamps, found.astype(np.float32)
    words = columns[layout.item].dictionary.to_pylist()
    if "" in words:
        return None
    numbers = np.array([known.setdefault(word, len(known)) for word in words], np.int64)
    return numbers[columns[layout.item].indices.to_numpy()], stamps, found.astype(np.float32)


def _line(text: Lines, layout: _Layout, row: int) -> int:
    """The number of the line that a row stands in."""
    lines = (number for number, after, line in text if after > layout.begin and line.rstrip(b"\r\n"))
    return next(islice(lines, row, None))


def _fault(text: Lines, offset: int, block: bytes, layout: _Layout) -> UserError:
    """The first line of a block that is no row, and why."""
    for line_number, line in enumerate(block.split(b"\n"), text.number(offset)):
        where, row = f"{text.name}, line {line_number}", line.rstrip(b"\r")
        if row and (why := _line_fault(_split(row, where), layout)):
            return UserError(f"{where}: {why}")
    return UserError(f"{text.name} is not a table of series near line {text.number(offset)}")


def _line_fault(cells: list[str], layout: _Layout) -> str | None:
    if len(cells) != len(layout.names):
        return f"{len(cells)} cells where the header has {len(layout.names)}: complete the line, or take it out"
    if layout.item is not None and not cells[layout.item]:
        return f"{layout.names[layout.item]} is empty: name the item that the row is of"
    if not _is_stamp(cells[layout.time]):
        return (
            f"{layout.names[layout.time]} is {shorten(cells[layout.time])}: it must be a time stamp such as "
            "'2014-01-31 06:00:00', without a time zone"
        )
    faults = (_value_fault(cells[column], layout.names[column], column in layout.features) for column in layout.values)
    return next((fault for fault in faults if fault), None)


def _is_stamp(cell: str) -> bool:
    import pyarrow as pa

    try:
        found = pa.array([cell]).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return False
    return bool(found.astype(np.int64)[0] >= _YEAR_1)


def _value_fault(cell: str, name: str, feature: bool) -> str | None:
    found = float(cell) if unbounded(cell) else number(cell)
    if found is not None and (abs(found) <= LARGEST or (found != found and not feature)):
        return None
    if feature:
        return (
            f"{name} is {shorten(cell)}: a dynamic feature must be a number at every time stamp, {LARGEST:.1e} at most"
        )
    if not cell:
        return None
    return f"{name} is {shorten(cell)}: it must be a number, {LARGEST:.1e} at most, or empty where it is missing"
