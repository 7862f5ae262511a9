"""An instance of a request: which query it is, and what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.lowrank.fold_in import FoldIn
from polyadic.lowrank.indices import Mode
from polyadic.lowrank.queries import parse_entries, parse_query
from polyadic.lowrank.questions import Entry, Slice
from tests.helpers.small_models import MODES


def test_a_list_is_an_index() -> None:
    for instance in ([2, "bob", 3], {"index": [2, 1, 3]}):
        assert parse_query(instance, MODES, 1.0) == Entry((2, 1, 3))
    assert parse_query([2, None, 3], MODES, 1.0) == Slice((2, None, 3), 5)


def test_an_object_with_fold_in_is_a_new_slab() -> None:
    query = parse_query({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}}, MODES, 1.0)
    assert isinstance(query, FoldIn)
    with pytest.raises(UserError, match="up to 0.5"):
        parse_query({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}}, MODES, 0.5)


REFUSED: list[tuple[Any, str]] = [
    (7, r"got 7: an instance is {\"index\": \[...\]} with 3 integers \(or labels, in mode 1\), or null"),
    ("ann", "got 'ann': an instance is"),
    (None, "got None: an instance is"),
    ([], r"got {'index': \[\]}: an instance is"),
    ({"indexes": [1, 2, 3]}, r"unknown key 'indexes': did you mean 'index"),
]


@pytest.mark.parametrize(("instance", "message"), REFUSED)
def test_what_is_no_query_is_refused(instance: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_query(instance, MODES, 1.0)


ROWS = st.one_of(st.integers(-2, 4), st.sampled_from([True, None, 1.0, "1", 2**70, [0]]))
INDEX = st.one_of(st.lists(st.integers(0, 2), min_size=3, max_size=3), st.lists(ROWS, max_size=4))


@given(st.lists(st.one_of(INDEX, INDEX.map(lambda index: {"index": index})), min_size=1, max_size=4))
def test_what_is_parsed_together_is_what_each_is_alone(instances: list[object]) -> None:
    modes = tuple(Mode(number, 3, None, None) for number in range(3))
    together = parse_entries(instances, modes)
    if together is not None:
        assert together == [parse_query(instance, modes, 1e300) for instance in instances]
    usual = [row if isinstance(row, list) else row["index"] for row in instances]  # type: ignore[index]
    if all(len(row) == 3 and all(type(cell) is int and 0 <= cell < 3 for cell in row) for row in usual):
        assert together is not None
    labelled = (Mode(0, 3, ("0", "1", "2"), None), *modes[1:])
    assert parse_entries(instances, labelled) is None
