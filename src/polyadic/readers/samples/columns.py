"""The columns of samples: tensors, pictures and texts, gathered row by row from cells.

Shapes: B samples of this rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten

LABEL, FILE, PICTURE, FEATURES = "label", "file", "picture", "features"
"""Columns with a meaning: the answer, the name of a picture's file, the picture itself, and all single numbers."""
Array: TypeAlias = NDArray[Any]
LabelFault: TypeAlias = Callable[[float | str], str | None]
"""What is wrong with a label, in words; None where nothing is."""


@dataclass(frozen=True)
class Pictures:
    """Pictures that samples share: pixels (P x height x width x channels, bytes) and that of each sample (B)."""

    pixels: NDArray[np.uint8]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)


Column: TypeAlias = NDArray[Any] | Pictures | Sequence[str]
"""Of B samples: tensors (B x I_1 x ... x I_N), pictures, or texts."""


@dataclass(frozen=True)
class Samples:
    """B samples: tensors (B x I_1 x ... x I_N, float32), pictures and texts by their names; labels, numbers or texts.

    names: of the columns whose numbers are `features`, in their order. absent: of a column that not every sample has,
    which ones do not; their numbers are zeros, their texts empty. places: of each sample with a text, for messages.
    """

    tensors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    pictures: Mapping[str, Pictures] = field(default_factory=dict)
    texts: Mapping[str, list[str]] = field(default_factory=dict)
    label: NDArray[np.float64] | list[str] = field(default_factory=lambda: np.zeros(0))
    absent: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    places: Sequence[str] = ()

    def __len__(self) -> int:
        columns: list[Any] = [*self.tensors.values(), *self.pictures.values(), *self.texts.values()]
        return len(columns[0]) if columns else 0

    def column(self, name: str) -> Column | None:
        """A column; None where no sample of this rank has it."""
        groups: list[Mapping[str, Any]] = [self.tensors, self.pictures, self.texts]
        return next((group[name] for group in groups if name in group), None)

    def present(self, name: str) -> NDArray[np.bool_]:
        """Which samples have a column: B."""
        none = np.zeros(len(self), bool) if self.column(name) is not None else np.ones(len(self), bool)
        gone: NDArray[np.bool_] = self.absent.get(name, none)
        return ~gone

    @property
    def kinds(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Each column's kind and the shape of a sample in it."""
        named = f"vector of {', '.join(self.names)}," if self.names else "tensor"
        return {
            **{
                name: (named if name == FEATURES else "tensor", values.shape[1:])
                for name, values in self.tensors.items()
            },
            **{name: ("picture", values.pixels.shape[1:]) for name, values in self.pictures.items()},
            **dict.fromkeys(self.texts, ("text", ())),
        }


class Gathering:
    """Samples row by row.

    picture: the pixels of a file's name, in which a row says where its picture is. label_fault: what is wrong with a
    label, in words; None where nothing is. missing: whether a row may lack a column that others have. Raises UserError,
    which names the place of a row, for a cell of another kind or shape than the same column had before, for a number
    that is not finite, and for a label that is missing or has a fault.
    """

    def __init__(
        self,
        picture: Callable[[str], NDArray[np.uint8]],
        label_fault: LabelFault = lambda label: None,
        *,
        missing: bool,
    ) -> None:
        self._picture, self._label_fault, self._missing = picture, label_fault, missing
        self._places: list[str] = []
        self._cells: dict[str, list[Any]] = {}
        self._kinds: dict[str, tuple[str, tuple[int, ...], str]] = {}
        self._labels: list[float | str] = []
        self._label_kind: tuple[str, str] | None = None
        self._pictures: dict[str, int] = {}
        self._pixels: list[NDArray[np.uint8]] = []
        self._count = 0
        self._names: tuple[tuple[str, ...], str] | None = None

    def add(self, row: Mapping[str, Any], place: str) -> None:
        """Takes a row; `place` is how a message calls it."""
        cells = self._columns(row, place)
        if not cells:
            raise UserError(f"{place}: it has nothing but a label: give numbers, a text or the file of a picture")
        for name in cells.keys() - self._cells.keys():
            self._cells[name] = [None] * self._count
        for name, known in self._cells.items():
            cell = cells.get(name)
            if cell is None and not self._missing:
                raise UserError(
                    f"{place}: {name} is missing, which other rows have: complete the row, take it out, or set "
                    "missing to mask"
                )
            known.append(cell)
        self._count += 1
        if any(kind == "text" for kind, _, _ in self._kinds.values()):
            self._places.append(place)

    def _columns(self, row: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The cells of a row by column, each checked; its label is kept."""
        numbers, cells = dict[str, float](), dict[str, Any]()
        for name, value in row.items():
            if name == LABEL:
                continue
            if name == FILE:
                if value is not None:
                    cells[PICTURE] = self._shown(value, place)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers[name] = value
            elif value is not None:
                cells[name] = self._cell(name, value, place)
        if numbers and (vector := self._vector(numbers, row, place)) is not None:
            cells[FEATURES] = self._cell(FEATURES, vector, place)
        self._take_label(row.get(LABEL), place)
        return cells

    def _vector(self, numbers: Mapping[str, float], row: Mapping[str, Any], place: str) -> list[float] | None:
        """The numbers of a row in the order of the first row that had any; None where one is missing and may be.

        Raises UserError for numbers in other columns than that row had them in.
        """
        self._names = self._names or (tuple(numbers), place)
        names, first = self._names
        other = next((name for name in numbers if name not in names), None)
        other = other or next((name for name in names if name not in numbers and row.get(name) is not None), None)
        if other is not None:
            raise UserError(
                f"{place}: {other} is {shorten(row[other])}, and the numbers of {first} are in {', '.join(names)}: "
                "give each row numbers in the same columns"
            )
        gone = next((name for name in names if name not in numbers), None)
        if gone is not None and not self._missing:
            raise UserError(f"{place}: {gone} is missing, which {first} has: complete the row, or take it out")
        return None if gone is not None else [numbers[name] for name in names]

    def _cell(self, name: str, value: Any, place: str) -> Any:
        """A text, or the numbers of a list as an array."""
        if isinstance(value, str):
            self._agree(name, "text", (), place)
            return value
        array = tensor_of(value, f"{place}: {name}")
        self._agree(name, "tensor", array.shape, place)
        return array

    def _shown(self, value: Any, place: str) -> int:
        """The number of the picture in a file."""
        if not isinstance(value, str):
            raise UserError(f"{place}: {FILE} is {shorten(value)}: give the name of a picture's file in the channel")
        if value not in self._pictures:
            try:
                pixels = self._picture(value)
            except UserError as error:
                raise UserError(f"{place}: {error}") from None
            self._agree(PICTURE, "picture", pixels.shape, f"{place}, {value}")
            self._pictures[value] = len(self._pixels)
            self._pixels.append(pixels)
        return self._pictures[value]

    def _take_label(self, value: Any, place: str) -> None:
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int | float | str):
            raise UserError(f"{place}: {LABEL} is {shorten(value)}: give each row a number, or the name of a class")
        kind = "text" if isinstance(value, str) else "number"
        if kind == "number" and not _is_finite(value):
            raise UserError(f"{place}: {LABEL} is {shorten(value)}: it must be finite, so leave out what is not known")
        if self._label_kind is not None and self._label_kind[0] != kind:
            raise UserError(
                f"{place}: {LABEL} is {shorten(value)}, a {kind}, and a {self._label_kind[0]} in "
                f"{self._label_kind[1]}: write all labels alike"
            )
        if (fault := self._label_fault(value)) is not None:
            raise UserError(f"{place}: {LABEL} is {shorten(value)}: {fault}")
        self._label_kind = self._label_kind or (kind, place)
        self._labels.append(value)

    def _agree(self, name: str, kind: str, shape: tuple[int, ...], place: str) -> None:
        """UserError where a column had another kind or shape before."""
        known = self._kinds.setdefault(name, (kind, shape, place))
        if known[:2] != (kind, shape):
            raise UserError(
                f"{place}: {name} is {in_words(kind, shape)}, and {in_words(*known[:2])} in {known[2]}: all samples "
                "must be alike"
            )

    def samples(self) -> Samples:
        """What was gathered."""
        tensors, texts, pictures, absent = {}, {}, {}, {}
        for name, cells in self._cells.items():
            kind, shape, _ = self._kinds[name]
            gone = np.array([cell is None for cell in cells], bool)
            if gone.any():
                absent[name] = gone
            if kind == "tensor":
                blank = np.zeros(shape, np.float32)
                tensors[name] = np.stack([blank if cell is None else cell for cell in cells])
            elif kind == "text":
                texts[name] = [cell or "" for cell in cells]
            else:
                index = np.array([0 if cell is None else cell for cell in cells], np.int64)
                pictures[name] = Pictures(np.stack(self._pixels), index)
        named = self._label_kind is not None and self._label_kind[0] == "text"
        label: Any = [str(label) for label in self._labels] if named else np.array(self._labels, np.float64)
        names = self._names[0] if self._names else ()
        places = self._places if len(self._places) == self._count else ()
        return Samples(tensors, pictures, texts, label, absent, names, places)


def _is_finite(value: Any) -> bool:
    """Whether a number is finite, and no whole number that is larger than every float."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def tensor_of(value: Any, place: str) -> NDArray[np.float32]:
    """The numbers of nested lists as float32; UserError for lists of unequal lengths and what is no finite number."""
    try:
        array = np.array(value)
    except ValueError:
        raise UserError(
            f"{place} has lists of different lengths: all lists of one level must have one length"
        ) from None
    if array.dtype.kind == "O" and array.size and all(type(entry) in (int, float) for entry in array.flat):
        array = np.array([entry if _is_finite(entry) else np.inf for entry in array.flat], float).reshape(array.shape)
    if array.dtype.kind == "O" or array.dtype.kind not in "iufb" or not array.size:
        raise UserError(f"{place} is {shorten(value)}: give a number, or lists of numbers")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if not np.isfinite(narrow).all():
        entry = tuple(int(part) for part in np.argwhere(~np.isfinite(narrow))[0])
        raise UserError(f"{place} is {array[entry]} at {list(entry)}: numbers must be finite, and within float32")
    return narrow


def faulty(label_B: Array, label_fault: LabelFault) -> tuple[int, str] | None:
    """The first label with a fault: its place and what is wrong; None where all are right."""
    for place in np.sort(np.unique(label_B, return_index=True)[1]):
        if (told := label_fault(float(label_B[place]))) is not None:
            return int(place), told
    return None


def stacked(kind: str, shape: tuple[int, ...], cells: Sequence[Any]) -> Column:
    """The column of the cells of some samples; of a sample whose cell is None zeros, or an empty text."""
    if kind == "text":
        return ["" if cell is None else cell for cell in cells]
    blank: Array = np.zeros(shape, np.uint8 if kind == "picture" else np.float32)
    numbers = np.stack([blank if cell is None else cell for cell in cells]) if cells else blank[None][:0]
    return Pictures(numbers, np.arange(len(cells))) if kind == "picture" else numbers


def some(column: Column, chosen: NDArray[np.bool_]) -> Column:
    """Some samples of a column; all of them without a copy."""
    if chosen.all():
        return column
    if isinstance(column, Pictures):
        return Pictures(column.pixels, column.index[chosen])
    return (
        column[chosen] if isinstance(column, np.ndarray) else [column[row] for row in np.flatnonzero(chosen).tolist()]
    )


def in_words(kind: str, shape: tuple[int, ...]) -> str:
    """A kind of column, for a message."""
    return f"a {kind}" + (f" of {' x '.join(map(str, shape))}" if shape else "")
