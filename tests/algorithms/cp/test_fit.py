"""The cp algorithm as a job meets it: its lines, its checkpoints, its refusals."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import cp
from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.checkpoints import Snapshot
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import CP, Kept, job, npy_bytes, tensor, tiny, train


def fit(folder: Path, array: Any = None, files: dict[str, bytes] | None = None, **changes: Any) -> Any:
    channels = {"train": files if files is not None else {"tensor.npy": npy_bytes(array)}}
    algorithm, prepared = job({**CP, **changes}, folder, channels)
    return algorithm.fit(prepared)


def test_a_sweep_prints_its_error_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("cp", tmp_path, {"method": "als"})
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
    train("cp", tmp_path, {"method": "als", "restarts": "2", "max_iterations": "2"})
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
    "nothing": ({}, "channel train holds no files: give one or more, such as those in .npy"),
    "text": ({"a.txt": b"one, two"}, r"no file that can be read \(found: a\.txt\): Files are \.npy"),
    "NaN": (
        {"t.npy": npy_bytes(with_gap(np.nan, (4, 3, 2), (5, 0, 0)))},
        r"the tensor holds 2 entries that are NaN or infinite, the first at index \[4, 3, 2\]: cp needs every entry",
    ),
    "infinite": ({"t.npy": npy_bytes(with_gap(np.inf, (0, 0, 1)))}, r"1 entries .* the first at index \[0, 0, 1\]"),
    "zeros": ({"t.npy": npy_bytes(np.zeros((3, 4)))}, "the tensor is all zero"),
    "no entry": ({"t.npy": npy_bytes(np.zeros((3, 0)))}, r"the tensor is empty: its shape is \(3, 0\)"),
    "a vector": ({"t.npy": npy_bytes(np.ones(3))}, "the tensor has 1 mode: it must have 2 or more"),
    "a number": ({"t.npy": npy_bytes(np.float64(3))}, "the tensor has 0 modes: it must have 2 or more"),
    "complex": ({"t.npy": npy_bytes(np.ones((2, 2), complex))}, r"t\.npy holds complex128: it must hold real numbers"),
    "objects": ({"t.npy": npy_bytes(np.array([[1, None]]), True)}, r"t\.npy is pickled, or holds Python objects"),
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
        ({"stop_tol": "-1"}, "hyperparameter stop_tol is '-1': it must be a number, 0 or more"),
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
    ],
)
def test_a_bad_index_is_refused(instance: object, message: str, tmp_path: Path) -> None:
    model = train("cp", tmp_path, {"max_iterations": "1"})
    with pytest.raises(UserError, match=message):
        model.parse(instance, {})


@pytest.mark.parametrize("sweeps", [1, 3, 4, 6])
def test_resuming_from_a_checkpoint_equals_never_stopping_to_the_bit(sweeps: int, tmp_path: Path) -> None:
    changes = {"method": "als", "restarts": "2", "max_iterations": "4"}
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


def sparse_csv(dense: Any) -> bytes:
    """The entries of a tensor that are not 0, as i,j,k,value."""
    rows = [",".join(map(str, index)) + f",{dense[tuple(index)]!r}" for index in np.argwhere(dense).tolist()]
    return ("i,j,k,value\n" + "\n".join(row.replace("np.float64(", "").replace(")", "") for row in rows)).encode()


def counts() -> Any:
    """6 x 5 x 4 counts of low rank, half of them 0."""
    random = np.random.default_rng(1)
    factors = [random.gamma(0.5, 1.0, (rows, 2)) for rows in (6, 5, 4)]
    return random.poisson(2 * np.einsum("ir,jr,kr->ijk", *factors)).astype(float)


def test_a_sparse_file_is_the_tensor_that_it_stands_for(tmp_path: Path) -> None:
    dense = fit(tmp_path / "dense", counts())
    sparse = fit(tmp_path / "sparse", files={"t.csv": sparse_csv(counts())})
    assert sparse.relative_error == pytest.approx(dense.relative_error, abs=1e-6)


def test_labels_are_kept_and_asked_by(tmp_path: Path) -> None:
    records = "from,to,hour,value\n" + "".join(
        f"{a},{b},{hour},{1 + i * j + hour}\n"
        for i, a in enumerate(("harbour", "airport"))
        for j, b in enumerate(("mill", "park", "zoo"))
        for hour in range(4)
    )
    model = fit(tmp_path, files={"t.csv": records.encode()}, rank="4", max_iterations="200", seed="1")
    model.artifact().write(tmp_path / "model")
    again = cp.load(Artifact.read(tmp_path / "model"))
    (answer,) = again.predict([again.parse({"index": ["airport", None, 2], "top_k": 2}, {})])
    assert [one["label"] for one in answer["top"]] == ["zoo", "park"]
    assert answer["top"][0]["value"] == pytest.approx(1 + 2 + 2, abs=0.2)


@pytest.mark.parametrize(
    ("changes", "best"),
    [
        ({}, 0.52),
        ({"method": "nls"}, 0.53),
        ({"method": "als", "nonnegative": "true"}, 0.53),
        ({"method": "sampled-als", "samples": "64"}, 0.55),
        ({"method": "lbfgs"}, 0.53),
        ({"loss": "poisson"}, 0.55),
        ({"loss": "poisson", "method": "adam", "samples": "60", "learning_rate": "0.05", "max_iterations": "3"}, 0.7),
        ({"entries": "missing"}, 0.4),
        ({"init": "svd", "l2": "0.001", "restarts": "2"}, 0.53),
    ],
)
def test_every_method_fits_and_answers(changes: dict[str, str], best: float, tmp_path: Path) -> None:
    files = {"t.csv": sparse_csv(counts())}
    model = fit(tmp_path, files=files, **{"max_iterations": "40", "stop_tol": "1e-7", **changes})
    assert model.relative_error < best
    if changes.get("nonnegative") or changes.get("loss"):
        assert all((value >= 0).all() for name, value in model.artifact().tensors.items() if "factor" in name)


@pytest.mark.parametrize("method", ["als", "nls", "sampled-als", "lbfgs", "adam"])
def test_every_method_goes_on_from_a_checkpoint(method: str, tmp_path: Path) -> None:
    settings = {**CP, "method": method, "max_iterations": "6", "samples": "50"} | {"learning_rate": "0.01"}
    channels, kept, calls = {"train": {"t.csv": sparse_csv(counts())}}, Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= 5

    algorithm, prepared = job(settings, tmp_path / "whole", channels)
    whole = algorithm.fit(prepared)
    algorithm, prepared = job(settings, tmp_path / "cut", channels, kept, stop_requested=killed)
    algorithm.fit(prepared)
    assert kept.snapshots
    algorithm, prepared = job(settings, tmp_path / "again", channels, kept)
    resumed = algorithm.fit(prepared)
    tolerance = 0 if method != "lbfgs" else 0.05  # What L-BFGS knows of curvature is not kept.
    assert resumed.artifact().metrics["train:final_relative_error"] == pytest.approx(
        whole.artifact().metrics["train:final_relative_error"], abs=tolerance
    )


def test_gaps_are_an_error_or_unknown_entries(tmp_path: Path) -> None:
    gaps = with_gap(np.nan, (4, 3, 2), (5, 0, 0))
    with pytest.raises(UserError, match="set missing=mask"):
        fit(tmp_path / "error", gaps)
    model = fit(tmp_path / "mask", gaps, missing="mask", rank="3", max_iterations="300")
    (answer,) = model.predict([model.parse({"index": [4, 3, 2]}, {})])
    assert answer["value"] == pytest.approx(tensor()[4, 3, 2], rel=0.2)


def test_a_fit_begins_at_an_earlier_model(tmp_path: Path) -> None:
    first = fit(tmp_path / "first", tensor(), max_iterations="50")
    first.artifact().write(tmp_path / "model")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in (tmp_path / "model").iterdir():
            archive.add(path, path.name)
    channels = {"train": {"t.npy": npy_bytes(tensor())}, "model": {"model.tar.gz": packed.getvalue()}}
    settings = {**CP, "init": "model", "max_iterations": "1", "fixed_modes": "[0]"}
    algorithm, prepared = job(settings, tmp_path / "second", channels)
    second: Any = algorithm.fit(prepared)
    assert second.relative_error <= first.relative_error + 1e-9
    assert torch.equal(second.tensor.factors[0], first.tensor.factors[0])
    with pytest.raises(UserError, match="there is no channel model"):
        fit(tmp_path / "none", tensor(), init="model")
    algorithm, prepared = job({**settings, "rank": "3"}, tmp_path / "other", channels)
    with pytest.raises(UserError, match=r"shape \(6, 5, 4\) and rank 2: the data has \(6, 5, 4\), the job rank 3"):
        algorithm.fit(prepared)
    broken = {**channels, "model": {"model.tar.gz": packed.getvalue()[:40]}}
    algorithm, prepared = job(settings, tmp_path / "broken", broken)
    with pytest.raises(UserError, match="cannot be unpacked"):
        algorithm.fit(prepared)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "poisson", "method": "als"}, "loss=poisson needs method lbfgs, adam or auto"),
        (
            {"nonnegative": "true", "method": "lbfgs"},
            "nonnegative: methods als and nls can do that, the method here is lbfgs",
        ),
        ({"method": "sampled-als", "entries": "missing"}, "sampled-als takes absent entries as zeros"),
        ({"method": "sampled-als"}, "order 3, dense. Use method als"),
        ({"rank": "auto", "min_rank": "9"}, "min_rank is 9, max_rank 8"),
        ({"fixed_modes": "[0, 1, 2]"}, r"fixed modes are \[0, 1, 2\]: they may be some of 0 to 2, but not all"),
        ({"fixed_modes": "[7]"}, "a fixed mode is 7: the tensor has modes 0 to 2"),
        ({"loss": "poisson"}, "poisson"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, tensor() - 1, **changes)


def test_records_of_one_index_are_summed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = sparse_csv(counts()).decode().splitlines()
    files = {"t.csv": "\n".join([*lines, lines[1], lines[1]]).encode()}
    fit(tmp_path, files=files)
    assert "2 records repeat an index: their values are summed" in capsys.readouterr().err


def test_a_model_of_zeros_and_ones_answers_with_probabilities(tmp_path: Path) -> None:
    ones = (counts() > 0).astype(float)
    model = fit(tmp_path, ones, loss="bernoulli-logit", max_iterations="60", l2="0.01")
    model.artifact().write(tmp_path / "model")
    again = cp.load(Artifact.read(tmp_path / "model"))
    index = [[i, j, k] for i in range(6) for j in range(5) for k in range(4)]
    (answer,) = again.predict([again.parse({"indices": index}, {})])
    probabilities = np.array(answer["values"])
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert probabilities[ones.ravel() == 1].mean() > 0.2 + probabilities[ones.ravel() == 0].mean()
    (slice_,) = again.predict([again.parse({"index": [0, None, 1]}, {})])
    assert slice_["value"] == pytest.approx(probabilities.reshape(6, 5, 4)[0, :, 1].tolist())


def test_a_huber_loss_takes_its_delta(tmp_path: Path) -> None:
    wild = tensor()
    wild[0, 0, 0] = 1000
    near = fit(tmp_path / "near", wild, loss="huber", huber_delta="0.1", max_iterations="200")
    far = fit(tmp_path / "far", wild, loss="huber", huber_delta="1e6", max_iterations="200")
    values = [one.predict([one.parse({"index": [3, 2, 1]}, {})])[0]["value"] for one in (near, far)]
    assert abs(values[0] - tensor()[3, 2, 1]) < abs(values[1] - tensor()[3, 2, 1])


def test_components_that_cancel_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.zeros((4, 4, 4))
    array[0, 0, 1] = array[0, 1, 0] = array[1, 0, 0] = 1  # Of rank 3, with models of rank 2 as near as one likes.
    fit(tmp_path / "two", array, rank="2")
    assert "cp: of the components 0 and 1 each takes away most of what the other adds" in capsys.readouterr().err
    fit(tmp_path / "one", array, rank="1")
    assert "takes away" not in capsys.readouterr().err
