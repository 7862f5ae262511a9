"""A decomposition as a model: its artifact, its answers together and alone, new slabs by least squares."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.lowrank.model import DecompositionModel
from tests.helpers.small_models import (
    MODES,
    PEOPLE,
    answers_of,
    build_cp,
    rank_one_model,
    small_cp,
    small_train,
    small_tucker,
)

MODEL, DENSE = small_cp()
ask = partial(answers_of, MODEL)


def test_the_modes_have_the_rows_of_the_tensor_and_the_labels() -> None:
    assert MODEL.modes == MODES


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
    embedding = np.linalg.lstsq(basis, values, rcond=None)[0]
    return embedding, float(np.linalg.norm(values - basis @ embedding) / np.linalg.norm(values))


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
    assert [ranked["index"] for ranked in top["top"]] == best
    assert entry.keys() == {"embedding", "residual", "value"}


def test_labels_of_the_other_modes_name_the_rows_of_a_new_slab() -> None:
    answer = ask({"fold_in": {"mode": 0, "slab": DENSE[4].tolist()}, "index": [None, 1], "top_k": 5})[0]["top"]
    best = DENSE[4, :, 1].argsort(descending=True).tolist()
    assert [ranked["label"] for ranked in answer] == [PEOPLE[row] for row in best]


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


def test_float32_answers_in_its_own_precision() -> None:
    model, dense = small_cp(torch.float32)
    slab = dense[2].tolist()
    answers = answers_of(model, [1, 2, 3], {"fold_in": {"mode": 0, "slab": slab}, "index": [2, 3]})
    assert answers[0]["value"] == pytest.approx(dense[1, 2, 3].item(), rel=1e-5)
    assert answers[1]["value"] == pytest.approx(dense[2, 2, 3].item(), rel=1e-4)
    with pytest.raises(UserError, match=r"fold_in.slab holds 1e\+39 at \[0, 1\]: .*, up to 3\.4e\+38"):
        model.parse({"fold_in": {"mode": 0, "slab": [[0, 1e39, 0, 0], *[[0] * 4] * 4]}}, {})


def test_the_artifact_keeps_labels_and_measurements_and_loads_again(tmp_path: Path) -> None:
    model = small_cp(history=[0.5, 0.4], seconds=1.0, metrics={"train:core_consistency": 98.0})[0]
    model.artifact().write(tmp_path)
    artifact = Artifact.read(tmp_path)
    assert artifact.metadata == {"labels": [None, list(PEOPLE), None]}
    assert artifact.metrics == {
        "train:final_relative_error": model.relative_error,
        "train:core_consistency": 98.0,
    }
    assert artifact.tensors.keys() == {"weights", "factor_0", "factor_1", "factor_2"}
    loaded = DecompositionModel.load(artifact, build_cp)
    assert loaded.relative_error == model.relative_error
    assert answers_of(loaded, [2, "cleo", 1]) == ask([2, "cleo", 1])
    assert loaded.artifact().metadata == artifact.metadata and loaded.artifact().metrics == artifact.metrics


def test_without_labels_the_artifact_has_no_metadata() -> None:
    model = replace(MODEL, labels=[None, None, None])
    assert model.artifact().metadata == {}
    assert answers_of(model, model.example())[0]["value"] == pytest.approx(DENSE[0, 0, 0].item())


@pytest.mark.parametrize("kind", [small_cp, small_tucker, small_train])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_every_kind_of_decomposition_answers_alike(kind: Any, dtype: torch.dtype, close: float, mode: int) -> None:
    model, dense = kind(dtype)
    slab = dense.select(mode, 3)
    observed = [[i, j] for i in range(slab.shape[0]) for j in range(slab.shape[1]) if (i + j) % 5]
    entries = {"mode": mode, "indices": observed, "values": [slab[i, j].item() for i, j in observed]}
    near = partial(pytest.approx, rel=close, abs=close)
    first, whole, few, zeros = answers_of(
        model,
        {"index": [None, "cleo", 1]},
        {"fold_in": {"mode": mode, "slab": slab.tolist()}, "index": [None, 2], "top_k": 2},
        {"fold_in": entries, "index": [None, 2]},
        {"fold_in": {**entries, "absent": "zeros"}},
    )
    assert first["value"] == near(dense[:, 2, 1].tolist())
    assert [ranked["value"] for ranked in whole["top"]] == near(sorted(slab[:, 2].tolist(), reverse=True)[:2])
    assert few["value"] == near(slab[:, 2].tolist())
    assert whole["residual"] == near(0) and few["residual"] == near(0) and zeros["residual"] > 0.01
    assert len(whole["embedding"]) == len(few["embedding"]) == len(zeros["embedding"])


def test_the_slices_of_a_request_have_a_limit_together() -> None:
    model = rank_one_model(torch.ones(1000), torch.ones(900), torch.ones(3))
    query = model.parse({"index": [None, None, 1]}, {})
    assert model.predict([query])[0]["value"].shape == (1000, 900)
    with pytest.raises(UserError, match=r"ask for slices of 1,800,000 entries: .* Send fewer instances per request"):
        model.predict([query, query])


def test_entries_of_a_slab_that_is_too_large_to_form_fold_in() -> None:
    model = rank_one_model(torch.ones(3), torch.ones(40_000), torch.ones(30_000))
    entries = {"mode": 0, "indices": [[39_999, 7], [0, 29_999]], "values": [2, 4]}
    assert answers_of(model, {"fold_in": entries})[0]["embedding"] == pytest.approx([3])


def test_rows_of_a_mode_are_replaced_by_their_embeddings() -> None:
    for model, dense in (small_cp(), small_tucker(), small_train()):
        parameters = model.parameters(1)
        rows = parameters if parameters.ndim == 2 else parameters.movedim(1, 0).flatten(1)
        other = model.replace(1, rows[[3, 0]])
        assert other.shape == (6, 2, 4)
        torch.testing.assert_close(other.slice((None, None, None)), dense[:, [3, 0]])


def test_a_cell_of_a_table_is_a_label_where_the_mode_has_labels() -> None:
    assert MODEL.from_table([[2, "bob", 3], [0, "ann", 0]]) == [[2, "bob", 3], [0, "ann", 0]]
    assert MODEL.from_table([[0, 7, 1]]) == [[0, "7", 1]]
    assert MODEL.from_table([[0, 1]]) == [[0, "1"]]
    assert MODEL.from_table([[0, 1, 2, 3]]) == [[0, "1", 2, 3]]


def test_an_array_is_a_single_instance_whose_values_are_the_rows_of_the_answer() -> None:
    index = np.array([[2, 1, 3], [0, 0, 0]])
    (instance,) = MODEL.from_table(index)
    assert instance["indices"] is index
    values = MODEL.to_table(MODEL.predict([MODEL.parse(instance, {})]))
    np.testing.assert_allclose(values, [[DENSE[2, 1, 3]], [DENSE[0, 0, 0]]], rtol=1e-12)
