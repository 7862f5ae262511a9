"""The tucker algorithm as a job meets it: its lines, its checkpoints, its refusals, dense and sparse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import TUCKER, Kept, job, npy_bytes, tensor, train


def fit(folder: Path, files: dict[str, bytes], **changes: Any) -> Any:
    raw = {key: value for key, value in {**TUCKER, **changes}.items() if value is not None}
    algorithm, prepared = job(raw, folder, {"train": files})
    return algorithm.fit(prepared)


def error_of(model: Any, array: Any) -> float:
    parts = model.artifact().tensors
    factors = [parts[f"factor_{mode}"] for mode in range(array.ndim)]
    rest = torch.from_numpy(array) - multi_mode_product(parts["core"], factors).double()
    return float(rest.norm() / np.linalg.norm(array))


def test_a_sweep_prints_its_error_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("tucker", tmp_path)
    printed = capsys.readouterr().out.splitlines()
    errors = [line for line in printed if "train relative_error" in line]
    assert len(errors) == 8
    for number, line in enumerate(errors, 1):
        form = rf"#quality_metric: host=algo-1, iteration={number}, train relative_error <loss>=(\S+)"
        assert re.fullmatch(form, line)
    assert sum("train seconds_per_sweep <seconds>=" in line for line in printed) == 8
    assert printed[-1].endswith(f"train final_relative_error <loss>={model.relative_error:.10g}")
    assert len(model.history) == 8 and model.history[-1] == model.relative_error


def test_st_hosvd_prints_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("tucker", tmp_path, {"method": "st-hosvd"})
    printed = capsys.readouterr()
    errors = [line for line in printed.out.splitlines() if "train relative_error" in line]
    assert errors == [f"#quality_metric: host=algo-1, train relative_error <loss>={model.relative_error:.10g}"]
    assert "tucker: tensor 6 x 5 x 4, mode 0 over 1 process" in printed.err
    assert f"tucker: core 3 x 2 x 2, relative error {model.relative_error:.4g}; done in" in printed.err


@pytest.mark.parametrize("method", ["st-hosvd", "hooi", "nonnegative"])
def test_the_model_is_the_tensors_within_the_error_that_it_tells(method: str, tmp_path: Path) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, method=method, max_iterations="100")
    assert model.relative_error == pytest.approx(error_of(model, tensor()), abs=1e-9)
    assert model.relative_error < 0.1
    values = [model.predict([model.parse({"index": [i, 2, 3]}, {})])[0]["value"] for i in range(6)]
    assert np.linalg.norm(values - tensor()[:, 2, 3]) / np.linalg.norm(tensor()[:, 2, 3]) < 0.3
    if method == "nonnegative":
        assert all((part >= 0).all() for part in model.artifact().tensors.values())


@pytest.mark.parametrize("text", ["2", " 2", "2.0", "[2, 2, 2]"])
def test_one_rank_is_that_of_every_mode(text: str, tmp_path: Path) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, ranks=text, method="st-hosvd")
    assert model.tensors["core"].shape == (2, 2, 2)


def test_tol_chooses_the_ranks(tmp_path: Path) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor())}, ranks=None, tol="0.05", method="st-hosvd")
    assert error_of(model, tensor()) <= 0.05
    assert model.artifact().tensors["core"].numel() < 60


def test_the_artifact_holds_core_and_factors(tmp_path: Path) -> None:
    model = train("tucker", tmp_path / "data")
    model.artifact().write(tmp_path)
    found = Artifact.read(tmp_path)
    shapes = {name: tuple(value.shape) for name, value in found.tensors.items()}
    assert shapes == {"core": (3, 2, 2), "factor_0": (6, 3), "factor_1": (5, 2), "factor_2": (4, 2)}
    assert isinstance(model.tensor, TuckerTensor) and model.tensor.shape == (6, 5, 4)


def test_a_new_slab_is_folded_in(tmp_path: Path) -> None:
    model = fit(tmp_path, {"t.npy": npy_bytes(tensor()[1:])})
    query = model.parse({"fold_in": {"mode": 0, "slab": tensor()[0].tolist()}, "index": [1, 2]}, {})
    answer = model.predict([query])[0]
    assert len(answer["embedding"]) == 3 and answer["residual"] < 0.1
    assert answer["value"] == pytest.approx(tensor()[0, 1, 2], abs=0.3)


def counts() -> tuple[Any, bytes]:
    """A tensor with many zeros, and its FROSTT file, in which one place is written in two parts."""
    random = np.random.default_rng(3)
    array = np.where(random.random((7, 4, 9)) < 0.3, random.integers(2, 9, (7, 4, 9)), 0).astype(float)
    array[6, 3, 8] = 5
    lines = [f"{i + 1} {j + 1} {k + 1} {array[i, j, k]:g}" for i, j, k in np.argwhere(array)]
    lines[0] = lines[0].rpartition(" ")[0] + f" {array[array != 0][0] - 1:g}"
    return array, "\n".join([*lines, lines[0].rpartition(" ")[0] + " 1"]).encode() + b"\n"


def test_a_sparse_tensor_is_taken_with_its_zeros(tmp_path: Path) -> None:
    array, text = counts()
    model = fit(tmp_path, {"t.tns": text}, ranks="[3, 3, 3]")
    expected = fit(tmp_path / "dense", {"t.npy": npy_bytes(array)}, ranks="[3, 3, 3]")
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-12)
    assert error_of(model, array) == pytest.approx(model.relative_error, abs=1e-12)


def test_a_sparse_tensor_that_is_too_large_is_refused(tmp_path: Path) -> None:
    text = b"1 1 1 1.0\n20000 30000 40000 2.0\n"
    with pytest.raises(UserError) as caught:
        fit(tmp_path, {"t.tns": text}, ranks="[1, 1, 1]")
    assert str(caught.value) == (
        "the sparse tensor, 20000 x 30000 x 40000, has 24,000,000,000,000 entries with its zeros: tucker makes it "
        "dense, which is done up to 134,217,728. Leave out rows or modes, or use algorithm=cp, which takes sparse "
        "tensors of any size"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranks": None}, r"one of the hyperparameters ranks, such as \[20, 20, 5\], and tol, .* neither is set"),
        ({"tol": "0.1"}, "and tol, the relative error that the ranks follow from, is needed: both are set"),
        ({"ranks": "[2, 2]"}, r"ranks is \[2, 2\]: give one number, or a list of 3"),
        ({"ranks": "[2, 2, 5]"}, r"ranks\[2\] is 5: mode 2 has 4 rows, so it must be from 1 to 4"),
        ({"ranks": "[2, 0, 2]"}, r"hyperparameter ranks is \[2, 0, 2\]: each must be 1 or more"),
        ({"ranks": "[2, 2.5, 2]"}, r"hyperparameter ranks is '2.5': it must be an integer or a list such as"),
        ({"ranks": "[2, true, 2]"}, r"hyperparameter ranks is 'True': it must be an integer or a list such as"),
        ({"ranks": "0"}, "hyperparameter ranks is 0: each must be 1 or more"),
        ({"ranks": "2.5"}, r"hyperparameter ranks is '?2.5'?: it must be an integer or a list such as"),
        ({"ranks": "true"}, r"hyperparameter ranks is 'true': it must be an integer or a list such as"),
        ({"ranks": "5"}, "ranks.* is 5: mode 2 has 4 rows, so it must be from 1 to 4"),
        ({"ranks": None, "tol": "1"}, "hyperparameter tol is '1': it must be a number, more than 0 and less than 1"),
        ({"ranks": None, "tol": "1e-9", "dtype": "float32"}, "tol is 1e-09: in float32 it must be 1e-05 or more"),
        ({"ranks": None, "tol": ".1", "method": "nonnegative"}, "method=nonnegative cannot tell ranks from tol"),
        ({"ranks": None, "tol": ".1", "range_finder": "randomized"}, "range_finder=randomized cannot tell ranks"),
        ({"method": "hosvd"}, "hyperparameter method is 'hosvd': it must be st-hosvd or hooi or nonnegative"),
        ({"rank": "3"}, "unknown hyperparameter 'rank': did you mean 'ranks'"),
    ],
)
def test_bad_hyperparameters_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"t.npy": npy_bytes(tensor())}, **changes)


@pytest.mark.parametrize(
    "text", ["[3, 2, 2]", '"[3, 2, 2]"', "3,2,2", "(3, 2, 2)", "[3.0, 2.0, 2e0]", '["3", "2", "2"]']
)
def test_ranks_are_read_from_every_producer(text: str, tmp_path: Path) -> None:
    assert fit(tmp_path, {"t.npy": npy_bytes(tensor())}, ranks=text).hyperparameters["ranks"] == [3, 2, 2]


@pytest.mark.parametrize(
    ("array", "changes", "message"),
    [
        (np.zeros((3, 4, 2)), {"ranks": "[1, 1, 1]"}, "the tensor is all zero"),
        (np.ones(3), {"ranks": "[1]"}, "the tensor has 1 mode: it must have 2 or more"),
        (np.full((3, 4), np.inf), {"ranks": "[1, 1]"}, "12 entries that are NaN or infinite|infinite"),
        (np.full((3, 4), np.nan), {"ranks": "[1, 1]"}, "tucker needs every entry"),
        (-np.ones((3, 4)), {"ranks": "[1, 1]", "method": "nonnegative"}, "the tensor has negative entries"),
    ],
)
def test_bad_data_is_refused(array: Any, changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"t.npy": npy_bytes(array)}, **changes)


@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
@pytest.mark.parametrize("sweeps", [1, 3, 8])
def test_resuming_from_a_checkpoint_equals_never_stopping_to_the_bit(sweeps: int, method: str, tmp_path: Path) -> None:
    changes = {"method": method}
    whole = train("tucker", tmp_path, changes)
    kept, calls = Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= sweeps

    train("tucker", tmp_path, changes, checkpoints=kept, stop_requested=killed)
    assert len(kept.snapshots) == sweeps
    resumed = train("tucker", tmp_path, changes, checkpoints=kept)
    assert resumed.relative_error == whole.relative_error
    for name, value in whole.artifact().tensors.items():
        assert torch.equal(resumed.artifact().tensors[name], value), name


def everything_on_each_rank(world: World, folder: Path) -> dict[str, Any]:
    """A whole job, a rank whose host has no file, resuming on two ranks, a sparse file."""
    own, kept, halfway = folder / str(world.rank), Kept(), Kept()
    whole, found = {"train": {"tensor.npy": npy_bytes(tensor())}}, dict[str, Any]()
    algorithm, prepared = job(TUCKER, own / "whole", whole, kept, world)
    found["whole"] = algorithm.fit(prepared).artifact()
    algorithm, prepared = job(TUCKER, own / "one", whole if world.rank == 0 else {"train": {}}, None, world)
    found["one holder"] = algorithm.fit(prepared).artifact()
    halfway.snapshots = kept.snapshots[3:4] if world.rank == 0 else []
    algorithm, prepared = job(TUCKER, own / "again", whole, halfway, world)
    found["resumed"] = algorithm.fit(prepared).artifact()
    changes = {**TUCKER, "ranks": "[3, 3, 3]"}
    algorithm, prepared = job(changes, own / "sparse", {"train": {"t.tns": counts()[1]}}, None, world)
    found["sparse"] = algorithm.fit(prepared).artifact()
    return found | {"snapshots": kept.snapshots}


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_ranks(2, everything_on_each_rank, tmp_path_factory.mktemp("ranks"), hosts=2)


@pytest.mark.parametrize("what", ["whole", "one holder", "resumed", "sparse"])
def test_two_ranks_equal_one(two_ranks: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    if what == "sparse":
        expected = fit(tmp_path, {"t.tns": counts()[1]}, ranks="[3, 3, 3]").artifact()
    else:
        expected = train("tucker", tmp_path).artifact()
    for answers in two_ranks:
        artifact = answers[what]
        assert artifact.metrics == pytest.approx(expected.metrics, abs=1e-9)
        for name, value in expected.tensors.items():
            torch.testing.assert_close(artifact.tensors[name], value, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_of_two_ranks_is_gone_on_from_by_one(two_ranks: list[dict[str, Any]], tmp_path: Path) -> None:
    snapshots = two_ranks[0]["snapshots"]
    assert len(snapshots) == 8 and not two_ranks[1]["snapshots"]
    shapes = {name: tuple(value.shape) for name, value in snapshots[0].tensors.items()}
    assert shapes == {"core": (3, 2, 2), "factors_0": (6, 3), "factors_1": (5, 2), "factors_2": (4, 2)}
    kept = Kept()
    kept.snapshots = snapshots[:3]
    resumed, whole = train("tucker", tmp_path, checkpoints=kept), train("tucker", tmp_path)
    for name, value in whole.artifact().tensors.items():
        torch.testing.assert_close(resumed.artifact().tensors[name], value, atol=1e-5, rtol=1e-5)
