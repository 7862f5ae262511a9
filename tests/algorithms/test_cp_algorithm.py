"""The cp algorithm as a job meets it: its lines, its checkpoints, its refusals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import on_ranks
from tiny_jobs import CP, Kept, job, npy_bytes, tensor, tiny, train

from polyadic.algorithms._job import Snapshot
from polyadic.distributed import World
from polyadic.errors import UserError


def fit(folder: Path, array: Any = None, files: dict[str, bytes] | None = None, **changes: Any) -> Any:
    channels = {"train": files if files is not None else {"tensor.npy": npy_bytes(array)}}
    algorithm, prepared = job({**CP, **changes}, folder, channels)
    return algorithm.fit(prepared)


def test_a_sweep_prints_its_error_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("cp", tmp_path)
    printed = capsys.readouterr().out.splitlines()
    errors = [line for line in printed if "relative_error" in line and "final" not in line]
    assert len(errors) == 8
    for number, line in enumerate(errors, 1):
        form = rf"#quality_metric: host=algo-1, iteration={number}, train relative_error <loss>=(\S+)"
        assert re.fullmatch(form, line)
    assert sum("train seconds_per_sweep <seconds>=" in line for line in printed) == 8
    final = f"#quality_metric: host=algo-1, train final_relative_error <loss>={model.tensor.relative_error:.10g}"
    assert printed[-1] == final
    assert errors[-1].endswith(final.rpartition("=")[2])


def test_with_restarts_a_line_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("cp", tmp_path, {"restarts": "2", "max_iterations": "2"})
    printed = capsys.readouterr().out
    for restart in (0, 1):
        for iteration in (1, 2):
            assert f"iteration={iteration}, restart={restart}, train relative_error" in printed


def test_a_value_is_the_models_entry(tmp_path: Path) -> None:
    model = fit(tmp_path, tensor(), rank="6", max_iterations="100")
    index = [[i, j, k] for i in range(6) for j in range(5) for k in range(4)]
    answers = model.predict([model.parse({"index": one}, {}) for one in index])
    values = np.array([answer["value"] for answer in answers]).reshape(6, 5, 4)
    assert np.linalg.norm(values - tensor()) / np.linalg.norm(tensor()) == pytest.approx(
        model.tensor.relative_error, abs=1e-6
    )
    assert model.tensor.relative_error < 0.02


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int16", "uint16", "int64", "uint64", "bool", ">f4", ">i2", "longdouble"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_number_is_read(dtype: str, order: Any, tmp_path: Path) -> None:
    values = np.asarray(np.round(10 * tensor()), dtype=dtype, order=order)
    model = fit(tmp_path, values, max_iterations="3")
    expected = fit(tmp_path / "plain", values.astype("float64"), max_iterations="3")
    assert model.tensor.relative_error == pytest.approx(expected.tensor.relative_error, abs=1e-9)


@pytest.mark.parametrize("order", [2, 5])
def test_any_order_from_2_on_is_decomposed(order: int, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    model = fit(tmp_path, random.random((3, 4, 2, 3, 2)[:order]))
    assert len(model.tensor.factors) == order
    assert model.predict([model.parse(model.example(), {})])[0].keys() == {"value"}


def with_gap(value: float, *places: tuple[int, int, int]) -> Any:
    array = tensor()
    for place in places:
        array[place] = value
    return array


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, r"channel train holds no data: no file ends in \.npy \(found: nothing in .*train\)"),
    "text": ({"a.csv": b"1,2"}, r"no file ends in \.npy \(found: a\.csv in"),
    "two tensors": (
        {"a.npy": npy_bytes(tensor()), "b.npy": npy_bytes(tensor())},
        r"channel train holds 2 \.npy files \(a\.npy, b\.npy\): give one tensor, in one file",
    ),
    "NaN": (
        {"t.npy": npy_bytes(with_gap(np.nan, (4, 3, 2), (5, 0, 0)))},
        r"the tensor holds 2 entries that are NaN or infinite, the first at index \[4, 3, 2\]: cp needs every entry",
    ),
    "infinite": ({"t.npy": npy_bytes(with_gap(np.inf, (0, 0, 1)))}, r"1 entries .* the first at index \[0, 0, 1\]"),
    "zeros": ({"t.npy": npy_bytes(np.zeros((3, 4)))}, "the tensor is all zero"),
    "no entry": ({"t.npy": npy_bytes(np.zeros((3, 0)))}, r"the tensor is empty: its shape is \(3, 0\)"),
    "a vector": ({"t.npy": npy_bytes(np.ones(3))}, "the tensor has 1 modes: a decomposition needs 2 or more"),
    "a number": ({"t.npy": npy_bytes(np.float64(3))}, "the tensor has [01] modes: a decomposition needs 2 or more"),
    "complex": ({"t.npy": npy_bytes(np.ones((2, 2), complex))}, r"t\.npy holds complex128: it must hold real numbers"),
    "objects": ({"t.npy": npy_bytes(np.array([[1, None]]), True)}, r"t\.npy is not a readable \.npy array"),
    "cut short": ({"t.npy": npy_bytes(tensor())[:-30]}, r"t\.npy is not a readable \.npy array"),
    "an empty file": ({"t.npy": b""}, r"t\.npy is not a readable \.npy array"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_bad_data_is_refused(what: str, tmp_path: Path) -> None:
    files, message = REFUSED[what]
    with pytest.raises(UserError, match=message):
        fit(tmp_path, files=files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": "0"}, "hyperparameter rank is 0: it must be an integer, 1 or more"),
        ({"rank": "2.5"}, "hyperparameter rank is '2.5': it must be an integer, 1 or more"),
        ({"tol": "-1"}, "hyperparameter tol is '-1': it must be a number, 0 or more"),
        ({"dtype": "float16"}, "hyperparameter dtype is 'float16': it must be float32 or float64"),
        ({"max_iteration": "5"}, "unknown hyperparameter 'max_iteration': did you mean 'max_iterations'"),
    ],
)
def test_bad_hyperparameters_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, tensor(), **changes)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"index": [0, 0, 4]}, r"index\[2\] is 4: mode 2 has rows 0 to 3"),
        ({"index": [-1, 0, 0]}, r"index\[0\] is -1: mode 0 has rows 0 to 5"),
        ({"index": [0, 10**30, 0]}, r"index\[1\] is 10+: mode 1 has rows 0 to 4"),
        ({"index": [0, 0]}, r'an instance is {"index": \[...\]} with 3 integers'),
        ({"index": [0, 0, 0, 0]}, "with 3 integers"),
        ({"index": [0, 0, 1.0]}, "with 3 integers"),
        ({"index": [0, 0, True]}, "with 3 integers"),
        ({"index": [0, 0, "1"]}, "with 3 integers"),
        ({"index": "000"}, "with 3 integers"),
        ([0, 0, 0], r"got \[0, 0, 0\]: an instance is"),
    ],
)
def test_a_bad_index_is_refused(instance: object, message: str, tmp_path: Path) -> None:
    model = train("cp", tmp_path, {"max_iterations": "1"})
    with pytest.raises(UserError, match=message):
        model.parse(instance, {})


@pytest.mark.parametrize("sweeps", [1, 3, 4, 6])
def test_resuming_from_a_checkpoint_equals_never_stopping_to_the_bit(sweeps: int, tmp_path: Path) -> None:
    changes = {"restarts": "2", "max_iterations": "4"}
    whole = train("cp", tmp_path, changes)
    kept, calls = Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= sweeps

    train("cp", tmp_path, changes, checkpoints=kept, stop_requested=killed)
    assert len(kept.snapshots) == sweeps
    resumed = train("cp", tmp_path, changes, checkpoints=kept)
    assert resumed.tensor.relative_error == whole.tensor.relative_error
    for name, value in whole.artifact().tensors.items():
        assert torch.equal(resumed.artifact().tensors[name], value), name


def everything_on_each_rank(world: World, folder: Path) -> dict[str, Any]:
    """A whole job, a rank whose host has no file, different tensors, a gap that one rank alone sees, resuming."""
    own, answers = folder / str(world.rank), dict[str, Any]()
    whole, kept = {"train": {"tensor.npy": npy_bytes(tensor())}}, Kept()
    algorithm, prepared = job(CP, own / "whole", whole, kept, world)
    answers["whole"] = algorithm.fit(prepared).artifact()
    algorithm, prepared = job(CP, own / "one", whole if world.rank == 0 else {"train": {}}, None, world)
    answers["one holder"] = algorithm.fit(prepared).artifact()
    halfway = Kept()
    halfway.snapshots = kept.snapshots[3:4] if world.rank == 0 else []
    algorithm, prepared = job(CP, own / "again", whole, halfway, world)
    answers["resumed"] = algorithm.fit(prepared).artifact()
    answers["snapshots"] = kept.snapshots
    for what, array in (
        ("different", tensor()[: 6 - world.rank]),
        ("gap", with_gap(np.nan, (4, 3, 2))),
        ("zero", 0 * tensor()),
    ):
        algorithm, prepared = job(CP, own / what, {"train": {"tensor.npy": npy_bytes(array)}}, None, world)
        try:
            algorithm.fit(prepared)
        except UserError as error:
            answers[what] = str(error)
    return answers


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_ranks(2, everything_on_each_rank, tmp_path_factory.mktemp("ranks"), hosts=2)


@pytest.mark.parametrize("what", ["whole", "one holder", "resumed"])
def test_two_ranks_equal_one(two_ranks: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    expected = train("cp", tmp_path).artifact()
    for answers in two_ranks:
        artifact = answers[what]
        assert artifact.metrics["train:final_relative_error"] == pytest.approx(
            expected.metrics["train:final_relative_error"], abs=1e-5
        )
        for name, value in expected.tensors.items():
            torch.testing.assert_close(artifact.tensors[name], value, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_of_two_ranks_is_gone_on_from_by_one(two_ranks: list[dict[str, Any]], tmp_path: Path) -> None:
    snapshots: list[Snapshot] = two_ranks[0]["snapshots"]
    assert len(snapshots) == 8 and not two_ranks[1]["snapshots"]
    kept = Kept()
    kept.snapshots = snapshots[:3]
    assert [one.shape for name, one in snapshots[0].tensors.items() if "factor" in name] == [(6, 2), (5, 2), (4, 2)]
    resumed, whole = train("cp", tmp_path, checkpoints=kept), train("cp", tmp_path)
    for name, value in whole.artifact().tensors.items():
        torch.testing.assert_close(resumed.artifact().tensors[name], value, atol=1e-5, rtol=1e-5)


def test_every_rank_says_the_same_of_bad_data(two_ranks: list[dict[str, Any]]) -> None:
    for answers in two_ranks:
        assert "the hosts hold different tensors" in answers["different"]
        assert "1 entries that are NaN or infinite, the first at index [4, 3, 2]" in answers["gap"]
        assert "the tensor is all zero" in answers["zero"]


def test_a_fit_without_checkpoints_resumes_from_nothing(tmp_path: Path) -> None:
    algorithm, prepared = tiny("cp", tmp_path)
    assert prepared.checkpoints.latest() is None
    assert algorithm.fit(prepared)
