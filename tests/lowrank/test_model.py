"""A decomposition that is asked: every form of an instance against the dense tensor, and every refusal."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.formats import json
from polyadic.lowrank import queries as _queries
from polyadic.lowrank.model import DecompositionModel, in_order, numbered
from tests.helpers.small_models import PEOPLE, build_cp, small_cp, small_train, small_tucker

MODEL, DENSE = small_cp()


def ask(*instances: Any, model: DecompositionModel = MODEL) -> list[dict[str, Any]]:
    """The answers as a client reads them."""
    answers: list[dict[str, Any]] = json.decode(json.encode(model.predict([model.parse(one, {}) for one in instances])))
    return answers


def test_an_entry_by_rows_by_label_and_in_short() -> None:
    for instance in ({"index": [2, 1, 3]}, {"index": [2, "bob", 3]}, [2, 1, 3], [2, "bob", 3]):
        assert ask(instance) == [{"value": pytest.approx(DENSE[2, 1, 3].item(), rel=1e-12)}]


def test_many_entries_in_one_instance() -> None:
    rows = [[0, 0, 0], [5, 4, 3], [2, 1, 3]]
    expected = [DENSE[tuple(row)].item() for row in rows]
    labelled = [[i, PEOPLE[j], k] for i, j, k in rows]
    for got in (rows, labelled, np.array(rows), np.array(rows, np.uint8), np.array(rows, ">i4")):
        assert ask({"indices": got}) == [{"values": pytest.approx(expected, rel=1e-12)}]


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
    assert [one["index"] for one in top] == allowed[:3]
    assert [one["value"] for one in top] == pytest.approx(line[allowed[:3]].tolist(), rel=1e-12)
    assert [one.get("label") for one in top] == [PEOPLE[row] if mode == 1 else None for row in allowed[:3]]


def test_no_more_rows_are_ranked_than_there_are() -> None:
    top = ask({"index": [2, None, 3], "top_k": 100, "exclude": ["bob", "eve"]})[0]["top"]
    assert sorted(one["label"] for one in top) == ["ann", "cleo", "dan"]
    assert ask({"index": [2, None, 3], "top_k": 1, "exclude": list(PEOPLE)}) == [{"top": []}]


def test_equals_are_ranked_by_their_rows() -> None:
    tensors = {"weights": torch.ones(1), **numbered("factor", [torch.ones(4, 1), torch.ones(3, 1)])}
    model = DecompositionModel("cp", tensors, build_cp, 0.0, {})
    top = ask({"index": [None, 1], "top_k": 4, "exclude": [2]}, model=model)[0]["top"]
    assert [one["index"] for one in top] == [0, 1, 3]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_row_of_the_model_folds_in_to_itself(mode: int) -> None:
    slab = DENSE.select(mode, 2)
    answer = ask({"fold_in": {"mode": mode, "slab": slab.tolist()}})[0]
    assert answer["embedding"] == pytest.approx(MODEL.tensors[f"factor_{mode}"][2].tolist(), abs=1e-9)
    assert answer["residual"] == pytest.approx(0, abs=1e-9)


def test_null_is_what_was_not_observed() -> None:
    slab: list[list[float | None]] = DENSE[2].tolist()
    for j, k in ((0, 1), (3, 3), (4, 0)):
        slab[j][k] = None
    answer = ask({"fold_in": {"mode": 0, "slab": slab}})[0]
    assert answer["embedding"] == pytest.approx(MODEL.tensors["factor_0"][2].tolist(), abs=1e-9)


def least_squares(mode: int, slab: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Embedding and relative residual of the entries `rows` of a slab, by numpy."""
    others = [MODEL.tensors[f"factor_{m}"].numpy() for m in range(3) if m != mode]
    basis = np.einsum("ir,jr->ijr", *others)[tuple(rows.T)] * MODEL.tensors["weights"].numpy()
    values = slab[tuple(rows.T)]
    found = np.linalg.lstsq(basis, values, rcond=None)[0]
    return found, float(np.linalg.norm(values - basis @ found) / np.linalg.norm(values))


@pytest.mark.parametrize("count", [2, 12])
def test_entries_fold_in_by_least_squares_over_them_alone(count: int) -> None:
    random = np.random.default_rng(1)
    slab = random.normal(size=(5, 4))
    rows = np.argwhere(np.ones_like(slab))[random.permutation(20)[:count]]
    expected, residual = least_squares(0, slab, rows)
    named = [[PEOPLE[j], k] for j, k in rows.tolist()]
    values = slab[tuple(rows.T)].tolist()
    holes = [[v if [j, k] in rows.tolist() else None for k, v in enumerate(row)] for j, row in enumerate(slab.tolist())]
    sparse, dense = ask(
        {"fold_in": {"mode": 0, "indices": named, "values": values}}, {"fold_in": {"mode": 0, "slab": holes}}
    )
    for answer in (sparse, dense):
        assert answer["embedding"] == pytest.approx(expected.tolist(), abs=1e-9)
        assert answer["residual"] == pytest.approx(residual, abs=1e-9)
    assert (residual > 0.1) == (count == 12)


def test_absent_entries_may_be_zeros() -> None:
    slab = np.zeros((6, 4))
    slab[1, 2], slab[5, 0] = 1.5, -2
    expected, residual = least_squares(1, slab, np.argwhere(np.ones_like(slab)))
    given = {"mode": 1, "indices": [[1, 2], [5, 0]], "values": [1.5, -2], "absent": "zeros"}
    answer = ask({"fold_in": given})[0]
    assert answer["embedding"] == pytest.approx(expected.tolist(), abs=1e-9)
    assert answer["residual"] == pytest.approx(residual, abs=1e-9)


def test_nothing_but_zeros_folds_in_to_zero() -> None:
    for given in ({"slab": [[0] * 4] * 5}, {"indices": [[0, 0]], "values": [0]}):
        answer = ask({"fold_in": {"mode": 0, **given}})[0]
        assert answer == {"embedding": pytest.approx([0, 0, 0], abs=1e-12), "residual": 0}


def test_a_new_slab_may_be_asked_at_once() -> None:
    fold_in = {"mode": 1, "slab": DENSE[:, 3].tolist()}
    entry, many, part, top = ask(
        {"fold_in": fold_in, "index": [2, 1]},
        {"fold_in": fold_in, "indices": [[2, 1], [0, 0]]},
        {"fold_in": fold_in, "index": [None, 1]},
        {"fold_in": fold_in, "index": [2, None], "top_k": 2},
    )
    assert entry["value"] == pytest.approx(DENSE[2, 3, 1].item())
    assert many["values"] == pytest.approx(DENSE[[2, 0], 3, [1, 0]].tolist())
    assert part["value"] == pytest.approx(DENSE[:, 3, 1].tolist())
    best = DENSE[2, 3].argsort(descending=True)[:2].tolist()
    assert [one["index"] for one in top["top"]] == best
    assert entry.keys() == {"embedding", "residual", "value"}


def test_labels_of_the_other_modes_name_the_rows_of_a_new_slab() -> None:
    answer = ask({"fold_in": {"mode": 0, "slab": DENSE[4].tolist()}, "index": [None, 1], "top_k": 5})[0]["top"]
    best = DENSE[4, :, 1].argsort(descending=True).tolist()
    assert [one["label"] for one in answer] == [PEOPLE[row] for row in best]


def test_answers_come_in_the_order_of_the_instances_and_as_they_would_alone() -> None:
    instances: list[Any] = [
        {"index": [2, None, 3]},
        [1, 1, 1],
        {"fold_in": {"mode": 2, "slab": DENSE[:, :, 0].tolist()}},
        {"indices": [[0, 0, 0], [1, "eve", 2]]},
        {"fold_in": {"mode": 0, "slab": DENSE[1].tolist()}},
        {"index": [None, 0, 0], "top_k": 1},
        {"fold_in": {"mode": 2, "indices": [[0, 0], [1, 1]], "values": [1, 2]}},
        {"fold_in": {"mode": 2, "slab": DENSE[:, :, 3].tolist()}},
        [5, "dan", 0],
    ]
    together = ask(*instances)
    assert len(together) == len(instances)
    for instance, answer in zip(instances, together, strict=True):
        alone = ask(instance)[0]
        assert alone.keys() == answer.keys()
        for key, value in alone.items():
            same = value == answer[key] if key == "top" else np.allclose(value, answer[key], rtol=1e-12, atol=1e-14)
            assert same, (instance, key)


def test_many_entries_are_evaluated_a_part_at_a_time() -> None:
    index = np.random.default_rng(0).integers(0, (6, 5, 4), (150_000, 3))
    values = MODEL.predict([MODEL.parse({"indices": index}, {})])[0]["values"]
    np.testing.assert_allclose(values, DENSE[tuple(index.T)], rtol=1e-12)


def test_float32_answers_in_its_own_precision() -> None:
    model, dense = small_cp(torch.float32)
    slab = dense[2].tolist()
    answers = ask([1, 2, 3], {"fold_in": {"mode": 0, "slab": slab}, "index": [2, 3]}, model=model)
    assert answers[0]["value"] == pytest.approx(dense[1, 2, 3].item(), rel=1e-5)
    assert answers[1]["value"] == pytest.approx(dense[2, 2, 3].item(), rel=1e-4)
    with pytest.raises(UserError, match=r"fold_in.slab holds 1e\+39 at \[0, 1\]: .*, up to 3\.4e\+38"):
        model.parse({"fold_in": {"mode": 0, "slab": [[0, 1e39, 0, 0], *[[0] * 4] * 4]}}, {})


def test_the_artifact_keeps_labels_and_measurements_and_loads_again(tmp_path: Path) -> None:
    model = small_cp(history=[0.5, 0.4], seconds=1.0, metrics={"train:core_consistency": 98.0})[0]
    model.artifact().write(tmp_path)
    artifact = Artifact.read(tmp_path)
    assert artifact.facts == {"labels": [None, list(PEOPLE), None]}
    assert artifact.metrics == {
        "train:final_relative_error": model.relative_error,
        "train:core_consistency": 98.0,
    }
    assert artifact.tensors.keys() == {"weights", "factor_0", "factor_1", "factor_2"}
    loaded = DecompositionModel.load(artifact, build_cp)
    assert loaded.relative_error == model.relative_error
    assert ask([2, "cleo", 1], model=loaded) == ask([2, "cleo", 1])
    assert loaded.artifact().facts == artifact.facts and loaded.artifact().metrics == artifact.metrics


def test_without_labels_the_artifact_has_no_facts() -> None:
    model = DecompositionModel("cp", MODEL.tensors, build_cp, 0.1, {}, [None, None, None])
    assert model.artifact().facts == {}
    assert ask(model.example(), model=model)[0]["value"] == pytest.approx(DENSE[0, 0, 0].item())


def test_tensors_are_named_in_the_order_of_the_modes() -> None:
    tensors = [torch.full((1, 1), float(n)) for n in range(12)]
    named = numbered("factor", tensors)
    assert list(named) == [f"factor_{n}" for n in range(12)]
    assert in_order("factor", {"weights": torch.ones(1), **dict(sorted(named.items()))}) == tensors


@pytest.mark.parametrize("kind", [small_cp, small_tucker, small_train])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_every_kind_of_decomposition_answers_alike(kind: Any, dtype: torch.dtype, close: float, mode: int) -> None:
    model, dense = kind(dtype)
    slab = dense.select(mode, 3)
    observed = [[i, j] for i in range(slab.shape[0]) for j in range(slab.shape[1]) if (i + j) % 5]
    entries = {"mode": mode, "indices": observed, "values": [slab[i, j].item() for i, j in observed]}
    near = partial(pytest.approx, rel=close, abs=close)
    first, whole, few, zeros = ask(
        {"index": [None, "cleo", 1]},
        {"fold_in": {"mode": mode, "slab": slab.tolist()}, "index": [None, 2], "top_k": 2},
        {"fold_in": entries, "index": [None, 2]},
        {"fold_in": {**entries, "absent": "zeros"}},
        model=model,
    )
    assert first["value"] == near(dense[:, 2, 1].tolist())
    assert [one["value"] for one in whole["top"]] == near(sorted(slab[:, 2].tolist(), reverse=True)[:2])
    assert few["value"] == near(slab[:, 2].tolist())
    assert whole["residual"] == near(0) and few["residual"] == near(0) and zeros["residual"] > 0.01
    assert len(whole["embedding"]) == len(few["embedding"]) == len(zeros["embedding"])


REFUSED: list[tuple[Any, str]] = [
    (7, r"got 7: an instance is {\"index\": \[...\]} with 3 integers \(or labels, in mode 1\), or null"),
    ("ann", "got 'ann': an instance is"),
    (None, "got None: an instance is"),
    ({}, "got {}: an instance is"),
    ([], r"got {'index': \[\]}: an instance is"),
    ([1, 2], "with 3 integers"),
    ([1, 2, 3, 0], "with 3 integers"),
    ([1, 2, 3.0], "with 3 integers"),
    ([1, 2, True], "with 3 integers"),
    ([[1], 2, 3], "with 3 integers"),
    (["0", 2, 3], "with 3 integers"),
    ({"index": "123"}, "with 3 integers"),
    ({"index": {"0": 1}}, "with 3 integers"),
    ([6, 0, 0], r"index\[0\] is 6: mode 0 has rows 0 to 5"),
    ([0, 0, -1], r"index\[2\] is -1: mode 2 has rows 0 to 3"),
    ([0, 10**30, 0], r"index\[1\] is 10+: mode 1 has rows 0 to 4"),
    (
        [0, "clio", 0],
        r"index\[1\] is 'clio', which is no label of mode 1: did you mean 'cleo'\? its 5 labels are 'ann', ",
    ),
    ([0, "zzz", 0], "mode 1: its 5 labels are 'ann', 'bob', 'cleo', ..."),
    ({"indexes": [1, 2, 3]}, r"unknown key 'indexes': did you mean 'index"),
    ({"index": [1, 2, 3], "indices": [[1, 2, 3]]}, "indices asks for single entries and stands alone: leave index out"),
    ({"indices": [[1, 2, 3]], "top_k": 1}, "leave top_k out"),
    ({"indices": []}, r"indices is \[\]: it must be a list of one or more lists with 3 integers"),
    ({"indices": 5}, "indices is 5: it must be a list"),
    ({"indices": [1, 2, 3]}, r"indices\[0\] is 1: it must be a list with 3 integers"),
    ({"indices": [[1, 2, 3], [1, 2]]}, r"indices\[1\] is \[1, 2\]: it must be a list with 3 integers"),
    ({"indices": [[1, 2, None]]}, r"indices\[0\] is \[1, 2, None\]: it must be"),
    ({"indices": [[1, 2, 3], [1, 2, False]]}, r"indices\[1\] is \[1, 2, False\]: it must be"),
    ({"indices": [[1, 2, 3], [0, 0, 4]]}, r"indices\[1\]\[2\] is 4: mode 2 has rows 0 to 3"),
    ({"indices": [[1, 2, 3], [0, 2**63, 0]]}, r"indices\[1\]\[1\] is 9223372036854775808: mode 1 has rows"),
    ({"indices": [[1, 2, 3], [0, 10**30, 0]]}, r"indices\[1\]\[1\] is 10+: mode 1 has rows"),
    ({"indices": [[1, "ann", 3], [0, "anna", 0]]}, r"indices\[1\]\[1\] is 'anna', .* did you mean 'ann'\?"),
    ({"indices": np.zeros((2, 3))}, "got an array of float64, 2 x 3: it must be one of integers, B x 3"),
    ({"indices": np.zeros((2, 3), bool)}, "got an array of bool, 2 x 3"),
    ({"indices": np.zeros((2, 2), int)}, "got an array of int64, 2 x 2"),
    ({"indices": np.zeros(3, int)}, "got an array of int64, 3: it must"),
    ({"indices": np.array(3)}, "got an array of int64, single number: it must"),
    ({"indices": np.zeros((0, 3), int)}, "got an array of int64, 0 x 3"),
    ({"indices": np.array([[0, 0, 0], [0, 0, 4]], np.uint64)}, r"indices\[1\]\[2\] is 4: mode 2"),
    ({"indices": np.array([[0, -1, 0]], np.int8)}, r"indices\[0\]\[1\] is -1: mode 1"),
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
    ({"fold_in": 3}, r"fold_in is 3: it must be {\"mode\": 0, \"slab\": \[...\]}"),
    ({"fold_in": {"mode": 0}}, "fold_in is {'mode': 0}: it must be"),
    ({"fold_in": {"slab": []}}, "it must be"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]]}}, "it must be"),
    ({"fold_in": {"mode": 3, "slab": []}}, "fold_in.mode is 3: it must be an integer from 0 to 2"),
    ({"fold_in": {"mode": True, "slab": []}}, "fold_in.mode is True: it must be"),
    ({"fold_in": {"mode": 0, "slab": [], "weights": 1}}, "unknown key 'weights'"),
    ({"fold_in": {"mode": 0, "slab": 1}}, "fold_in.slab is 1: it must be nested lists, 5 x 4"),
    ({"fold_in": {"mode": 0, "slab": [[0] * 4] * 4}}, "fold_in.slab is a list of 4: it must be nested lists, 5 x 4"),
    (
        {"fold_in": {"mode": 0, "slab": [[0] * 4] * 4 + [[0] * 3]}},
        r"slab\[4\] is a list of 3: it must be a list of 4 num",
    ),
    ({"fold_in": {"mode": 0, "slab": [[0] * 4] * 4 + [7]}}, r"fold_in.slab\[4\] is 7: it must be a list of 4 numbers"),
    (
        {"fold_in": {"mode": 0, "slab": [[0, 0, 0, "1"]] * 5}},
        r"fold_in.slab\[0\] holds '1': give finite numbers, and null",
    ),
    ({"fold_in": {"mode": 0, "slab": [[0, 0, 0, True]] * 5}}, "holds True"),
    ({"fold_in": {"mode": 0, "slab": [[0, 0, 0, [1]]] * 5}}, r"holds \[1\]"),
    (
        {"fold_in": {"mode": 0, "slab": [[0, float("inf"), 0, 0]] * 5}},
        r"fold_in.slab holds inf at \[0, 1\]: give finite",
    ),
    ({"fold_in": {"mode": 0, "slab": [[None] * 4] * 5}}, "fold_in.slab holds nothing but null: give at least one"),
    (
        {"fold_in": {"mode": 0, "slab": [[0] * 4] * 5, "values": [1]}},
        "fold_in has slab and values: give the slab whole",
    ),
    ({"fold_in": {"mode": 0, "indices": [], "values": []}}, r"fold_in.indices is \[\]"),
    ({"fold_in": {"mode": 0, "indices": [[0, 9]], "values": [1]}}, r"fold_in.indices\[0\]\[1\] is 9: mode 2 has rows"),
    ({"fold_in": {"mode": 1, "indices": [["ann", 0]], "values": [1]}}, r"fold_in.indices\[0\] is \['ann', 0\]"),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": []}},
        "fold_in.values is a list of 0: it must be a list of 1",
    ),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": 1}}, "fold_in.values is 1: it must be a list of 1"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [None]}}, "fold_in.values holds None: give finite numbers"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [float("nan")]}}, "fold_in.values holds nan"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [10**400]}}, "fold_in.values holds 10+"),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1], "absent": "mean"}},
        "absent is 'mean': it must be 'miss",
    ),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0], [1, 0], ["ann", 0]], "values": [1, 2, 3]}},
        r"fold_in.indices\[2\] names the entry of indices\[0\] again: give each entry once",
    ),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}, "index": [0, 1, 2]},
        r"beside fold_in, whose mode 0 the index leaves out: got .* with 2 integers",
    ),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}, "top_k": 2}, "with 2 integers"),
]


@pytest.mark.parametrize(("instance", "message"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_cannot_be_answered_is_refused(instance: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MODEL.parse(instance, {})


def wide(*shape: int) -> DecompositionModel:
    """A model of rank 1 of a large shape."""
    factors = [torch.ones(rows, 1) for rows in shape]
    return DecompositionModel("cp", {"weights": torch.ones(1), **numbered("factor", factors)}, build_cp, 0.0, {})


def test_a_slice_has_a_limit_that_a_ranking_has_not() -> None:
    model = wide(3000, 2000, 3)
    with pytest.raises(
        UserError,
        match=r"index \[None, None, 1\] asks for 6,000,000 entries: at most 1,000,000 are answered. Give a row of one",
    ):
        model.parse({"index": [None, None, 1]}, {})
    assert len(ask({"index": [None, 5, 1]}, model=model)[0]["value"]) == 3000
    large = wide(1_000_001, 2)
    assert len(ask({"index": [None, 1], "top_k": 2}, model=large)[0]["top"]) == 2
    with pytest.raises(UserError, match="top_k is 2,000,000: at most 1,000,000 rows are answered"):
        large.parse({"index": [None, 1], "top_k": 2_000_000}, {})


def test_the_slices_of_a_request_have_a_limit_together() -> None:
    model = wide(1000, 900, 3)
    query = model.parse({"index": [None, None, 1]}, {})
    assert model.predict([query])[0]["value"].shape == (1000, 900)
    with pytest.raises(UserError, match=r"ask for slices of 1,800,000 entries: .* Send fewer instances a request"):
        model.predict([query, query])


def test_zeros_beside_few_entries_have_a_limit_and_missing_ones_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wide(3, 40_000, 30_000)
    entries = {"mode": 0, "indices": [[39_999, 7], [0, 29_999]], "values": [2, 4]}
    assert ask({"fold_in": entries}, model=model)[0]["embedding"] == pytest.approx([3])
    with pytest.raises(UserError, match=r"the slab has 1,200,000,000 entries: with absent 'zeros' at most 10,000,000"):
        model.parse({"fold_in": {**entries, "absent": "zeros"}}, {})
    monkeypatch.setattr(_queries, "LARGEST_SLAB", 19)
    with pytest.raises(UserError, match="the slab has 20 entries"):
        MODEL.parse({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1], "absent": "zeros"}}, {})


def test_the_label_is_looked_for_among_so_many_only() -> None:
    labels = tuple(f"row {n}" for n in range(200_000))
    tensors = {"weights": torch.ones(1), **numbered("factor", [torch.ones(len(labels), 1), torch.ones(2, 1)])}
    model = DecompositionModel("cp", tensors, build_cp, 0.0, {}, (labels, None))
    assert ask(["row 199999", 0], model=model) == [{"value": 1}]
    with pytest.raises(UserError, match=r"did you mean 'row 77'\? its 200000 labels are 'row 0', "):
        model.parse(["raw 77", 0], {})


def test_tables_of_indices_and_of_values() -> None:
    rows: list[list[Any]] = [[2, "bob", 3], [0, "ann", 0]]
    assert MODEL.from_table(rows) == rows
    assert MODEL.from_table([[0, 7, 1]]) == [[0, "7", 1]]
    assert MODEL.from_table([[0, 1]]) == [[0, "1"]] and MODEL.from_table([[0, 1, 2, 3]]) == [[0, "1", 2, 3]]
    values = MODEL.to_table(MODEL.predict([MODEL.parse(one, {}) for one in rows]))
    assert np.asarray(values).shape == (2, 1)
    slices = MODEL.to_table(MODEL.predict([MODEL.parse({"index": [n, None, None]}, {}) for n in (0, 1)]))
    np.testing.assert_allclose(slices, DENSE[:2].reshape(2, 20), rtol=1e-12)
    ragged = MODEL.to_table(MODEL.predict([MODEL.parse(one, {}) for one in ([0, 0, 0], {"index": [0, 0, None]})]))
    assert [len(row) for row in ragged] == [1, 4]
    for instance in ({"index": [None, 0, 0], "top_k": 1}, {"fold_in": {"mode": 0, "slab": DENSE[0].tolist()}}):
        with pytest.raises(UserError, match="is no row of numbers"):
            MODEL.to_table(MODEL.predict([MODEL.parse(instance, {})]))
