"""A row of counts in JSON, as SageMaker's algorithms take it: all of its values, or keys and values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._rows import LARGEST_COLUMN, UNSTATED, Dealer, Row, Rows, rows_of_lines
from polyadic.formats.json import decode

_FORMS = '{"features": [0, 2, 1]}, or {"data": {"features": {"keys": [1, 2], "shape": [3], "values": [2, 1]}}}'


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, one batch at a time; UserError with the file and the line."""
    return rows_of_lines(file, name, dealer, lambda line: parse_json_row(_decode_line(line)))


def parse_json_row(instance: object) -> Row:
    """The row of an instance in one of SageMaker's forms; UserError for an instance that has none."""
    inner = instance.get("data", instance) if isinstance(instance, dict) else None
    features = inner.get("features") if isinstance(inner, dict) else None
    if isinstance(features, list):
        features = {"values": features}
    if not isinstance(features, dict) or "values" not in features:
        raise UserError(f"{shorten(instance)} holds no counts: write {_FORMS}")
    values = _numbers(features["values"], "values", "iuf")
    width = _width(features.get("shape", []))
    keys = features.get("keys")
    columns = None if keys is None else _numbers(keys, "keys", "iu")
    _refuse_misfits(values, columns, width)
    return Row(0, columns if columns is None else np.minimum(columns, LARGEST_COLUMN), values, width)


def _width(shape: object) -> int:
    """The number of columns that a shape states."""
    numbers = _numbers(shape, "shape", "iu").tolist()
    if any(number < 0 for number in numbers):
        raise UserError(f"shape is {numbers}: give the number of terms")
    return min(math.prod(numbers), LARGEST_COLUMN) if numbers else UNSTATED


def _decode_line(line: bytes) -> Any:
    try:
        return decode(line)
    except UserError as error:
        raise UserError(str(error).replace("at line 1, column", "at column", 1)) from None


def _numbers(given: object, name: str, kinds: str) -> NDArray[Any]:
    """A list of numbers as an array; UserError for anything else."""
    try:
        numbers = np.array(given) if isinstance(given, list) and given else np.zeros(0, np.int64)
    except ValueError:  # Lists of different lengths.
        numbers = np.zeros(0, object)
    if not isinstance(given, list) or numbers.ndim != 1 or numbers.dtype.kind not in kinds:
        raise UserError(f"{name} is {shorten(given)}: give a list of {'numbers' if 'f' in kinds else 'whole numbers'}")
    return numbers


def _refuse_misfits(values: NDArray[Any], columns: NDArray[Any] | None, width: int) -> None:
    if columns is not None and len(columns) != len(values):
        raise UserError(f"{len(values)} values and {len(columns)} keys: give as many of each")
    if columns is None and width not in (UNSTATED, len(values)):
        raise UserError(f"{len(values)} values and a shape of {width}: give as many, or say by keys where they stand")
