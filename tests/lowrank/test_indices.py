"""Rows by number and label, indices of many entries: what is read, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyadic.errors import UserError
from polyadic.lowrank.indices import LABELS_COMPARED, Mode, index_in_words, parse_indices
from tests.helpers.small_models import MODES, PEOPLE

ROWS = [[0, 0, 0], [5, 4, 3], [2, 1, 3]]
LABELLED = [[i, PEOPLE[j], k] for i, j, k in ROWS]
ARRAYS = [np.array(ROWS), np.array(ROWS, np.uint8), np.array(ROWS, ">i4")]


@pytest.mark.parametrize("value", [ROWS, LABELLED, [LABELLED[0], *ROWS[1:]], *ARRAYS], ids=str)
def test_lists_of_rows_and_labels_and_arrays_of_integers_are_indices(value: Any) -> None:
    index = parse_indices(value, MODES, "indices")
    assert index.dtype == np.int64
    assert index.tolist() == ROWS


REFUSED: list[tuple[Any, str]] = [
    ([], r"indices is \[\]: it must be a list of one or more lists with 3 integers"),
    (5, "indices is 5: it must be a list"),
    ([1, 2, 3], r"indices\[0\] is 1: it must be a list with 3 integers"),
    ([[1, 2, 3], [1, 2]], r"indices\[1\] is \[1, 2\]: it must be a list with 3 integers"),
    ([[1, 2, None]], r"indices\[0\] is \[1, 2, None\]: it must be"),
    ([[1, 2, 3], [1, 2, False]], r"indices\[1\] is \[1, 2, False\]: it must be"),
    ([[1, 2, 3], [0, 0, 4]], r"indices\[1\]\[2\] is 4: mode 2 has rows 0 to 3"),
    ([[1, 2, 3], [0, 2**63, 0]], r"indices\[1\]\[1\] is 9223372036854775808: mode 1 has rows"),
    ([[1, 2, 3], [0, 10**30, 0]], r"indices\[1\]\[1\] is 10+: mode 1 has rows"),
    ([[1, "ann", 3], [0, "anna", 0]], r"indices\[1\]\[1\] is 'anna', .* did you mean 'ann'\?"),
    (np.zeros((2, 3)), "got an array of float64, 2 x 3: it must be one of integers, B x 3"),
    (np.zeros((2, 3), bool), "got an array of bool, 2 x 3"),
    (np.zeros((2, 2), int), "got an array of int64, 2 x 2"),
    (np.zeros(3, int), "got an array of int64, 3: it must"),
    (np.array(3), "got an array of int64, single number: it must"),
    (np.zeros((0, 3), int), "got an array of int64, 0 x 3"),
    (np.array([[0, 0, 0], [0, 0, 4]], np.uint64), r"indices\[1\]\[2\] is 4: mode 2"),
    (np.array([[0, -1, 0]], np.int8), r"indices\[0\]\[1\] is -1: mode 1"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_is_no_list_of_indices_is_refused(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_indices(value, MODES, "indices")


def test_a_mode_with_labels_takes_text_and_integers() -> None:
    labelled, plain = Mode(1, 5, PEOPLE), Mode(0, 6)
    assert [labelled.takes(cell) for cell in (3, "ann", "nobody", True, 1.0, None)] == [True, True, True, *[False] * 3]
    assert [plain.takes(cell) for cell in (3, "ann", True)] == [True, False, False]
    assert [labelled.row(cell, "here") for cell in (3, "dan")] == [3, 3]


def test_a_row_that_the_mode_lacks_is_refused() -> None:
    for cell, message in ((6, "x is 6: mode 0 has rows 0 to 5"), (-1, "x is -1: mode 0 has rows")):
        with pytest.raises(UserError, match=message):
            Mode(0, 6).row(cell, "x")
    with pytest.raises(UserError, match="x is 'clio', which is no label of mode 1: did you mean 'cleo'"):
        Mode(1, 5, PEOPLE).row("clio", "x")
    with pytest.raises(UserError, match="mode 1: its 2 labels are 'a', 'b'$"):
        Mode(1, 2, ("a", "b")).row("zzz", "x")


NUMBERS = Mode(0, 4, ("0", "2", "3", "x17"), "user")
"""Labels of which some are numbers: row 1 is "2", and row 2 is "3"."""


def test_a_number_that_may_mean_two_rows_is_refused() -> None:
    assert NUMBERS.row("2", "x") == 1 and NUMBERS.row("x17", "x") == 3
    assert NUMBERS.row(0, "x") == 0 and NUMBERS.row(1, "x") == 1
    message = r'x is 2, which mode 0 \(user\) has as a label too, of row 1: write "2" for that label, or "3" for row 2'
    with pytest.raises(UserError, match=message):
        NUMBERS.row(2, "x")
    with pytest.raises(UserError, match=r'write "3" for that label, or "x17" for row 3'):
        parse_indices(np.array([[0], [3]]), (NUMBERS,), "x")
    with pytest.raises(UserError, match='has rows 0 to 1, or labels: write "7"'):
        Mode(0, 2, ("5", "7")).row(7, "x")
    assert parse_indices(np.array([[0], [1]]), (NUMBERS,), "x").tolist() == [[0], [1]]


@pytest.mark.parametrize("label", ["01", "-1", "1.0", "+2", " 3", "٣", "1" * 30, ""])
def test_a_label_that_is_no_plain_number_is_never_mistaken(label: str) -> None:
    assert not len(Mode(0, 9, (label, *(f"{row} x" for row in range(8)))).ambiguous)


def test_the_nearest_label_is_looked_for_among_the_first_labels_only() -> None:
    mode = Mode(0, 200_000, tuple(f"row {number}" for number in range(200_000)))
    assert mode.row("row 199999", "index[0]") == 199_999
    with pytest.raises(
        UserError, match=r"did you mean 'row 77'\? its 200000 labels are 'row 0', 'row 1', 'row 2', \.\.\."
    ):
        mode.row("raw 77", "index[0]")
    beyond = Mode(0, LABELS_COMPARED + 1, (*(str(number) for number in range(LABELS_COMPARED)), "violet"))
    with pytest.raises(UserError, match="no label of mode 0: its 10001 labels are '0', "):
        beyond.row("violets", "index[0]")


def test_an_index_is_told_in_words() -> None:
    assert index_in_words(MODES) == "3 integers (or labels, in mode 1)"
    assert index_in_words(MODES[:1]) == "1 integer"
    assert index_in_words((Mode(0, 1, ("a",)), Mode(1, 1, ("b",)))) == "2 integers (or labels, in mode 0 and 1)"
