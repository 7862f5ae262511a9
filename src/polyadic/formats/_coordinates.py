"""A sparse tensor, or a part of one, as a file holds it: coordinates, values, labels.

Shapes: order N, M records; indices are N x M, counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.room import Watch

LARGEST_MODE = 2**31 - 1
"""Rows of a mode."""
LABEL_BYTES = 150
"""Of a label that is held: the text and its place in a dict."""


@dataclass(frozen=True)
class Coordinates:
    """Records of a sparse tensor: indices (N x M, int32), values (M), the shape where it is stated.

    `labels` has a mode's labels in sorted order, which its indices point into, or None where rows are numbers.
    """

    indices: NDArray[np.int32]
    values: NDArray[np.floating[Any]]
    shape: tuple[int, ...] | None
    labels: tuple[tuple[str, ...] | None, ...]

    @property
    def order(self) -> int:
        """The number of modes."""
        return len(self.indices)

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape: as it is stated, or else what the indices and the labels need."""
        return self.shape or tuple(
            (int(index.max(initial=-1)) + 1) if words is None else len(words)
            for index, words in zip(self.indices, self.labels, strict=True)
        )


class Labelled(NamedTuple):
    """A column of labels: its words, and for each record the number of its word."""

    words: Sequence[str]
    codes: NDArray[Any]


class Gatherer:
    """Coordinates that come one block at a time; modes in `labelled` come as words."""

    def __init__(self, order: int, labelled: frozenset[int] = frozenset()) -> None:
        self.known: dict[int, dict[str, int]] = {mode: {} for mode in sorted(labelled)}
        self.columns = [_Growing() for _ in range(order)]
        self.values = _Growing()
        self._watch = Watch("records")

    def add(self, columns: Sequence[NDArray[np.int32] | Labelled], values: NDArray[Any]) -> None:
        """Takes the records of a block."""
        for mode, column in enumerate(columns):
            self.columns[mode].add(self._number(mode, column) if isinstance(column, Labelled) else column)
        self.values.add(values)
        self._watch.add(len(values) * (4 * len(columns) + values.itemsize))

    def _number(self, mode: int, column: Labelled) -> NDArray[np.int32]:
        known = self.known[mode]
        before = len(known)
        numbers = np.array([known.setdefault(word, len(known)) for word in column.words], np.int32)
        self._watch.add(LABEL_BYTES * (len(known) - before))
        coded: NDArray[np.int32] = numbers[column.codes]
        return coded

    def join(self, shape: tuple[int, ...] | None = None) -> Coordinates:
        """All of them together; the memory of what was gathered is given back one mode at a time."""
        values = self.values.whole(np.float64)
        indices = np.empty((len(self.columns), len(values)), np.int32)
        labels = list[tuple[str, ...] | None]()
        for mode in range(len(self.columns)):
            indices[mode] = self.columns[mode].whole(np.int32)
            self.columns[mode] = _Growing()
            labels.append(self._sort(mode, indices[mode]) if mode in self.known else None)
        return Coordinates(indices, values, shape, tuple(labels))

    def _sort(self, mode: int, index: NDArray[np.int32]) -> tuple[str, ...]:
        """Turns numbers in the order of arrival into places in the sorted order, in place."""
        words = sorted(self.known[mode])
        place = np.empty(len(words), np.int32)
        place[[self.known[mode][word] for word in words]] = np.arange(len(words))
        index[:] = place[index]
        return tuple(words)


class _Growing:
    """An array that grows in place, where the system moves pages, not bytes; of the type that its blocks need."""

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None
        self.count = 0

    def add(self, block: NDArray[Any]) -> None:
        """Appends a block."""
        if self.array is None:
            self.array = np.empty(0, block.dtype)
        if self.array.dtype != block.dtype:
            self.array = self.array.astype(np.result_type(self.array, block))
        end = self.count + len(block)
        if end > len(self.array):
            self.array.resize(end + end // 4, refcheck=False)
        self.array[self.count : end] = block
        self.count = end

    def whole(self, empty: type[np.generic]) -> NDArray[Any]:
        """All of it, of the type `empty` where that is nothing."""
        if self.array is None:
            return np.empty(0, empty)
        self.array.resize(self.count, refcheck=False)
        return self.array


def narrow(column: NDArray[Any]) -> NDArray[np.int32] | None:
    """A column of numbers as indices from 0; None where one of them is no index."""
    with np.errstate(invalid="ignore"):
        index = column.astype(np.int32)
    fits = bool((index == column).all()) and index.min(initial=0) >= 0 and index.max(initial=0) < LARGEST_MODE
    return index if fits else None


def indices(column: NDArray[Any], where: Callable[[int], str], rows: int | None = None) -> NDArray[np.int32]:
    """A column of numbers as indices from 0, below `rows`; UserError that says `where` the first bad number stands."""
    index = narrow(column)
    if index is not None and (rows is None or index.max(initial=-1) < rows):
        return index
    highest = LARGEST_MODE if rows is None else min(rows, LARGEST_MODE)
    with np.errstate(invalid="ignore"):
        good = (column >= 0) & (column < highest) & (column == np.floor(column.astype(np.float64)))
    place = int(np.argmin(good))
    raise UserError(
        f"{where(place)} is {column[place]}: an index must be a whole number from 0 to {highest - 1}"
        + (f", the mode has {rows} rows" if rows is not None else "")
    )


def finite(values: NDArray[Any], where: Callable[[int], str]) -> NDArray[np.floating[Any]]:
    """Values as float32 where they are no wider, else float64; UserError where the first NaN or infinite one stands."""
    floats = values.astype(np.result_type(np.float32, values.dtype) if values.dtype.itemsize < 8 else np.float64)
    good = np.isfinite(floats)
    if not good.all():
        place = int(np.argmin(good))
        raise UserError(f"{where(place)} is {values[place]}: a value must be finite. Leave out what is not known")
    return floats


def check_order(order: int, name: str) -> int:
    """The order itself; UserError below 1."""
    if order < 1:
        raise UserError(f"{name} has no index in a record: a record is 1 or more indices, and a value after them")
    return order
