"""A question as JSON: what it becomes, and every refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyadic.errors import UserError
from polyadic.lowrank.indices import Mode
from polyadic.lowrank.questions import Entries, Entry, Question, Slice, Top, parse_question
from tests.helpers.small_models import MODES, PEOPLE

ASKED: list[tuple[dict[str, Any], Question]] = [
    ({"index": [2, 1, 3]}, Entry((2, 1, 3))),
    ({"index": [2, "bob", 3]}, Entry((2, 1, 3))),
    ({"index": [2, None, 3]}, Slice((2, None, 3), 5)),
    ({"index": [None, "eve", None]}, Slice((None, 4, None), 24)),
    ({"index": [None, None, None]}, Slice((None, None, None), 120)),
    (
        {"index": [2, None, 3], "top_k": 2, "exclude": ["eve", 0], "smallest": True},
        Top(index=(2, None, 3), size=2, mode=MODES[1], exclude=(4, 0), smallest=True),
    ),
    ({"index": [None, "bob", 3], "top_k": 100}, Top(index=(None, 1, 3), size=6, mode=MODES[0])),
]


@pytest.mark.parametrize(("instance", "question"), ASKED, ids=[str(number) for number in range(len(ASKED))])
def test_a_question_is_read(instance: dict[str, Any], question: Question) -> None:
    assert parse_question(instance, MODES) == question


def test_many_entries_are_one_question() -> None:
    question = parse_question({"indices": [[2, "bob", 3], [0, 0, 0]]}, MODES)
    assert isinstance(question, Entries) and question.size == 0
    np.testing.assert_array_equal(question.index, [[2, 1, 3], [0, 0, 0]])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "got {}: an instance is"),
    ({"index": []}, r"got {'index': \[\]}: an instance is {\"index\": \[...\]} with 3 integers"),
    ({"index": [1, 2]}, "with 3 integers"),
    ({"index": [1, 2, 3, 0]}, "with 3 integers"),
    ({"index": [1, 2, 3.0]}, "with 3 integers"),
    ({"index": [1, 2, True]}, "with 3 integers"),
    ({"index": [[1], 2, 3]}, "with 3 integers"),
    ({"index": ["0", 2, 3]}, "with 3 integers"),
    ({"index": "123"}, "with 3 integers"),
    ({"index": {"0": 1}}, "with 3 integers"),
    ({"index": [6, 0, 0]}, r"index\[0\] is 6: mode 0 has rows 0 to 5"),
    ({"index": [0, 0, -1]}, r"index\[2\] is -1: mode 2 has rows 0 to 3"),
    ({"index": [0, 10**30, 0]}, r"index\[1\] is 10+: mode 1 has rows 0 to 4"),
    (
        {"index": [0, "clio", 0]},
        r"index\[1\] is 'clio', which is no label of mode 1: did you mean 'cleo'\? its 5 labels are 'ann', ",
    ),
    ({"index": [0, "zzz", 0]}, "mode 1: its 5 labels are 'ann', 'bob', 'cleo', ..."),
    ({"index": [1, 2, 3], "indices": [[1, 2, 3]]}, "indices asks for single entries and stands alone: leave index out"),
    ({"indices": [[1, 2, 3]], "top_k": 1}, "leave top_k out"),
    ({"index": [1, 2, 3], "top_k": 1}, r"top_k ranks the rows of one mode, and index \[1, 2, 3\] has 0 null modes"),
    ({"index": [None, None, 3], "top_k": 1}, "has 2 null modes: set null in the mode to rank and a row in each other"),
    ({"index": [1, None, 3], "top_k": 0}, "top_k is 0: it must be an integer, 1 or more"),
    ({"index": [1, None, 3], "top_k": True}, "top_k is True: it must be"),
    ({"index": [1, None, 3], "top_k": 2.0}, "top_k is 2.0: it must be"),
    ({"index": [1, None, 3], "exclude": [1]}, "exclude goes with top_k, which is missing"),
    ({"index": [1, 2, 3], "smallest": True}, "smallest goes with top_k, which is missing"),
    ({"index": [1, None, 3], "top_k": 1, "smallest": 1}, "smallest is 1: it must be true or false"),
    ({"index": [1, None, 3], "top_k": 1, "exclude": "ann"}, "exclude is 'ann': it must be a list of rows of mode 1"),
    ({"index": [1, None, 3], "top_k": 1, "exclude": [1.5]}, r"exclude is \[1.5\]: .*integers or labels"),
    (
        {"index": [None, 1, 3], "top_k": 1, "exclude": ["a"]},
        r"exclude is \['a'\]: it must be a list of rows of mode 0, i",
    ),
    ({"index": [1, None, 3], "top_k": 1, "exclude": [0, 5]}, r"exclude\[1\] is 5: mode 1 has rows 0 to 4"),
    ({"index": [1, None, 3], "top_k": 1, "exclude": ["bop"]}, r"exclude\[0\] is 'bop', .* did you mean 'bob'"),
]


@pytest.mark.parametrize(("instance", "message"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_cannot_be_answered_is_refused(instance: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_question(instance, MODES)


def test_a_slice_has_a_limit_that_a_ranking_has_not() -> None:
    modes = (Mode(0, 3000), Mode(1, 2000), Mode(2, 3))
    with pytest.raises(
        UserError,
        match=r"index \[None, None, 1\] asks for 6,000,000 entries: at most 1,000,000 are answered. Give a row of one",
    ):
        parse_question({"index": [None, None, 1]}, modes)
    assert parse_question({"index": [None, 5, 1]}, modes).size == 3000
    large = (Mode(0, 1_000_001), Mode(1, 2))
    assert parse_question({"index": [None, 1], "top_k": 2}, large).size == 2
    with pytest.raises(UserError, match="top_k is 2,000,000: at most 1,000,000 rows are answered"):
        parse_question({"index": [None, 1], "top_k": 2_000_000}, large)


def test_labels_name_the_rows_that_are_excluded() -> None:
    question = parse_question({"index": [0, None, 0], "top_k": 1, "exclude": list(PEOPLE)}, MODES)
    assert isinstance(question, Top) and question.exclude == (0, 1, 2, 3, 4)
