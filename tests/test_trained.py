"""A trained model in Python and on the command line: what it answers is what its endpoint would."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyadic
from polyadic import algorithms
from polyadic.__main__ import main
from polyadic.errors import InstanceError, UserError
from polyadic.trained import load
from tests.helpers.tiny_jobs import train


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model.tar.gz of each algorithm's tiny job."""
    made = {}
    for name in ("cp", "lda", "forecaster"):
        folder = tmp_path_factory.mktemp(name)
        train(name, folder / "job").artifact().write(folder / "model")
        made[name] = folder / "model.tar.gz"
        with tarfile.open(made[name], "w:gz") as packed:
            packed.add(folder / "model", ".")
    return made


@pytest.mark.parametrize("name", ["cp", "lda", "forecaster"])
def test_a_model_answers_the_instances_of_its_algorithm(name: str, archives: dict[str, Path]) -> None:
    instances = list(algorithms.named(name).tiny_job.instances)
    for given in (str(archives[name]), archives[name], archives[name].parent, archives[name].parent / "model"):
        model = load(given)
        assert model.algorithm == name and repr(model).startswith(f"{name}, ")
        assert len(model.predict(instances)) == len(instances)
        assert set(model.tensors) == set(model.artifact.tensors) and model.hyperparameters and model.metrics
    assert model.predict([]) == []


def test_a_table_is_asked_in_python_and_on_the_command_line(
    archives: dict[str, Path], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    model = polyadic.load(archives["cp"])
    order = len(model.model.modes)  # type: ignore[attr-defined]
    index = np.zeros((2, order), dtype=np.int64)
    index[1, 0] = 1
    expected = model.predict(index)[0]["values"]
    np.save(tmp_path / "q.npy", index)
    (tmp_path / "q.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in index.tolist()))
    (tmp_path / "q.json").write_text(json.dumps({"instances": [{"indices": index.tolist()}]}))
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({"index": row}) + "\n" for row in index.tolist()))
    for name in ("q.csv", "q.jsonl", "q.json", "q.npy"):
        (tmp_path / f"unnamed {name[2:]}").write_bytes((tmp_path / name).read_bytes())
    for name in ("q.npy", "q.csv", "q.json", "q.jsonl", "unnamed npy", "unnamed csv", "unnamed json", "unnamed jsonl"):
        assert main(["predict", str(archives["cp"]), str(tmp_path / name), "--accept", "csv"]) == 0
        printed = [float(cell) for line in capfdbinary.readouterr().out.decode().split() for cell in line.split(",")]
        assert printed == pytest.approx(expected)
    assert main(["predict", str(archives["cp"]), str(tmp_path / "q.csv"), "--accept", "npy"]) == 0
    assert np.load(io.BytesIO(capfdbinary.readouterr().out)).ravel() == pytest.approx(expected)


@pytest.mark.slow
def test_questions_come_from_the_standard_input(archives: dict[str, Path]) -> None:
    question = json.dumps({"instances": list(algorithms.named("lda").tiny_job.instances)})
    command = [sys.executable, "-m", "polyadic", "predict", str(archives["lda"])]
    run = subprocess.run(command, input=question, capture_output=True, text=True, timeout=100, check=True)
    answers = json.loads(run.stdout)["predictions"]
    assert all(sum(answer["topic_mixture"]) == pytest.approx(1) for answer in answers)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ("q.csv", "instances are of the type str: give a list"),
        ({"index": [0, 0, 0]}, "instances are of the type dict: give a list"),
        (None, "of the type NoneType"),
        ([{"index": [0]}], r"instances\[0\]: got"),
    ],
)
def test_what_is_no_instance_is_refused_in_words(instances: Any, message: str, archives: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=message):
        load(archives["cp"]).predict(instances)


def test_an_instance_at_fault_is_counted(archives: dict[str, Path]) -> None:
    good = algorithms.named("cp").tiny_job.instances[0]
    with pytest.raises(InstanceError) as refusal:
        load(archives["cp"]).predict([good, {"index": "a"}])
    assert refusal.value.index == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.tar.gz"], "absent.tar.gz cannot be read: No such file or directory"),
        (["notes.txt"], "notes.txt cannot be unpacked (it is no tar archive): give the model.tar.gz"),
        (["other.tar"], "other.tar holds no model.json"),
        (["empty"], "no model.json in empty (found: nothing)"),
        (["MODEL", "absent.csv"], "absent.csv is no file: give one with instances"),
        (["MODEL", "notes.txt"], "line 1"),
        (["MODEL", "q.csv", "--accept", "yaml"], "the answer cannot be written as yaml: choose one of json, jsonlines"),
        (["MODEL", "empty.json"], "no instances"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    message: str,
    archives: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "q.csv").write_text("0,0,0\n")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "empty").mkdir()
    with tarfile.open("other.tar", "w") as packed:
        packed.add("notes.txt")
    assert main(["predict", *(str(archives["cp"]) if word == "MODEL" else word for word in arguments)]) == 1
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert polyadic.__version__ == version("polyadic")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"polyadic {version('polyadic')}\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = polyadic.nothing


def test_to_import_the_package_is_no_work() -> None:
    program = "import sys, polyadic; print(sorted({'torch', 'numpy', 'pydantic'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
