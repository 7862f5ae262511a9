"""Bytes <-> values: each module is a format of files and of HTTP bodies alike, and declares it as FORMAT.

A format is found by being in this package. This module also exports what other rooms need to read files: text in
blocks of lines, CSV, columns of numbers; sparse tensors as coordinates, dense tensors as files; rows of counts.
"""

from __future__ import annotations

from functools import lru_cache

from polyadic.errors import UserError
from polyadic.formats._cells import is_unbounded, parse_number
from polyadic.formats._columns import parse_columns
from polyadic.formats._coordinates import LARGEST_MODE, Coordinates, Gatherer, Labelled
from polyadic.formats._csv_text import CsvLine, csv_lines, refuse_other_marks, split_csv_line
from polyadic.formats._dense import DenseFile, Sliced
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._gzip import opened
from polyadic.formats._json_rows import parse_json_row
from polyadic.formats._lines import Lines
from polyadic.formats._refusal import refusing
from polyadic.formats._rows import UNSTATED, Dealer, Row, Rows, join_rows, offsets_of, pack_rows
from polyadic.formats._whole_lines import whole_lines
from polyadic.registry import Registry

__all__ = [
    "FORMATS",
    "LARGEST_MODE",
    "UNSTATED",
    "Coordinates",
    "CsvLine",
    "Dealer",
    "DenseFile",
    "Examples",
    "Form",
    "Format",
    "Gatherer",
    "Labelled",
    "Lines",
    "Row",
    "Rows",
    "Sliced",
    "by_content_type",
    "by_file_name",
    "csv_lines",
    "is_unbounded",
    "join_rows",
    "offsets_of",
    "opened",
    "pack_rows",
    "parse_columns",
    "parse_json_row",
    "parse_number",
    "refuse_other_marks",
    "refusing",
    "split_csv_line",
    "whole_lines",
]

FORMATS: Registry[Format] = Registry(__name__, "FORMAT", Format)
"""Every format, by the name of its module."""


def by_file_name(name: str) -> Format | None:
    """The format of a file's name, in capitals or not; None where it is the name of no format's file."""
    return next((format_ for format_ in _all() if format_.has_file(name)), None)


def by_content_type(content_type: str | None) -> Format:
    """The format of an HTTP content type, whatever its parameters; UserError with the known ones otherwise."""
    bare = (content_type or "").partition(";")[0].strip().lower()
    for format_ in _all():
        if bare in format_.content_types:
            return format_
    known = ", ".join(sorted(format_.content_types[0] for format_ in _all()))
    raise UserError(f"content type {content_type!r} is unknown here. Known are {known}")


def _all() -> tuple[Format, ...]:
    return _all_in(tuple(__path__))


@lru_cache
def _all_in(path: tuple[str, ...]) -> tuple[Format, ...]:
    """The formats that lie in the folders of `path`: the registry would look for each of them at every call."""
    return tuple(FORMATS.values())
