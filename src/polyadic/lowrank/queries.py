"""What a decomposition may be asked: JSON values, rows of a table or arrays in, checked questions out.

An index has a row a mode, counted from 0 or named by its label; null stands for every row of its mode.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.jobs import hyperparameters as hyper
from polyadic.lowrank.indices import Index, Mode, Modes, cells, parse_indices

LARGEST_ANSWER = 1_000_000
LARGEST_SLAB = 10_000_000

QUESTION = ("index", "top_k", "exclude", "smallest")
INSTANCE = (*QUESTION, "indices", "fold_in")
SLAB = ("mode", "slab", "indices", "values", "absent")


@dataclass(frozen=True)
class Entry:
    """The entry at an index."""

    index: tuple[int, ...]
    size = 0


@dataclass(frozen=True)
class Entries:
    """The entries at B indices (B x N)."""

    index: NDArray[np.int64]
    size = 0


@dataclass(frozen=True)
class Slice:
    """All entries whose index agrees where it is not null."""

    index: Index
    size: int


@dataclass(frozen=True)
class Top:
    """The rows of the one null mode with the `size` largest values, or smallest."""

    index: Index
    size: int
    mode: Mode
    exclude: tuple[int, ...] = ()
    smallest: bool = False


Question: TypeAlias = Entry | Entries | Slice | Top


@dataclass(frozen=True)
class FoldIn:
    """A slab that is new in `mode`, and what is asked about it; its index leaves that mode out.

    `values` are the whole slab, NaN where it was not observed; or, with `index` (B x (N - 1)), those of B entries.
    """

    mode: int
    values: NDArray[np.float64]
    index: NDArray[np.int64] | None = None
    zeros: bool = False
    question: Question | None = None

    @property
    def size(self) -> int:
        """Entries of the answer beside the embedding."""
        return self.question.size if self.question else 0


Query: TypeAlias = Question | FoldIn


def parse(instance: object, modes: Modes, largest: float) -> Query:
    """The question that an instance asks; UserError for anything else. `largest`: what the model's numbers can hold."""
    if isinstance(instance, list):
        instance = {"index": instance}
    if not isinstance(instance, dict):
        raise UserError(f"got {shorten(instance)}: {_wanted(modes)}")
    _refuse_unknown(instance, INSTANCE)
    if "fold_in" in instance:
        return _parse_fold_in(instance, modes, largest)
    return _parse_question(instance, modes)


def _parse_question(instance: Mapping[str, Any], modes: Modes) -> Question:
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
    if size > LARGEST_ANSWER:
        raise UserError(
            f"index {shorten(list(index))} asks for {size:,} entries: at most {LARGEST_ANSWER:,} are answered. "
            "Give a row of one more mode, or ask for top_k along one"
        )
    return Slice(index, size)


def _parse_index(instance: Mapping[str, Any], modes: Modes) -> Index:
    got = instance.get("index")
    fits = isinstance(got, list) and len(got) == len(modes)
    if not fits or not all(cell is None or mode.takes(cell) for mode, cell in zip(modes, got or (), strict=True)):
        raise UserError(f"got {shorten(instance)}: {_wanted(modes)}")
    cells = enumerate(zip(modes, got or (), strict=True))
    return tuple(None if cell is None else mode.row(cell, f"index[{n}]") for n, (mode, cell) in cells)


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
    if size > LARGEST_ANSWER:
        raise UserError(f"top_k is {count:,}: at most {LARGEST_ANSWER:,} rows are answered")
    rows = tuple(mode.row(one, f"exclude[{n}]") for n, one in enumerate(exclude))
    return Top(index, size, mode, rows, smallest)


def _parse_fold_in(instance: Mapping[str, Any], modes: Modes, largest: float) -> FoldIn:
    got = instance["fold_in"]
    sparse = isinstance(got, dict) and "slab" not in got
    wanted = {"mode", "indices", "values"} if sparse else {"mode", "slab"}
    if not isinstance(got, dict) or not wanted <= got.keys():
        raise UserError(
            f'fold_in is {shorten(got)}: it must be {{"mode": 0, "slab": [...]}}, the other modes nested and null '
            'where nothing was observed, or {"mode": 0, "indices": [[...], ...], "values": [...]}'
        )
    _refuse_unknown(got, SLAB)
    mode = got["mode"]
    if type(mode) is not int or not 0 <= mode < len(modes):
        raise UserError(f"fold_in.mode is {shorten(mode)}: it must be an integer from 0 to {len(modes) - 1}")
    others = modes[:mode] + modes[mode + 1 :]
    asked = {key: value for key, value in instance.items() if key != "fold_in"}
    try:
        question = _parse_question(asked, others) if asked else None
    except UserError as error:
        raise UserError(f"beside fold_in, whose mode {mode} the index leaves out: {error}") from None
    if not sparse:
        return FoldIn(mode, _parse_slab(got, others, largest), question=question)
    index, values, zeros = _parse_entries(got, others, largest)
    return FoldIn(mode, values, index, zeros, question)


def _parse_slab(got: Mapping[str, Any], others: Modes, largest: float) -> NDArray[np.float64]:
    beside = [key for key in got if key not in ("mode", "slab")]
    if beside:
        raise UserError(f"fold_in has slab and {' and '.join(beside)}: give the slab whole, or its entries, not both")
    shape = [mode.rows for mode in others]
    slab = np.array(_flatten(got["slab"], shape, "fold_in.slab"), dtype=np.float64).reshape(shape)
    huge = np.abs(slab) > largest
    if huge.any():
        place = np.argwhere(huge)[0].tolist()
        raise UserError(f"fold_in.slab holds {slab[tuple(place)]} at {place}: {_GAP}, up to {largest:.3g}")
    if np.isnan(slab).all():
        raise UserError("fold_in.slab holds nothing but null: give at least one observed entry")
    return slab


def _flatten(got: Any, shape: Sequence[int], where: str) -> list[float | None]:
    """The numbers of nested lists; UserError where they are not nested as the shape says."""
    if not isinstance(got, list) or len(got) != shape[0]:
        length = f"a list of {len(got)}" if isinstance(got, list) else shorten(got)
        nested = f"nested lists, {' x '.join(map(str, shape))}" if len(shape) > 1 else f"a list of {shape[0]} numbers"
        raise UserError(f"{where} is {length}: it must be {nested}")
    if len(shape) > 1:
        parts = [_flatten(one, shape[1:], f"{where}[{n}]") for n, one in enumerate(got)]
        return list(itertools.chain.from_iterable(parts))
    if not set(map(type, got)) <= {int, float, type(None)}:
        wrong = next(one for one in got if type(one) not in (int, float, type(None)))
        raise UserError(f"{where} holds {shorten(wrong)}: {_GAP}")
    return got


def _parse_entries(
    got: Mapping[str, Any], others: Modes, largest: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
    index = parse_indices(got["indices"], others, "fold_in.indices")
    values, absent = got["values"], got.get("absent", "missing")
    if not isinstance(values, list) or len(values) != len(index):
        count = f"a list of {len(values)}" if isinstance(values, list) else shorten(values)
        raise UserError(f"fold_in.values is {count}: it must be a list of {len(index)} numbers, as long as indices")
    wrong = [one for one in values if type(one) not in (int, float) or not abs(one) <= largest]
    if wrong:
        raise UserError(
            f"fold_in.values holds {shorten(wrong[0])}: give finite numbers, up to {largest:.3g}, and leave other "
            "entries out"
        )
    if absent not in ("missing", "zeros"):
        raise UserError(f"fold_in.absent is {shorten(absent)}: it must be 'missing' or 'zeros'")
    size = math.prod(mode.rows for mode in others)
    if absent == "zeros" and size > LARGEST_SLAB:
        raise UserError(
            f"the slab has {size:,} entries: with absent 'zeros' at most {LARGEST_SLAB:,} are taken. "
            "Leave absent out, so that the given entries alone count"
        )
    _refuse_duplicates(index)
    return index, np.array(values, dtype=np.float64), absent == "zeros"


def _refuse_duplicates(index: NDArray[np.int64]) -> None:
    _, first, which = np.unique(index, axis=0, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[which.reshape(-1)] != np.arange(len(index)))
    if len(repeated):
        again = int(repeated[0])
        raise UserError(
            f"fold_in.indices[{again}] names the entry of indices[{first[which.reshape(-1)[again]]}] again: "
            "give each entry once"
        )


def _refuse_unknown(got: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in got:
        if key not in known:
            raise UserError(hyper.unknown("key", key, known))


def _wanted(modes: Modes) -> str:
    return f'an instance is {{"index": [...]}} with {cells(modes)}, or null for every row of a mode'


_GAP = "give finite numbers, and null where nothing was observed"
