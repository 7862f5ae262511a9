"""The end of a worker's life."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from polyadic.algorithms.cp import ALGORITHM
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.job import Job
from polyadic.training import job as training
from polyadic.training import messages
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.small_models import small_cp

WORKER = """
import atexit
from polyadic.errors import UserError
from polyadic.training import job

def train(*arguments, **named):
    print("trained")
    if {fails}:
        raise UserError("rank is 0")

job.train = train
atexit.register(print, "taken down")
job.main()
"""


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, UserError.exit_code)])
def test_a_worker_ends_before_its_interpreter_is_taken_down(tmp_path: Path, fails: bool, code: int) -> None:
    """Taken down beside gloo's threads, the interpreter aborts now and then."""
    ended = subprocess.run(
        [sys.executable, "-c", WORKER.format(fails=fails)],
        env={**os.environ, messages.FOLDER_VARIABLE: str(tmp_path), "SAGEMAKER_BASE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (code, "trained\n"), ended.stderr
    failure = messages.first_failure(tmp_path)
    assert (str(failure) if failure else None) == ("rank is 0" if fails else None)


def job_with(output: Path | None) -> Job[Any]:
    return Job(
        algorithm="cp",
        hyperparameters=ALGORITHM.hyperparameters.model_validate({"rank": 3}),
        world=World.alone(),
        channels={},
        checkpoints=NoCheckpoints(),
        output=output,
    )


def test_a_fault_in_the_report_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_cp()[0]
    broken = replace(model, tensors={**model.tensors, "weights": torch.ones(5)})
    training.write_report(ALGORITHM, broken, job_with(tmp_path / "data"))
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: the report in {tmp_path / 'data'} is incomplete: ")
    assert warning.count("\n") == 1
    assert (tmp_path / "data" / "factor_0.npy").exists() and not (tmp_path / "data" / "report.html").exists()


def test_without_a_folder_or_without_a_report_nothing_is_written(tmp_path: Path) -> None:
    reported: list[Path] = []
    algorithm = replace(ALGORITHM, report=lambda folder, model: reported.append(folder))
    training.write_report(algorithm, small_cp()[0], job_with(None))
    training.write_report(replace(ALGORITHM, report=None), small_cp()[0], job_with(tmp_path / "data"))
    assert reported == [] and not (tmp_path / "data").exists()
    training.write_report(algorithm, small_cp()[0], job_with(tmp_path / "data"))
    assert reported == [tmp_path / "data"]
