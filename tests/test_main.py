"""The command line: files in, a model out; what a model is; the examples of --help."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from polyadic.__main__ import main
from polyadic.errors import UserError
from polyadic.training.on_files import split_options
from tests.helpers.opt_ml import low_rank

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a tensor and what a job made of it, and what the job printed."""
    folder = tmp_path_factory.mktemp("at hand")
    np.save(folder / "tensor.npy", low_rank(6, 7, 8))
    (folder / "questions.csv").write_text("0,0,0\n5,6,7\n")
    command = [sys.executable, "-m", "polyadic", "train", "tensor.npy", "--algorithm", "cp", "--rank=2"]
    command += ["--method=als", "--stop-tol", "0", "--max_iterations", "30", "--output", "out/tensor"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder, run.stdout


def test_a_file_goes_in_and_a_model_comes_out(trained: tuple[Path, str]) -> None:
    folder, printed = trained
    out = folder / "out" / "tensor"
    assert {"model.tar.gz", "report.html", "fit.png", "factor_0.npy"} <= {path.name for path in out.iterdir()}
    assert "#quality_metric: host=algo-1, iteration=30, train relative_error <loss>=" in printed
    assert "\r" not in printed and printed.splitlines()[-2:] == [
        "model: out/tensor/model.tar.gz",
        "report: out/tensor/report.html",
    ]


def test_a_run_replaces_an_earlier_one_and_leaves_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", low_rank(4, 5, 6))
    command = [sys.executable, "-m", "polyadic", "train", "a.npy", "--output", "out"]
    subprocess.run([*command, "--algorithm", "cp", "--rank", "2"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "out" / "weights.npy").exists()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    tucker = [*command, "--algorithm", "tucker", "--ranks", "2,2,2", "--method", "st-hosvd"]
    run = subprocess.run(tucker, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "the model that was in out is replaced" in run.stdout
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"core.npy", "model.tar.gz", "report.html", "notes.txt"} <= left
    assert not left & {"weights.npy", "fit.png"}


@pytest.mark.parametrize("earlier", [True, False])
def test_a_dry_run_writes_nothing(earlier: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", low_rank(4, 5, 6))
    if earlier:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "model.tar.gz").write_bytes(b"the model of another job")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "polyadic", "train", "a.npy", "--algorithm", "cp", "--rank", "2", "--dry-run"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "dense tensor 4 x 5 x 6" in run.stderr and "model:" not in run.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_output_that_is_a_file_is_refused_before_the_training(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", low_rank(4, 5, 6))
    command = [sys.executable, "-m", "polyadic", "train", "a.npy", "--algorithm", "cp", "--rank", "2", "--output=a.npy"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 1 and "#quality_metric" not in run.stdout
    assert run.stderr == "error: --output a.npy is a file: name a folder, which is made where there is none\n"


def test_a_model_is_described(trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = trained
    assert main(["describe", str(folder / "out" / "tensor" / "model.tar.gz")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cp, 44 numbers in 4 tensors"
    assert re.fullmatch(r"made by polyadic \S+, torch \S+, python \S+", lines[1])
    assert "  factor_1  7 x 2" in lines and "hyperparameters:" in lines
    assert any(re.fullmatch(r"  rank +2", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "absent.tar.gz"], "absent.tar.gz cannot be read: No such file or directory"),
        (["describe", "."], "no model.json in ."),
        (["train", "absent.npy", "--algorithm", "cp"], "absent.npy does not exist: give a file, or a folder of files"),
        (["train", "--rank", "5"], "no file to train on: give one or more"),
        (["train", "a.npy", "--rank"], "--rank has no value: write --rank VALUE"),
        (["train", "a.npy", "--rank", "--seed", "1"], "--rank has no value"),
        (["train", "a.npy", "--channel", "test"], "--channel is 'test': write NAME=FILE"),
        (["schema", "cpp"], "'cpp'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_a_wrong_hyperparameter_is_said_as_a_job_says_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", low_rank(3, 4, 5))
    command = [sys.executable, "-m", "polyadic", "train", "a.npy", "--algorithm", "cp", "--rnk", "2"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 1 and "did you mean 'rank'" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_options_are_hyperparameters() -> None:
    assert split_options(["a.npy", "--rank", "5", "b.npy", "--stop-tol=1e-3", "--l2", "-1"]) == (
        ["a.npy", "b.npy"],
        {"rank": "5", "stop_tol": "1e-3", "l2": "-1"},
    )
    assert split_options(
        ["--hyperparameters", "rank=5", "init=svd", "a.npy", "--hyperparameters", "seed=1", "--l2", "1"]
    ) == (
        ["a.npy"],
        {"rank": "5", "init": "svd", "seed": "1", "l2": "1"},
    )
    with pytest.raises(UserError, match="--hyperparameters has no value: write --hyperparameters NAME=VALUE"):
        split_options(["--hyperparameters", "--rank", "5"])


def test_on_a_terminal_the_metrics_are_one_line_that_changes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", low_rank(3, 4, 5))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "polyadic", "train", "a.npy", "--algorithm", "cp", "--rank", "2", "--method=als"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=subprocess.DEVNULL) as run:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass  # The other end is closed.
        assert run.wait(100) == 0
    os.close(ours)
    assert b"\r\033[Kiteration 1: train relative_error" in shown
    assert b"#quality_metric: host=algo-1, iteration=" not in shown and b"final_relative_error" in shown


@pytest.mark.parametrize("command", ["train", "predict", "describe", "schema", "algorithms"])
def test_the_example_of_help_runs(
    command: str, trained: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained[0])
    with pytest.raises(SystemExit):
        main([command, "--help"])
    examples = re.findall(r"^  polyadic (.+)$", capsys.readouterr().out, re.M)
    assert examples, f"polyadic {command} --help has no example"
    for example in examples:
        assert main(shlex.split(example)) == 0
