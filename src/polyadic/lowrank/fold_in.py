"""A new slab of a decomposed tensor: its JSON form, checked.

A slab is what one row of a mode holds: the tensor without that mode. A slab comes whole, as nested lists in which null
stands for an entry that was not observed, or as the values of single entries.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.lowrank.indices import Modes, parse_indices
from polyadic.lowrank.questions import Question, parse_question, refuse_unknown

LARGEST_SLAB_ENTRIES = 10_000_000
SLAB_KEYS = ("mode", "slab", "indices", "values", "absent")


@dataclass(frozen=True, kw_only=True)
class FoldIn:
    """A new slab along `mode`, and what is asked about it; the index of the question leaves that mode out.

    values: the whole slab (the other modes, NaN where not observed), or, with `index` (B x (N - 1)), B entries of it.
    zeros: whether the entries that are not among these are zeros; otherwise they were not observed.
    """

    mode: int
    values: NDArray[np.float64]
    index: NDArray[np.int64] | None = None
    zeros: bool = False
    question: Question | None = None

    @property
    def size(self) -> int:
        """The number of values that the answer holds beside the embedding."""
        return self.question.size if self.question else 0


def parse_fold_in(instance: Mapping[str, Any], modes: Modes, largest: float) -> FoldIn:
    """The slab in `fold_in` of a JSON object, and the question beside it.

    largest: the largest number that the model's precision can hold. Raises UserError for what is not valid.
    """
    slab = instance["fold_in"]
    sparse = isinstance(slab, dict) and "slab" not in slab
    required = {"mode", "indices", "values"} if sparse else {"mode", "slab"}
    if not isinstance(slab, dict) or not required <= slab.keys():
        raise UserError(
            f'fold_in is {shorten(slab)}: it must be {{"mode": 0, "slab": [...]}}, the other modes nested and null '
            'where nothing was observed, or {"mode": 0, "indices": [[...], ...], "values": [...]}'
        )
    refuse_unknown(slab, SLAB_KEYS)
    mode = slab["mode"]
    if type(mode) is not int or not 0 <= mode < len(modes):
        raise UserError(f"fold_in.mode is {shorten(mode)}: it must be an integer from 0 to {len(modes) - 1}")
    others = modes[:mode] + modes[mode + 1 :]
    question = _parse_question_beside(instance, mode, others)
    if not sparse:
        return FoldIn(mode=mode, values=_parse_slab(slab, others, largest), question=question)
    index = parse_indices(slab["indices"], others, "fold_in.indices")
    values = _parse_values(slab["values"], len(index), largest)
    zeros = _parse_absent(slab, others)
    _refuse_duplicates(index)
    return FoldIn(mode=mode, values=values, index=index, zeros=zeros, question=question)


def _parse_question_beside(instance: Mapping[str, Any], mode: int, others: Modes) -> Question | None:
    keys = {key: value for key, value in instance.items() if key != "fold_in"}
    if not keys:
        return None
    try:
        return parse_question(keys, others)
    except UserError as error:
        raise UserError(f"beside fold_in, whose mode {mode} the index leaves out: {error}") from None


def _parse_slab(slab: Mapping[str, Any], others: Modes, largest: float) -> NDArray[np.float64]:
    beside = [key for key in slab if key not in ("mode", "slab")]
    if beside:
        raise UserError(f"fold_in has slab and {' and '.join(beside)}: give the slab whole, or its entries, not both")
    shape = [mode.rows for mode in others]
    numbers = _flatten(slab["slab"], shape, "fold_in.slab")
    try:
        values = np.array(numbers, dtype=np.float64).reshape(shape)
    except OverflowError:  # A whole number of more than 308 digits.
        huge = next(number for number in numbers if number is not None and abs(number) > largest)
        raise UserError(f"fold_in.slab holds {shorten(huge)}: {_FINITE}, up to {largest:.3g}") from None
    beyond = np.abs(values) > largest
    if beyond.any():
        place = np.argwhere(beyond)[0].tolist()
        raise UserError(f"fold_in.slab holds {values[tuple(place)]} at {place}: {_FINITE}, up to {largest:.3g}")
    if np.isnan(values).all():
        raise UserError("fold_in.slab holds nothing but null: give at least one observed entry")
    return values


def _flatten(nested: Any, shape: Sequence[int], where: str) -> list[float | None]:
    """The numbers of nested lists; UserError where they are not nested as the shape says."""
    if not isinstance(nested, list) or len(nested) != shape[0]:
        form = f"nested lists, {' x '.join(map(str, shape))}" if len(shape) > 1 else f"a list of {shape[0]} numbers"
        raise UserError(f"{where} is {_length_in_words(nested)}: it must be {form}")
    if len(shape) > 1:
        parts = [_flatten(part, shape[1:], f"{where}[{n}]") for n, part in enumerate(nested)]
        return list(itertools.chain.from_iterable(parts))
    if not set(map(type, nested)) <= {int, float, type(None)}:
        wrong = next(value for value in nested if type(value) not in (int, float, type(None)))
        raise UserError(f"{where} holds {shorten(wrong)}: {_FINITE}")
    return nested


def _parse_values(values: Any, count: int, largest: float) -> NDArray[np.float64]:
    if not isinstance(values, list) or len(values) != count:
        raise UserError(
            f"fold_in.values is {_length_in_words(values)}: it must be a list of {count} numbers, as long as indices"
        )
    wrong = [value for value in values if type(value) not in (int, float) or not abs(value) <= largest]
    if wrong:
        raise UserError(
            f"fold_in.values holds {shorten(wrong[0])}: give finite numbers, up to {largest:.3g}, and leave other "
            "entries out"
        )
    return np.array(values, dtype=np.float64)


def _parse_absent(slab: Mapping[str, Any], others: Modes) -> bool:
    """Whether the entries that are not given are zeros."""
    absent, size = slab.get("absent", "missing"), math.prod(mode.rows for mode in others)
    if absent not in ("missing", "zeros"):
        raise UserError(f"fold_in.absent is {shorten(absent)}: it must be 'missing' or 'zeros'")
    if absent == "zeros" and size > LARGEST_SLAB_ENTRIES:
        raise UserError(
            f"the slab has {size:,} entries: with absent 'zeros' at most {LARGEST_SLAB_ENTRIES:,} are taken. "
            "Leave absent out, so that the given entries alone count"
        )
    return bool(absent == "zeros")


def _refuse_duplicates(index: NDArray[np.int64]) -> None:
    _, first, inverse = np.unique(index, axis=0, return_index=True, return_inverse=True)
    earliest = first[inverse.reshape(-1)]
    repeated = np.flatnonzero(earliest != np.arange(len(index)))
    if len(repeated):
        again = int(repeated[0])
        raise UserError(
            f"fold_in.indices[{again}] names the entry of indices[{earliest[again]}] again: give each entry once"
        )


def _length_in_words(value: object) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else shorten(value)


_FINITE = "give finite numbers, and null where nothing was observed"
