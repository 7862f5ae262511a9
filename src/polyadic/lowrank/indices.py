"""Rows of a mode by number or label, and indices of many entries; UserError says which one is wrong, and why."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten

LABELS_COMPARED = 10_000
"""The nearest of more labels than these would take seconds to find."""


@dataclass(frozen=True)
class Mode:
    """A mode that an index counts: its place in the tensor, its rows, and their labels where it has any."""

    number: int
    rows: int
    labels: tuple[str, ...] | None = None

    @cached_property
    def by_label(self) -> Mapping[str, int]:
        """The row of each label."""
        return {label: row for row, label in enumerate(self.labels or ())}

    def takes(self, got: object) -> bool:
        """Whether a value is of a kind that may name a row here."""
        return type(got) is int or (isinstance(got, str) and self.labels is not None)

    def row(self, got: Any, where: str) -> int:
        """The row that a value names; UserError for one that the mode lacks."""
        if isinstance(got, str):
            if got not in self.by_label:
                raise UserError(
                    f"{where} is {shorten(got)}, which is no label of mode {self.number}: {self._hint(got)}"
                )
            return self.by_label[got]
        if not 0 <= got < self.rows:
            raise UserError(f"{where} is {got}: mode {self.number} has rows 0 to {self.rows - 1}")
        return int(got)

    def _hint(self, got: str) -> str:
        labels = self.labels or ()
        near = difflib.get_close_matches(got, labels[:LABELS_COMPARED], 1, 0.6)
        known = ", ".join(map(repr, labels[:3])) + (", ..." if len(labels) > 3 else "")
        return (f"did you mean {near[0]!r}? " if near else "") + f"its {len(labels)} labels are {known}"


Modes: TypeAlias = tuple[Mode, ...]
Index: TypeAlias = tuple[int | None, ...]


def cells(modes: Modes) -> str:
    """What an index consists of, in words."""
    labelled = [str(mode.number) for mode in modes if mode.labels]
    labels = f" (or labels, in mode {' and '.join(labelled)})" if labelled else ""
    return f"{len(modes)} integer{'s' * (len(modes) > 1)}{labels}"


def parse_indices(got: object, modes: Modes, where: str) -> NDArray[np.int64]:
    """B x N rows, B >= 1, from lists of rows and labels or from an array of integers."""
    if isinstance(got, np.ndarray):
        return _check_array(got, modes, where)
    if not isinstance(got, list) or not got:
        raise UserError(f"{where} is {shorten(got)}: it must be a list of one or more lists with {cells(modes)} each")
    for number, row in enumerate(got):
        if not isinstance(row, list) or len(row) != len(modes):
            raise UserError(f"{where}[{number}] is {shorten(row)}: it must be a list with {cells(modes)}")
    if set(map(type, itertools.chain.from_iterable(got))) == {int}:
        array = np.array(got)
        if array.dtype.kind in "iu":
            return _check_array(array, modes, where)
    return np.array([_parse_row(row, modes, f"{where}[{number}]") for number, row in enumerate(got)], dtype=np.int64)


def _parse_row(row: Sequence[object], modes: Modes, where: str) -> list[int]:
    for mode, cell in zip(modes, row, strict=True):
        if not mode.takes(cell):
            raise UserError(f"{where} is {shorten(row)}: it must be a list with {cells(modes)}")
    return [mode.row(cell, f"{where}[{n}]") for n, (mode, cell) in enumerate(zip(modes, row, strict=True))]


def _check_array(array: NDArray[Any], modes: Modes, where: str) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != len(modes) or not len(array):
        shape = " x ".join(map(str, array.shape)) or "single number"
        raise UserError(
            f"got an array of {array.dtype}, {shape}: it must be one of integers, B x {len(modes)}: "
            "an index a row, B of 1 or more"
        )
    outside = (array < 0) | (array >= np.array([mode.rows for mode in modes]))
    if outside.any():
        number, column = np.argwhere(outside)[0].tolist()
        modes[column].row(int(array[number, column]), f"{where}[{number}][{column}]")
    return array.astype(np.int64)
