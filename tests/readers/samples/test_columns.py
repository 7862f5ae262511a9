"""Rows become columns of tensors, pictures and texts; a row that is unlike the others is told with its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.readers.samples.columns import Gathering, tensor_of

SHOWN = {"a.png": np.zeros((2, 3, 1), np.uint8), "b.png": np.full((2, 3, 1), 7, np.uint8)}


def picture(name: str) -> NDArray[np.uint8]:
    """A picture of those that are there."""
    if name not in SHOWN:
        raise UserError(f"there is no {name}")
    return SHOWN[name]


def gathered(*rows: dict[str, Any], missing: bool = False) -> Any:
    """The samples of rows."""
    gathering = Gathering(picture, missing=missing)
    for number, row in enumerate(rows):
        gathering.add(row, f"line {number}")
    return gathering.samples()


def test_lists_texts_numbers_and_pictures_have_columns_of_their_own() -> None:
    samples = gathered(
        {"label": 1, "x": [[1, 2], [3, 4]], "question": "red?", "age": 3, "size": 1.5, "file": "b.png"},
        {"label": 0, "x": [[5, 6], [7, 8]], "question": "", "age": 4, "size": 2.5, "file": "a.png"},
        {"label": 1, "x": [[0, 0], [0, 0]], "question": "blue", "age": 5, "size": 0, "file": "b.png"},
    )
    assert len(samples) == 3
    assert samples.tensors["x"].shape == (3, 2, 2)
    assert samples.tensors["features"].tolist() == [[3, 1.5], [4, 2.5], [5, 0]]
    assert samples.texts["question"] == ["red?", "", "blue"]
    assert samples.pictures["picture"].pixels.shape == (2, 2, 3, 1)
    assert samples.pictures["picture"].index.tolist() == [0, 1, 0]
    assert samples.label.tolist() == [1, 0, 1]
    assert samples.kinds == {
        "x": ("tensor", (2, 2)),
        "features": ("vector of age, size,", (2,)),
        "picture": ("picture", (2, 3, 1)),
        "question": ("text", ()),
    }
    assert not samples.absent


def test_labels_may_be_names() -> None:
    assert gathered({"label": "red", "x": [1]}, {"label": "blue", "x": [2]}).label == ["red", "blue"]
    assert gathered({"label": True, "x": [1]}).label.tolist() == [1]


def test_what_is_missing_is_refused_or_marked() -> None:
    rows = ({"label": 1, "x": [1, 2]}, {"label": 0, "x": None, "t": "a"}, {"label": 0, "t": "b", "file": "a.png"})
    with pytest.raises(UserError, match="line 1: x is missing, which other rows have"):
        gathered(*rows)
    samples = gathered(*rows, missing=True)
    assert samples.tensors["x"].tolist() == [[1, 2], [0, 0], [0, 0]]
    assert {name: marks.tolist() for name, marks in samples.absent.items()} == {
        "x": [False, True, True], "t": [True, False, False], "picture": [True, True, False]
    }  # fmt: skip
    with pytest.raises(UserError, match="line 1: .*t is missing|line 0"):
        gathered({"label": 1, "x": [1], "t": "a"}, {"label": 1, "x": [2]})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": 1, "x": [1, 2, 3]}, "line 1: x is a tensor of 3, and a tensor of 2 in line 0"),
        ({"label": 1, "x": "text"}, "x is a text, and a tensor of 2"),
        ({"label": 1, "x": [[1], [2, 3]]}, "lists of different lengths"),
        ({"label": 1, "x": [1, float("nan")]}, r"nan at \[1\]"),
        ({"label": 1, "x": [1, 1e300]}, "within float32"),
        ({"label": 1, "x": ["a", "b"]}, "lists of numbers"),
        ({"label": 1, "x": []}, "lists of numbers"),
        ({"label": 1, "x": {"a": 1}}, "lists of numbers"),
        ({"label": None, "x": [1, 2]}, "line 1: label is None: give each row"),
        ({"x": [1, 2]}, "label is None"),
        ({"label": [1], "x": [1, 2]}, "give each row a number"),
        ({"label": "red", "x": [1, 2]}, "a text, and a number in line 0"),
        ({"label": float("inf"), "x": [1, 2]}, "leave out"),
        ({"label": 1}, "nothing but a label"),
        ({"label": 1, "x": [1, 2], "file": "c.png"}, "line 1: there is no c.png"),
        ({"label": 1, "x": [1, 2], "file": 3}, "name of a picture's file"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_row_that_is_no_sample_is_told_with_its_place(row: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        gathered({"label": 1, "x": [1, 2]}, row)
    assert str(refused.value).startswith("line 1")


def test_pictures_of_two_sizes_are_told_with_both_files() -> None:
    SHOWN["wide.png"] = np.zeros((2, 4, 1), np.uint8)
    with pytest.raises(UserError, match=r"line 1, wide\.png: picture is a picture of 2 x 4 x 1, and .* line 0, a\.png"):
        gathered({"label": 1, "file": "a.png"}, {"label": 1, "file": "wide.png"})


def test_numbers_of_lists_are_float32() -> None:
    assert tensor_of([[1, 2.5]], "x").dtype == np.float32
    assert tensor_of(3, "x").shape == ()


def test_numbers_are_put_in_order_by_the_names_of_their_columns() -> None:
    samples = gathered({"label": 1, "b": 2, "a": 1}, {"a": 3, "label": 0, "b": 4})
    assert samples.names == ("b", "a")
    assert samples.tensors["features"].tolist() == [[2, 1], [4, 3]]
    for second, said in (
        ({"label": 0, "a": 1, "c": 2}, "line 1: c is 2, and the numbers of line 0 are in b, a"),
        ({"label": 0, "a": 1, "b": None}, "line 1: b is missing, which line 0 has"),
        ({"label": 0, "a": 1, "b": "text"}, "line 1: b is .*text"),
        ({"label": 0, "a": 1, "b": 10**400}, r"line 1: features is inf at \[0\]"),
    ):
        with pytest.raises(UserError, match=said):
            gathered({"label": 1, "b": 2, "a": 1}, second)
    partial = gathered({"label": 1, "b": 2, "a": 1}, {"label": 0, "a": 1, "b": None, "t": "x"}, missing=True)
    assert partial.absent["features"].tolist() == [False, True]


def test_whole_numbers_beyond_every_float_are_told() -> None:
    with pytest.raises(UserError, match="label is .*: it must be finite"):
        gathered({"label": 10**400, "x": [1]})
    assert gathered({"label": 10**25, "x": [10**25]}).label.tolist() == [1e25]
