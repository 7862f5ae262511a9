"""Answers against the dense tensor: entries, slices, rankings, tables."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.errors import UserError
from polyadic.lowrank import answers
from polyadic.lowrank.questions import Entries, Entry, Question, Slice, Top
from tests.helpers.small_models import MODES, PEOPLE, answers_of, rank_one_model, small_cp

MODEL, DENSE = small_cp()
ask = partial(answers_of, MODEL)


def test_an_entry_by_rows_by_label_and_in_short() -> None:
    for instance in ({"index": [2, 1, 3]}, {"index": [2, "bob", 3]}, [2, 1, 3], [2, "bob", 3]):
        assert ask(instance) == [{"value": pytest.approx(DENSE[2, 1, 3].item(), rel=1e-12)}]


def test_many_entries_in_one_instance() -> None:
    rows = [[0, 0, 0], [5, 4, 3], [2, 1, 3]]
    expected = [DENSE[tuple(row)].item() for row in rows]
    labelled = [[i, PEOPLE[j], k] for i, j, k in rows]
    for value in (rows, labelled, np.array(rows), np.array(rows, np.uint8), np.array(rows, ">i4")):
        assert ask({"indices": value}) == [{"values": pytest.approx(expected, rel=1e-12)}]


@pytest.mark.parametrize(
    "index",
    [
        [2, None, 3],
        [None, 1, 3],
        [2, 1, None],
        [None, None, 3],
        [None, "eve", None],
        [5, None, None],
        [None, None, None],
    ],
)
def test_a_slice_has_the_null_modes_in_their_order(index: list[Any]) -> None:
    place = tuple(slice(None) if row is None else 4 if row == "eve" else row for row in index)
    np.testing.assert_allclose(ask({"index": index})[0]["value"], DENSE[place].numpy(), rtol=1e-12)


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize(("index", "mode"), [([2, None, 3], 1), ([None, "bob", 3], 0)])
@pytest.mark.parametrize("exclude", [[], [0, 3, 3]])
def test_the_best_rows_of_a_mode(index: list[Any], mode: int, exclude: list[int], smallest: bool) -> None:
    line = DENSE[2, :, 3] if mode == 1 else DENSE[:, 1, 3]
    allowed = sorted(set(range(len(line))) - set(exclude), key=lambda row: line[row] * (1 if smallest else -1))
    top = ask({"index": index, "top_k": 3, "exclude": exclude, "smallest": smallest})[0]["top"]
    assert [ranked["index"] for ranked in top] == allowed[:3]
    assert [ranked["value"] for ranked in top] == pytest.approx(line[allowed[:3]].tolist(), rel=1e-12)
    assert [ranked.get("label") for ranked in top] == [PEOPLE[row] if mode == 1 else None for row in allowed[:3]]


def test_no_more_rows_are_ranked_than_there_are() -> None:
    top = ask({"index": [2, None, 3], "top_k": 100, "exclude": ["bob", "eve"]})[0]["top"]
    assert sorted(ranked["label"] for ranked in top) == ["ann", "cleo", "dan"]
    assert ask({"index": [2, None, 3], "top_k": 1, "exclude": list(PEOPLE)}) == [{"top": []}]


def test_equals_are_ranked_by_their_rows() -> None:
    model = rank_one_model(torch.ones(4), torch.ones(3))
    for smallest in (False, True):
        instance = {"index": [None, 1], "top_k": 4, "exclude": [2], "smallest": smallest}
        assert [ranked["index"] for ranked in answers_of(model, instance)[0]["top"]] == [0, 1, 3]


def test_many_entries_are_evaluated_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    index = np.random.default_rng(0).integers(0, (6, 5, 4), (10, 3))
    expected = DENSE[tuple(index.T)]
    for batch in (3, 10, 64):
        monkeypatch.setattr(answers, "ENTRIES_PER_BATCH", batch)
        torch.testing.assert_close(answers.evaluate(MODEL.tensor, index, torch.device("cpu")), expected)


def test_more_entries_than_a_batch_are_answered() -> None:
    index = np.random.default_rng(0).integers(0, (6, 5, 4), (2 * answers.ENTRIES_PER_BATCH + 7, 3))
    values = MODEL.predict([MODEL.parse({"indices": index}, {})])[0]["values"]
    np.testing.assert_allclose(values, DENSE[tuple(index.T)], rtol=1e-12)


QUESTIONS: list[tuple[Question, int, Question]] = [
    (Entry((2, 3)), 0, Entry((0, 2, 3))),
    (Entry((2, 3)), 2, Entry((2, 3, 0))),
    (Slice((2, None), 4), 1, Slice((2, 0, None), 4)),
    (
        Top(index=(None, 3), size=2, mode=MODES[1], exclude=(4,), smallest=True),
        0,
        Top(index=(0, None, 3), size=2, mode=MODES[1], exclude=(4,), smallest=True),
    ),
]


@pytest.mark.parametrize(("question", "mode", "expected"), QUESTIONS)
def test_a_question_is_put_to_row_0_of_the_mode_that_it_leaves_out(
    question: Question, mode: int, expected: Question
) -> None:
    assert answers.about_row_0(question, mode) == expected


def test_many_entries_are_put_to_row_0_together() -> None:
    question = answers.about_row_0(Entries(np.array([[1, 2], [3, 4]])), 1)
    assert isinstance(question, Entries) and question.index.tolist() == [[1, 0, 2], [3, 0, 4]]


def table_of(*instances: Any) -> Any:
    return answers.as_table(MODEL.predict([MODEL.parse(instance, {}) for instance in instances]))


def test_values_and_slices_are_rows_of_a_table() -> None:
    np.testing.assert_array_equal(
        table_of([2, 1, 3], [0, 0, 0]), [[ask([2, 1, 3])[0]["value"]], [ask([0, 0, 0])[0]["value"]]]
    )
    slices = table_of({"index": [0, None, None]}, {"index": [1, None, None]})
    np.testing.assert_allclose(slices, DENSE[:2].reshape(2, 20), rtol=1e-12)
    entries = table_of({"indices": [[0, 0, 0], [1, 1, 1]]}, [2, 2, 2])
    np.testing.assert_allclose(entries[:, 0], DENSE[[0, 1, 2], [0, 1, 2], [0, 1, 2]], rtol=1e-12)


def test_rows_of_several_lengths_are_a_list() -> None:
    rows = table_of([0, 0, 0], {"index": [0, 0, None]})
    assert isinstance(rows, list)
    assert rows[0] == pytest.approx([DENSE[0, 0, 0].item()]) and rows[1] == pytest.approx(DENSE[0, 0].tolist())


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"index": [None, 0, 0], "top_k": 1}, "an answer with top is no row of numbers"),
        ({"fold_in": {"mode": 0, "slab": DENSE[0].tolist()}}, "an answer with embedding and residual is no row of num"),
    ],
)
def test_rankings_and_embeddings_are_no_rows_of_a_table(instance: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        table_of(instance)
