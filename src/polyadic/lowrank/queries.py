"""An instance of a request -> a checked query: a question about the tensor, or a new slab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from polyadic.lowrank.fold_in import FoldIn, parse_fold_in
from polyadic.lowrank.indices import Modes
from polyadic.lowrank.questions import INSTANCE_KEYS, Entry, Question, parse_question, refuse_unknown, wrong_instance

Query: TypeAlias = Question | FoldIn


def parse_entries(instances: Sequence[object], modes: Modes) -> list[Query] | None:
    """The queries of instances each of which is one entry, by the numbers of its rows; None where any is not."""
    if any(mode.labels is not None for mode in modes):
        return None
    cells: list[Any] = [
        instance["index"] if type(instance) is dict and len(instance) == 1 and "index" in instance else instance
        for instance in instances
    ]
    if not all(type(row) is list and len(row) == len(modes) and set(map(type, row)) == {int} for row in cells):
        return None
    try:
        index = np.array(cells, dtype=np.int64)
    except OverflowError:
        return None
    if (index < 0).any() or (index >= [mode.rows for mode in modes]).any():
        return None
    return [Entry(tuple(row)) for row in cells]


def parse_query(instance: object, modes: Modes, largest: float) -> Query:
    """The query of an instance: a JSON object, or an index alone, as a list with N rows.

    largest: the largest number that the model's precision can hold. Raises UserError for anything else.
    """
    if isinstance(instance, list):
        instance = {"index": instance}
    if not isinstance(instance, dict):
        raise wrong_instance(instance, modes)
    refuse_unknown(instance, INSTANCE_KEYS)
    if "fold_in" in instance:
        return parse_fold_in(instance, modes, largest)
    return parse_question(instance, modes)
