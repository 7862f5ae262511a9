"""What a decomposition may be asked: an entry, several entries, a slice, the best rows of a mode.

An index names one row of each mode, counted from 0 or by its label; null stands for every row of its mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten, unknown
from polyadic.lowrank.indices import Index, Mode, Modes, index_in_words, parse_indices

LARGEST_ANSWER_ENTRIES = 1_000_000
QUESTION_KEYS = ("index", "top_k", "exclude", "smallest")
INSTANCE_KEYS = (*QUESTION_KEYS, "indices", "fold_in")


@dataclass(frozen=True)
class Entry:
    """The entry at an index (N rows)."""

    index: tuple[int, ...]
    size: ClassVar[int] = 0


@dataclass(frozen=True)
class Entries:
    """The entries at B indices (B x N)."""

    index: NDArray[np.int64]
    size: ClassVar[int] = 0


@dataclass(frozen=True)
class Slice:
    """All entries whose index agrees where it is not null; size: how many they are."""

    index: Index
    size: int


@dataclass(frozen=True, kw_only=True)
class Top:
    """The rows of the one null mode of an index with the `size` largest values, or smallest.

    exclude: rows that are left out.
    """

    index: Index
    size: int
    mode: Mode
    exclude: tuple[int, ...] = ()
    smallest: bool = False


Question: TypeAlias = Entry | Entries | Slice | Top
"""`size` is the number of values that the answer may hold, 0 for single entries."""


def parse_question(instance: Mapping[str, Any], modes: Modes) -> Question:
    """The question that a JSON object asks of a tensor with these modes.

    Raises UserError for a question that cannot be answered.
    """
    if "indices" in instance:
        others = [key for key in instance if key not in ("indices", "fold_in")]
        if others:
            raise UserError(f"indices asks for single entries and stands alone: leave {' and '.join(others)} out")
        return Entries(parse_indices(instance["indices"], modes, "indices"))
    index = _parse_index(instance, modes)
    nulls = [mode for mode, row in zip(modes, index, strict=True) if row is None]
    if "top_k" in instance:
        return _parse_top(instance, index, nulls)
    for key in ("exclude", "smallest"):
        if key in instance:
            raise UserError(f'{key} goes with top_k, which is missing: give "top_k": 10, say, or leave {key} out')
    if not nulls:
        return Entry(tuple(row for row in index if row is not None))
    size = math.prod(mode.rows for mode in nulls)
    if size > LARGEST_ANSWER_ENTRIES:
        raise UserError(
            f"index {shorten(list(index))} asks for {size:,} entries: at most {LARGEST_ANSWER_ENTRIES:,} are answered. "
            "Give a row of one more mode, or ask for top_k along one"
        )
    return Slice(index, size)


def _parse_index(instance: Mapping[str, Any], modes: Modes) -> Index:
    cells = instance.get("index")
    if not isinstance(cells, list) or len(cells) != len(modes):
        raise wrong_instance(instance, modes)
    pairs = list(zip(modes, cells, strict=True))
    if not all(cell is None or mode.takes(cell) for mode, cell in pairs):
        raise wrong_instance(instance, modes)
    return tuple(None if cell is None else mode.row(cell, f"index[{n}]") for n, (mode, cell) in enumerate(pairs))


def _parse_top(instance: Mapping[str, Any], index: Index, nulls: Sequence[Mode]) -> Top:
    count, exclude, smallest = instance["top_k"], instance.get("exclude", []), instance.get("smallest", False)
    if len(nulls) != 1:
        raise UserError(
            f"top_k ranks the rows of one mode, and index {shorten(list(index))} has {len(nulls)} null modes: "
            "set null in the mode to rank and a row in each other"
        )
    mode = nulls[0]
    if type(count) is not int or count < 1:
        raise UserError(f"top_k is {shorten(count)}: it must be an integer, 1 or more")
    if not isinstance(smallest, bool):
        raise UserError(f"smallest is {shorten(smallest)}: it must be true or false")
    if not isinstance(exclude, list) or not all(map(mode.takes, exclude)):
        kinds = "integers or labels" if mode.labels else "integers"
        raise UserError(f"exclude is {shorten(exclude)}: it must be a list of rows of mode {mode.number}, {kinds}")
    size = min(count, mode.rows)
    if size > LARGEST_ANSWER_ENTRIES:
        raise UserError(f"top_k is {count:,}: at most {LARGEST_ANSWER_ENTRIES:,} rows are answered")
    rows = tuple(mode.row(cell, f"exclude[{n}]") for n, cell in enumerate(exclude))
    return Top(index=index, size=size, mode=mode, exclude=rows, smallest=smallest)


def refuse_unknown(keys: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises UserError for a key that is none of the known ones."""
    for key in keys:
        if key not in known:
            raise UserError(unknown("key", key, known))


def wrong_instance(instance: object, modes: Modes) -> UserError:
    """The error for an instance that has no form of a question."""
    form = f'an instance is {{"index": [...]}} with {index_in_words(modes)}, or null for every row of a mode'
    return UserError(f"got {shorten(instance)}: {form}")
