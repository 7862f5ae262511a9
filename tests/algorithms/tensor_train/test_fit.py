"""The tensor-train algorithm as a job meets it: its lines, its checkpoints, its refusals, dense and sparse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.artifact import Artifact
from polyadic.decomposition.train.entries import largest_and_random
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.checkpoints import Snapshot
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import TENSOR_TRAIN, Kept, job, npy_bytes, tensor, train, with_gaps

SVD: dict[str, Any] = {"max_rank": "3", "missing": "error"}


def fit(folder: Path, files: dict[str, bytes], world: World | None = None, **changes: Any) -> Any:
    raw = {key: value for key, value in {**TENSOR_TRAIN, **changes}.items() if value is not None}
    algorithm, prepared = job(raw, folder, {"train": files}, None, world)
    return algorithm.fit(prepared)


def full(model: Any) -> Any:
    return TensorTrain([model.tensors[f"core_{n}"] for n in range(len(model.tensors))]).full().double().numpy()


def error_of(model: Any, array: Any) -> float:
    """Over the entries that are known."""
    seen = ~np.isnan(array)
    return float(np.linalg.norm((full(model) - array)[seen]) / np.linalg.norm(array[seen]))


def errors_in(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if "train relative_error" in line]


def test_completion_prints_its_error_and_seconds_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("tensor-train", tmp_path)
    printed = capsys.readouterr()
    assert len(errors_in(printed.out)) == 8
    for number, line in enumerate(errors_in(printed.out), 1):
        form = rf"#quality_metric: host=algo-1, iteration={number}, train relative_error <loss>=(\S+)"
        assert re.fullmatch(form, line)
    assert sum("train seconds_per_sweep <seconds>=" in line for line in printed.out.splitlines()) == 8
    assert printed.out.splitlines()[-1].endswith(f"train final_relative_error <loss>={model.relative_error:.10g}")
    assert len(model.history) == 8 and model.history[-1] == model.relative_error
    assert "tensor-train: dense tensor 6 x 5 x 4, method completion over 1 process" in printed.err
    assert f"tensor-train: ranks 2, 2, relative error {model.relative_error:.4g}; done in" in printed.err


def test_svd_prints_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, **SVD)
    printed = capsys.readouterr()
    form = f"#quality_metric: host=algo-1, train relative_error <loss>={model.relative_error:.10g}"
    assert errors_in(printed.out) == [form]
    assert "method svd over 1 process" in printed.err
    assert f"tensor-train: ranks 3, 3, relative error {model.relative_error:.4g}; done in" in printed.err


def test_cross_prints_the_errors_of_its_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, method="cross", **SVD)
    printed = capsys.readouterr().out
    assert len(errors_in(printed)) == len(model.history) > 1
    assert "iteration=2, train seconds_per_sweep <seconds>=" in printed


@pytest.mark.parametrize("method", ["svd", "cross", "completion"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_is_the_tensors_within_the_error_that_it_tells(method: str, dtype: str, tmp_path: Path) -> None:
    array = tensor()
    model = fit(tmp_path, {"t.npy": npy_bytes(array)}, method=method, dtype=dtype, **SVD)
    assert model.relative_error == pytest.approx(error_of(model, array), abs=1e-6)
    assert model.relative_error < 0.1
    assert {str(core.dtype) for core in model.tensors.values()} == {f"torch.{dtype}"}
    values = [model.predict([model.parse({"index": [i, 2, 3]}, {})])[0]["value"] for i in range(6)]
    assert values == pytest.approx(full(model)[:, 2, 3].tolist(), abs=1e-5)


@pytest.mark.parametrize("method", ["svd", "cross", "auto"])
def test_tol_chooses_the_ranks(method: str, tmp_path: Path) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, max_rank=None, tol="0.05", missing="error", method=method)
    assert error_of(model, tensor()) <= 0.05
    assert max(model.tensor.ranks) < 5


def test_missing_entries_are_completed_and_a_mask_without_gaps_is_decomposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.einsum("ir,jr,kr->ijk", *(np.random.default_rng(1).random((9, 2)) for _ in range(3)))
    holes = array.copy()
    holes[np.random.default_rng(2).random(array.shape) < 0.3] = np.nan
    model = fit(tmp_path, {"t.npy": npy_bytes(holes)}, max_iterations="200", stop_tol="1e-9")
    assert error_of(model, array) < 1e-3
    fit(tmp_path, {"t.npy": npy_bytes(array)})
    assert "method svd over" in capsys.readouterr().err


def test_the_artifact_holds_the_cores(tmp_path: Path) -> None:
    model = train("tensor-train", tmp_path / "data")
    model.artifact().write(tmp_path)
    found = Artifact.read(tmp_path)
    shapes = {name: tuple(value.shape) for name, value in found.tensors.items()}
    assert shapes == {"core_0": (1, 6, 2), "core_1": (2, 5, 2), "core_2": (2, 4, 1)}
    assert isinstance(model.tensor, TensorTrain) and model.tensor.shape == (6, 5, 4)


@pytest.mark.parametrize("order", [2, 5])
def test_any_order_from_2_on_is_decomposed(order: int, tmp_path: Path) -> None:
    array = np.random.default_rng(1).random((3, 4, 2, 3, 2)[:order])
    model = fit(tmp_path, {"t.npy": npy_bytes(array)}, max_rank=None, tol="1e-6", missing="error")
    assert error_of(model, array) < 1e-6
    index = [1] * (order - 1) + [None]
    answer = model.predict([model.parse({"index": index}, {})])[0]["value"]
    assert answer.tolist() == pytest.approx(array[tuple([1] * (order - 1))].tolist(), abs=1e-5)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("form", ["slab", "entries"])
def test_a_new_slab_is_folded_in(mode: int, form: str, tmp_path: Path) -> None:
    array = np.moveaxis(tensor(), 0, mode)
    model = fit(tmp_path, {"t.npy": npy_bytes(np.delete(array, 0, axis=mode))}, **{**SVD, "max_rank": "5"})
    slab = np.take(array, 0, axis=mode)
    given: dict[str, Any] = {"slab": slab.tolist()}
    if form == "entries":
        places = list(np.ndindex(slab.shape))
        given = {"indices": [list(one) for one in places], "values": [float(slab[one]) for one in places]}
    query = model.parse({"fold_in": {"mode": mode, **given}, "index": [1, 2]}, {})
    answer = model.predict([query])[0]
    left, _, right = model.tensors[f"core_{mode}"].shape
    assert len(answer["embedding"]) == left * right
    assert answer["residual"] < 0.1
    assert answer["value"] == pytest.approx(slab[1, 2], abs=0.3)


def counts() -> tuple[Any, bytes]:
    """A tensor with many zeros, and its FROSTT file, in which one place is written in two parts."""
    random = np.random.default_rng(3)
    array = np.where(random.random((7, 4, 9)) < 0.3, random.integers(2, 9, (7, 4, 9)), 0).astype(float)
    array[6, 3, 8] = 5
    lines = [f"{i + 1} {j + 1} {k + 1} {array[i, j, k]:g}" for i, j, k in np.argwhere(array)]
    lines[0] = lines[0].rpartition(" ")[0] + f" {array[array != 0][0] - 1:g}"
    return array, "\n".join([*lines, lines[0].rpartition(" ")[0] + " 1"]).encode() + b"\n"


def test_a_sparse_tensor_is_taken_with_its_zeros_or_without(tmp_path: Path) -> None:
    array, text = counts()
    model = fit(tmp_path, {"t.tns": text}, **SVD)
    expected = fit(tmp_path / "dense", {"t.npy": npy_bytes(array)}, **SVD)
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-12)
    holes = np.where(array == 0, np.nan, array)
    model = fit(tmp_path, {"t.tns": text}, entries="missing")
    expected = fit(tmp_path / "dense", {"t.npy": npy_bytes(holes)})
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-9)
    assert model.relative_error == pytest.approx(error_of(model, holes), abs=1e-9)


def test_a_sparse_tensor_is_crossed_by_looking_its_entries_up(tmp_path: Path) -> None:
    """Two blocks in a tensor of 10^12 entries: their places lead to them."""
    lines = [
        f"{9000 * b + i + 1} {9000 * b + j + 1} {5000 * b + k + 1} {(i + 1) * (j + 2) * (k + 3) + b}"
        for b in (0, 1)
        for i, j, k in np.ndindex(4, 5, 3)
    ]
    lines += ["10000 10000 10000 0", "1 1 1 0"]
    model = fit(tmp_path, {"t.tns": "\n".join(lines).encode()}, method="cross", **{**SVD, "max_rank": "6"})
    assert model.relative_error < 1e-6
    indices = [{"index": [2, 3, 1]}, {"index": [9002, 9003, 5001]}, {"index": [9002, 3, 1]}]
    values = [one["value"] for one in model.predict([model.parse(one, {}) for one in indices])]
    assert values == pytest.approx([60, 61, 0], abs=1e-6)


def test_a_sparse_tensor_that_is_too_large_is_refused(tmp_path: Path) -> None:
    text = b"1 1 1 1.0\n20000 30000 40000 2.0\n"
    with pytest.raises(
        UserError, match=r"20000 x 30000 x 40000, has 24,000,000,000,000 entries with its zeros: tensor-"
    ):
        fit(tmp_path, {"t.tns": text}, **SVD)
    text = b"1 1 1 1.0\n2000000000 2000000000 2000000000 2.0\n"
    with pytest.raises(UserError, match=r"cross counts up to 2\^63"):
        fit(tmp_path, {"t.tns": text}, method="cross", **SVD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_rank": None}, "one of the hyperparameters max_rank, such as 20, and tol, .* is needed: neither is set"),
        ({"max_rank": "0"}, "hyperparameter max_rank is 0: it must be an integer, 1 or more, or empty"),
        ({"max_rank": "2.5"}, r"hyperparameter max_rank is '2\.5': it must be an integer"),
        ({"tol": "1"}, "hyperparameter tol is '1': it must be a number, more than 0 and less than 1, or empty"),
        ({"tol": "0"}, "hyperparameter tol is '0': it must be a number, more than 0"),
        ({"l2": "-1"}, "hyperparameter l2 is '-1': it must be a number, 0 or more"),
        ({"method": "dmrg"}, "hyperparameter method is 'dmrg': it must be auto or svd or cross or completion"),
        ({"max_rank": None, "tol": ".1", "method": "completion"}, "method completion needs max_rank, such as 5"),
        ({"max_rank": None, "tol": ".1"}, "method completion needs max_rank, such as 5"),
        ({"method": "svd"}, "method svd needs every entry, but some are NaN, which missing=mask lets stay"),
        ({"method": "cross"}, "method cross needs every entry, but some are NaN"),
        ({"missing": "error"}, "the tensor holds 3 entries that are NaN .* tensor-train needs every entry"),
        ({"ranks": "3"}, "unknown hyperparameter 'ranks'"),
    ],
)
def test_bad_hyperparameters_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"t.npy": npy_bytes(with_gaps(tensor()))}, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "completion"}, "method completion leaves absent entries out, but entries=zeros says that they are"),
        ({"method": "svd", "entries": "missing"}, "method svd needs every entry, but entries=missing says that absent"),
        ({"method": "cross", "entries": "missing"}, "method cross needs every entry"),
    ],
)
def test_what_a_sparse_tensors_entries_are_must_go_with_the_method(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"t.tns": counts()[1]}, **changes)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4)), "the tensor is all zero"),
        (np.ones(3), "the tensor has 1 mode: it must have 2 or more"),
        (np.full((3, 4), np.nan), "the tensor has no observed entry"),
        (np.array([[1.0, np.inf]]), "infinite"),
    ],
)
def test_bad_data_is_refused(array: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"t.npy": npy_bytes(array)})


def test_a_tol_that_completion_does_not_use_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("tensor-train", tmp_path, {"tol": "0.1"})
    assert "warning: tol=0.1 says nothing to completion, whose ranks are max_rank" in capsys.readouterr().err


@pytest.mark.parametrize("sweeps", [1, 3, 7])
def test_resuming_from_a_checkpoint_equals_never_stopping_to_the_bit(sweeps: int, tmp_path: Path) -> None:
    whole, kept, calls = train("tensor-train", tmp_path), Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= sweeps

    train("tensor-train", tmp_path, checkpoints=kept, stop_requested=killed)
    assert len(kept.snapshots) == sweeps
    resumed = train("tensor-train", tmp_path, checkpoints=kept)
    assert resumed.relative_error == whole.relative_error
    assert all(torch.equal(resumed.tensors[name], core) for name, core in whole.tensors.items())


def test_a_cross_that_is_told_to_stop_ends_after_a_pass(tmp_path: Path) -> None:
    raw = {**TENSOR_TRAIN, **SVD, "method": "cross"}
    algorithm, prepared = job(raw, tmp_path, {"train": {"t.npy": npy_bytes(tensor())}}, stop_requested=lambda: True)
    model: Any = algorithm.fit(prepared)
    assert len(model.history) == 1


def jobs() -> dict[str, tuple[dict[str, bytes], dict[str, Any]]]:
    """Files and hyperparameters of a job a solver, dense and sparse."""
    dense, sparse = {"t.npy": npy_bytes(tensor())}, {"t.tns": counts()[1]}
    return {
        "svd": (dense, SVD),
        "tol": (dense, {"tol": "0.05", "missing": "error"}),
        "completion": ({"t.npy": npy_bytes(with_gaps(tensor()))}, {}),
        "cross": (dense, {**SVD, "method": "cross"}),
        "sparse svd": (sparse, SVD),
        "sparse completion": (sparse, {"entries": "missing"}),
        "sparse cross": (sparse, {**SVD, "method": "cross"}),
    }


def every_job(world: World, folder: Path) -> dict[str, Any]:
    """Each job over all ranks, its checkpoints, and a job that one rank has to refuse."""
    own, answers, kept = folder / str(world.rank), dict[str, Any](), Kept()
    for what, (files, changes) in jobs().items():
        answers[what] = fit(own / what, files, world, **changes).artifact()
    files, _ = jobs()["completion"]
    algorithm, prepared = job(TENSOR_TRAIN, own / "kept", {"train": files}, kept, world)
    algorithm.fit(prepared)
    halfway = Kept()
    halfway.snapshots = kept.snapshots[3:4] if world.rank == 0 else []
    algorithm, prepared = job(TENSOR_TRAIN, own / "again", {"train": files}, halfway, world)
    answers |= {"resumed": algorithm.fit(prepared).artifact(), "snapshots": kept.snapshots}
    try:
        fit(own / "zero", {"t.npy": npy_bytes(0 * tensor())}, world, **SVD)
    except UserError as error:
        answers["zero"] = str(error)
    return answers


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_ranks(2, every_job, tmp_path_factory.mktemp("ranks"), hosts=2)


@pytest.mark.parametrize("what", sorted(jobs()))
def test_two_ranks_equal_one(two_ranks: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    files, changes = jobs()[what]
    expected = fit(tmp_path, files, **changes).artifact()
    for answers in two_ranks:
        artifact, error = answers[what], "train:final_relative_error"
        assert artifact.metrics[error] == pytest.approx(expected.metrics[error], rel=1e-5)
        for name, value in expected.tensors.items():
            torch.testing.assert_close(artifact.tensors[name], value, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_of_two_ranks_is_gone_on_from(two_ranks: list[dict[str, Any]], tmp_path: Path) -> None:
    snapshots: list[Snapshot] = two_ranks[0]["snapshots"]
    assert len(snapshots) == 8 and not two_ranks[1]["snapshots"]
    kept = Kept()
    kept.snapshots = snapshots[:3]
    resumed, whole = train("tensor-train", tmp_path, checkpoints=kept), train("tensor-train", tmp_path)
    for name, value in whole.tensors.items():
        torch.testing.assert_close(resumed.tensors[name], value, atol=1e-5, rtol=1e-5)
        for answers in two_ranks:
            torch.testing.assert_close(answers["resumed"].tensors[name], value, atol=1e-5, rtol=1e-5)


def test_every_rank_says_the_same_of_bad_data(two_ranks: list[dict[str, Any]]) -> None:
    assert all("the tensor is all zero" in answers["zero"] for answers in two_ranks)


def test_cross_begins_at_the_largest_nonzeros_and_at_random_ones() -> None:
    array = torch.from_numpy(counts()[0])
    sparse = SparseTensor.of(array)
    largest, random = largest_and_random(sparse, 20, World.alone())
    assert len(largest) == 8 and len(torch.unique(random, dim=0)) == 20
    assert array[tuple(largest.T)].min() >= array.flatten().sort(descending=True).values[7]
    assert (array[tuple(random.T)] != 0).all()
    assert len(largest_and_random(sparse, 10**6, World.alone())[1]) == len(sparse.values)
