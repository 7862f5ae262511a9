"""An instance of a request -> a checked query: a question about the tensor, or a new slab."""

from __future__ import annotations

from typing import TypeAlias

from polyadic.lowrank.fold_in import FoldIn, parse_fold_in
from polyadic.lowrank.indices import Modes
from polyadic.lowrank.questions import INSTANCE_KEYS, Question, parse_question, refuse_unknown, wrong_instance

Query: TypeAlias = Question | FoldIn


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
