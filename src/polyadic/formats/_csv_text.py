"""CSV as lines of cells, one by one: for headers, and for lines that a fast parser does not take."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from polyadic.errors import UserError, shorten
from polyadic.formats._lines import Lines


class CsvLine(NamedTuple):
    """A line of CSV: its number from 1, the offsets where its text begins and where the next line does, its cells."""

    number: int
    begin: int
    end: int
    cells: list[str]


def split_csv_line(line: bytes) -> list[str]:
    """The cells of a line; UserError for what is no line of CSV."""
    try:
        return next(csv.reader([line.rstrip(b"\r\n").decode()], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{error}. A row is a line of UTF-8 with commas") from None


def refuse_other_marks(name: str, first: CsvLine) -> None:
    """UserError where the first line of a file has one cell, and in it what others separate cells with."""
    if len(first.cells) != 1:
        return
    cell = first.cells[0].strip()
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), (" ", "blanks")):
        if mark in cell:
            raise UserError(
                f"{name}, line {first.number}, is {shorten(cell)}: commas separate the cells of a CSV file, not "
                f"{called}. Write it with commas, and numbers with a point"
            )


def csv_lines(text: Lines) -> Iterator[CsvLine]:
    """The lines of a text that are not blank, in their order; UserError, with its place, for what is no CSV."""
    for number, end, line in text:
        begin = end - len(line)
        if line.rstrip(b"\r\n"):
            try:
                cells = split_csv_line(line)
            except UserError as error:
                raise UserError(f"{text.name}, line {number}: {error}") from None
            yield CsvLine(number, begin, end, cells)
