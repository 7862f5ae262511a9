"""Rows of a mode by number or label, and indices of many entries; an error says which of them is wrong, and why."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten

LABELS_COMPARED = 10_000
"""The nearest label is looked for among so many: to compare more of them would take seconds."""
LABELS_SHOWN = 3
_NUMBER = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)


@dataclass(frozen=True)
class Mode:
    """A mode that an index counts: its place in the tensor, its number of rows, their labels and its name, if any."""

    number: int
    rows: int
    labels: tuple[str, ...] | None = None
    name: str | None = None

    def __str__(self) -> str:
        return f"mode {self.number}" + (f" ({self.name})" if self.name else "")

    @cached_property
    def by_label(self) -> Mapping[str, int]:
        """The row of each label."""
        return {label: row for row, label in enumerate(self.labels or ())}

    @cached_property
    def ambiguous(self) -> NDArray[np.int64]:
        """The numbers that are a row of this mode, and the label of another."""
        numbers = ((row, int(label)) for row, label in enumerate(self.labels or ()) if _NUMBER.fullmatch(label))
        return np.array([number for row, number in numbers if number < self.rows and number != row], np.int64)

    def takes(self, cell: object) -> bool:
        """Whether a value is of a kind that may name a row of this mode: an integer, or text where it has labels."""
        return type(cell) is int or (isinstance(cell, str) and self.labels is not None)

    def row(self, cell: Any, where: str) -> int:
        """The row that a value names, a label or an integer.

        Raises UserError, which begins with `where`, for a row that the mode lacks, and for a number that counts one row
        and is the label of another.
        """
        if isinstance(cell, str):
            if cell not in self.by_label:
                raise UserError(f"{where} is {shorten(cell)}, which is no label of {self}: {self._hint(cell)}")
            return self.by_label[cell]
        if not 0 <= cell < self.rows:
            label = f', or labels: write "{cell}"' if str(cell) in self.by_label else ""
            raise UserError(f"{where} is {cell}: {self} has rows 0 to {self.rows - 1}{label}")
        if self.labels is not None and cell in self.ambiguous:
            raise UserError(
                f"{where} is {cell}, which {self} has as a label too, of row {self.by_label[str(cell)]}: write "
                f'"{cell}" for that label, or {json.dumps(self.labels[cell])} for row {cell}'
            )
        return int(cell)

    def _hint(self, wrong: str) -> str:
        labels = self.labels or ()
        nearest = difflib.get_close_matches(wrong, labels[:LABELS_COMPARED], 1, 0.6)
        known = ", ".join(map(repr, labels[:LABELS_SHOWN])) + (", ..." if len(labels) > LABELS_SHOWN else "")
        return (f"did you mean {nearest[0]!r}? " if nearest else "") + f"its {len(labels)} labels are {known}"


Modes: TypeAlias = tuple[Mode, ...]
Index: TypeAlias = tuple[int | None, ...]
"""One row of each mode; None stands for every row."""


def index_in_words(modes: Modes) -> str:
    """What an index consists of, such as "3 integers (or labels, in mode 1)"."""
    labelled = [str(mode.number) for mode in modes if mode.labels]
    labels = f" (or labels, in mode {' and '.join(labelled)})" if labelled else ""
    return f"{len(modes)} integer{'s' * (len(modes) > 1)}{labels}"


def parse_indices(value: object, modes: Modes, where: str) -> NDArray[np.int64]:
    """The rows (B x N, B >= 1) of lists of rows and labels, or of an array of integers.

    Raises UserError, which begins with `where`, for anything else and for a row that a mode lacks.
    """
    if isinstance(value, np.ndarray):
        return _check_array(value, modes, where)
    if not isinstance(value, list) or not value:
        form = f"a list of one or more lists with {index_in_words(modes)} each"
        raise UserError(f"{where} is {shorten(value)}: it must be {form}")
    for number, row in enumerate(value):
        if not isinstance(row, list) or len(row) != len(modes):
            raise _wrong_row(row, modes, f"{where}[{number}]")
    if set(map(type, itertools.chain.from_iterable(value))) == {int}:
        array = np.array(value)
        if array.dtype.kind in "iu":  # Integers that are too large for 64 bits make an array of objects.
            return _check_array(array, modes, where)
    return np.array([_parse_row(row, modes, f"{where}[{number}]") for number, row in enumerate(value)], dtype=np.int64)


def _parse_row(row: Sequence[object], modes: Modes, where: str) -> list[int]:
    for mode, cell in zip(modes, row, strict=True):
        if not mode.takes(cell):
            raise _wrong_row(row, modes, where)
    return [mode.row(cell, f"{where}[{n}]") for n, (mode, cell) in enumerate(zip(modes, row, strict=True))]


def _wrong_row(row: object, modes: Modes, where: str) -> UserError:
    return UserError(f"{where} is {shorten(row)}: it must be a list with {index_in_words(modes)}")


def _check_array(array: NDArray[Any], modes: Modes, where: str) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != len(modes) or not len(array):
        shape = " x ".join(map(str, array.shape)) or "single number"
        raise UserError(
            f"got an array of {array.dtype}, {shape}: it must be one of integers, B x {len(modes)}: "
            "one index per row, B of 1 or more"
        )
    outside = (array < 0) | (array >= np.array([mode.rows for mode in modes]))
    if outside.any():
        number, column = np.argwhere(outside)[0].tolist()
        modes[column].row(int(array[number, column]), f"{where}[{number}][{column}]")
    for column, mode in enumerate(modes):
        doubtful = np.isin(array[:, column], mode.ambiguous) if mode.labels is not None else np.empty(0)
        if doubtful.any():
            number = int(doubtful.argmax())
            mode.row(int(array[number, column]), f"{where}[{number}][{column}]")
    return array.astype(np.int64)
