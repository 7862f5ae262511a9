"""The events of a job's hosts end beside its archives."""

from __future__ import annotations

from pathlib import Path

from local_mode.layout import TrainingJob
from local_mode.processes import ProcessBackend
from local_mode.stopping import StopRequest
from local_mode.training import run_training

TRAIN = """#!/bin/sh
mkdir -p "$SAGEMAKER_BASE_DIR/output/tensorboard/restart_0"
echo "$$" > "$SAGEMAKER_BASE_DIR/output/tensorboard/restart_0/events.$$"
exit 3
"""


def test_events_are_kept_beside_those_of_earlier_runs_and_of_failed_ones(tmp_path: Path) -> None:
    container = tmp_path / "container"
    container.mkdir()
    (container / "train").write_text(TRAIN)
    (container / "train").chmod(0o755)
    for runs in (1, 2):
        job = TrainingJob({}, {}, tmp_path / "out", hosts=2)
        assert run_training(job, ProcessBackend(container), StopRequest(), lambda line: None).model is None
        assert len(list((tmp_path / "out" / "tensorboard" / "restart_0").iterdir())) == 2 * runs


def test_a_job_without_events_has_no_folder_for_them(tmp_path: Path, standin: Path) -> None:
    run_training(TrainingJob({}, {}, tmp_path / "out"), ProcessBackend(standin), StopRequest(), lambda line: None)
    assert not (tmp_path / "out" / "tensorboard").exists()
