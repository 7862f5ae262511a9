"""Rows of counts, such as the documents of a corpus: a matrix by rows, most of which is zero, read one batch at a time.

Shapes: n rows, m entries in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats._whole_lines import whole_lines

UNSTATED = -1
"""The width of a row that does not state it."""

LARGEST_COLUMN = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as they were written: entries in any order, duplicates and zeros among them, no value checked.

    offsets (n + 1, int64): where each row's entries begin; columns (m, int64), from 0; values (m, float64); widths
    (n, int64): how many columns each row says that there are, or UNSTATED; numbers (n, int64): where each row stands
    in its file, from 1: a record's number, or a line's.
    """

    offsets: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    widths: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def each(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], int]]:
        """Each row's columns, values and width."""
        for (begin, end), width in zip(pairwise(self.offsets.tolist()), self.widths.tolist(), strict=True):
            yield self.columns[begin:end], self.values[begin:end], width

    def take(self, chosen: slice) -> Rows:
        """Some of the rows."""
        if chosen == slice(0, len(self), 1):
            return self
        lengths = np.diff(self.offsets)[chosen]
        offsets = offsets_of(lengths)
        place = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Rows(offsets, self.columns[place], self.values[place], self.widths[chosen], self.numbers[chosen])

    def kept(self, entries: NDArray[np.bool_]) -> Rows:
        """The rows without the entries that are false in `entries` (m)."""
        before = np.append(0, np.cumsum(entries))
        offsets = before[self.offsets].astype(np.int64)
        return Rows(offsets, self.columns[entries], self.values[entries], self.widths, self.numbers)


class Row(NamedTuple):
    """A row of a text: the number of its line, its columns (None where it has a value for each), values and width."""

    number: int
    columns: Sequence[int] | NDArray[Any] | None
    values: Sequence[float] | NDArray[Any]
    width: int = UNSTATED


def offsets_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where each of some lengths begins, and where the last ends."""
    return np.append(0, np.cumsum(lengths)).astype(np.int64)


def pack_rows(rows: Iterable[Row]) -> Rows:
    """The rows of a batch, one after another. Zeros of rows that have a value for each column are left out."""
    numbers, lengths, columns, values, widths = [], [], [np.zeros(0, np.int64)], [np.zeros(0)], []
    for row in rows:
        counts = np.asarray(row.values, np.float64)
        places = np.flatnonzero(counts) if row.columns is None else np.asarray(row.columns, np.int64)
        numbers.append(row.number)
        lengths.append(len(places))
        columns.append(places)
        values.append(counts[places] if row.columns is None else counts)
        widths.append(len(counts) if row.columns is None else row.width)
    return Rows(
        offsets_of(np.array(lengths, np.int64)),
        np.concatenate(columns),
        np.concatenate(values),
        np.array(widths, np.int64),
        np.array(numbers, np.int64),
    )


def write_count(count: float) -> str:
    """A count as text, without a point where it is whole."""
    return str(int(count)) if float(count).is_integer() else repr(float(count))


def join_rows(batches: Iterable[Rows]) -> Rows:
    """The rows of several batches, one batch after another."""
    parts = [pack_rows(()), *batches]
    return Rows(
        offsets_of(np.concatenate([np.diff(rows.offsets) for rows in parts])),
        np.concatenate([rows.columns for rows in parts]),
        np.concatenate([rows.values for rows in parts]),
        np.concatenate([rows.widths for rows in parts]),
        np.concatenate([rows.numbers for rows in parts]),
    )


@dataclass
class Dealer:
    """Deals rows in turn: of all that come by, the i-th belongs to part i mod `parts`."""

    part: int = 0
    parts: int = 1
    seen: int = 0

    def mine(self, count: int) -> slice:
        """Which of the next `count` rows are this part's."""
        first = (self.part - self.seen) % self.parts
        self.seen += count
        return slice(first, count, self.parts)


def line_batches(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[list[tuple[int, bytes]]]:
    """This part's lines that are not blank, each with its number from 1, one batch at a time."""
    number = 1
    for lines in whole_lines(file, name):
        filled = [(place, line) for place, line in enumerate(lines, number) if not line.isspace()]
        number += len(lines)
        yield filled[dealer.mine(len(filled))]


def rows_of_lines(file: IO[bytes], name: str, dealer: Dealer, parse: Callable[[bytes], Row]) -> Iterator[Rows]:
    """The rows of a text with one row per line; what `parse` refuses is refused with the file and the line."""

    def rows(lines: list[tuple[int, bytes]]) -> Iterator[Row]:
        for number, line in lines:
            try:
                yield parse(line)._replace(number=number)
            except UserError as error:
                raise UserError(f"{name}, line {number}: {error}") from None

    for lines in line_batches(file, name, dealer):
        yield pack_rows(rows(lines))
