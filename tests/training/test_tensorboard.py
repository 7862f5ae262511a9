"""A job's metrics are read back by TensorBoard's own reader."""

from __future__ import annotations

import errno
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from polyadic.distributed import World
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.training import job, tensorboard
from polyadic.training.checkpoint import NoCheckpoints
from polyadic.training.environment import read_environment
from polyadic.training.tensorboard import EventFolder
from tests.helpers.opt_ml import FORECASTER, OptMl, low_rank, waves

Curves = dict[str, list[tuple[int, float]]]


def curves(run: Path) -> Curves:
    """Step and value of each scalar of a run, by tag."""
    read = EventAccumulator(str(run)).Reload()
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def metrics(folder: Path, rank: int = 0) -> Callable[..., None]:
    """The method of a job that records into a folder."""
    world = replace(World.alone(), rank=rank)
    job = Job(
        algorithm="cp",
        hyperparameters=Hyperparameters(),
        world=world,
        channels={},
        checkpoints=NoCheckpoints(),
        scalars=EventFolder(folder),
    )
    return job.metric


def trained(made: OptMl, stop: Callable[[], bool] = lambda: False, dry_run: bool = False) -> Path:
    """Trains in this process; the folder of the events."""
    (made.base / "output").mkdir(exist_ok=True)
    job.train(read_environment(made.environ), stop, dry_run)
    return made.base / "output" / "tensorboard"


def test_tags_steps_and_values_come_back(tmp_path: Path) -> None:
    metric = metrics(tmp_path)
    for epoch in range(3):
        metric("train loss", 1 / (1 + epoch), {"epoch": epoch})
    metric("test mean_wQuantileLoss", 1e-9)
    metric("train loss", math.nan, {"epoch": 3})
    assert len(files(tmp_path)) == 1
    found = curves(tmp_path)
    assert found.keys() == {"train/loss", "test/mean_wQuantileLoss"}
    assert [step for step, _ in found["train/loss"]] == [0, 1, 2, 3]
    assert [value for _, value in found["train/loss"][:3]] == pytest.approx([1, 1 / 2, 1 / 3])
    assert math.isnan(found["train/loss"][3][1])
    ((step, value),) = found["test/mean_wQuantileLoss"]
    assert step == 2 and value == pytest.approx(1e-9)


def test_a_metric_before_any_step_is_at_0(tmp_path: Path) -> None:
    metrics(tmp_path)("train relative_error", 0.5)
    assert curves(tmp_path) == {"train/relative_error": [(0, 0.5)]}


def test_each_restart_has_a_curve_of_its_own(tmp_path: Path) -> None:
    metric = metrics(tmp_path)
    for restart in (0, 1):
        for iteration in (0, 1):
            metric("train loss", restart, {"iteration": iteration, "restart": restart, "rank": 3})
    metric("train final_loss", 7)
    assert curves(tmp_path / "restart_0-rank_3") == {"train/loss": [(0, 0), (1, 0)]}
    assert curves(tmp_path / "restart_1-rank_3") == {"train/loss": [(0, 1), (1, 1)]}
    assert [path.parent == tmp_path for path in files(tmp_path)] == [True, False, False]


def test_a_scalar_is_seen_as_soon_as_it_is_recorded(tmp_path: Path) -> None:
    metric = metrics(tmp_path)
    for epoch in range(3):
        metric("train loss", epoch, {"epoch": epoch})
        assert curves(tmp_path)["train/loss"] == [(one, one) for one in range(epoch + 1)]


def test_a_resumed_run_takes_the_place_of_what_was_lost(tmp_path: Path) -> None:
    before, after = metrics(tmp_path), metrics(tmp_path)
    for epoch in range(4):
        before("train loss", 1, {"epoch": epoch})
    for epoch in (2, 3, 4):
        after("train loss", 2, {"epoch": epoch})
    assert len(files(tmp_path)) == 2
    assert curves(tmp_path) == {"train/loss": [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2)]}


def test_other_ranks_record_nothing(tmp_path: Path) -> None:
    metrics(tmp_path / "events", rank=1)("train loss", 1, {"epoch": 0})
    assert not (tmp_path / "events").exists()


def test_a_folder_that_cannot_be_is_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    metric = metrics(tmp_path / "file" / "tensorboard")
    for epoch in range(3):
        metric("train loss", 1, {"epoch": epoch})
    out, err = capsys.readouterr()
    assert out.count("train loss <loss>=1\n") == 3
    assert err.startswith(f"warning: no more TensorBoard events in {tmp_path}/file/tensorboard: ")
    assert err.endswith("(NotADirectoryError)\n")
    assert err.count("\n") == 1


def test_a_full_disk_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: Path, event: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    metric, append = metrics(tmp_path), tensorboard._append
    metric("train loss", 1, {"epoch": 0})
    monkeypatch.setattr(tensorboard, "_append", full)
    metric("train loss", 1, {"epoch": 1})
    monkeypatch.setattr(tensorboard, "_append", append)
    metric("train loss", 1, {"epoch": 2})
    assert capsys.readouterr().err.count("No space left on device (OSError)\n") == 1
    assert curves(tmp_path) == {"train/loss": [(0, 1)]}


def test_a_job_s_metrics_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained(OptMl(tmp_path, FORECASTER).series(waves()))
    found, printed = curves(folder), capsys.readouterr().out
    assert [step for step, _ in found["train/loss"]] == [0, 1]
    assert {"train/windows_per_second", "train/final_loss", "test/RMSE"} <= found.keys()
    for step, value in found["train/loss"]:
        line = next(line for line in printed.splitlines() if f"epoch={step}, train loss <loss>=" in line)
        assert value == pytest.approx(float(line.split("=")[-1]))


def test_a_job_of_several_restarts_has_a_run_for_each(tmp_path: Path) -> None:
    settings = {"rank": "2", "method": "als", "stop_tol": "0", "max_iterations": "4", "restarts": "2"}
    folder = trained(OptMl(tmp_path, settings).array(low_rank(5, 6, 7)))
    assert {path.parent.name for path in files(folder)} == {"tensorboard", "restart_0", "restart_1"}
    for run in ("restart_0", "restart_1"):
        assert len(curves(folder / run)["train/relative_error"]) == 4
    assert len(curves(folder)["train/final_relative_error"]) == 1


def test_a_stopped_job_is_seen_until_its_stop_and_goes_on_in_a_new_file(tmp_path: Path) -> None:
    made = OptMl(tmp_path, {**FORECASTER, "epochs": "4"}).series(waves())
    (made.base / "checkpoints").mkdir()
    folder = made.base / "output" / "tensorboard"

    def second_epoch_is_seen() -> bool:
        return folder.exists() and len(curves(folder).get("train/loss", ())) == 2

    trained(made, second_epoch_is_seen)
    assert [step for step, _ in curves(folder)["train/loss"]] == [0, 1]
    trained(made)
    assert len(files(folder)) == 2
    assert [step for step, _ in curves(folder)["train/loss"]] == [0, 1, 2, 3]


def test_a_job_outlives_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = OptMl(tmp_path, FORECASTER).series(waves())
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "tensorboard").write_text("no folder")
    trained(made)
    assert capsys.readouterr().err.count("warning: no more TensorBoard events in") == 1
    assert (tmp_path / "model" / "model.json").exists()


def test_a_dry_run_records_nothing(tmp_path: Path) -> None:
    assert not trained(OptMl(tmp_path, FORECASTER).series(waves()), dry_run=True).exists()


def test_nothing_is_recorded_where_no_output_leaves_the_container(tmp_path: Path) -> None:
    made = OptMl(tmp_path, {**FORECASTER, "epochs": "1"}).series(waves())
    job.train(read_environment(made.environ), lambda: False)
    assert not (tmp_path / "output" / "tensorboard").exists()


@pytest.mark.parametrize("given", [{}, None, {"S3OutputPath": "s3://bucket/curves"}, {"LocalPath": "/opt/curves"}])
def test_the_folder_is_where_sagemaker_looks(tmp_path: Path, given: Mapping[str, str] | None) -> None:
    made = OptMl(tmp_path, {})
    assert read_environment(made.environ).tensorboard is None
    (tmp_path / "output").mkdir()
    assert read_environment(made.environ).tensorboard == tmp_path / "output" / "tensorboard"
    made.configure("tensorboardoutputconfig", given)
    usual = str(tmp_path / "output" / "tensorboard")
    assert read_environment(made.environ).tensorboard == Path((given or {}).get("LocalPath", usual))


def test_the_library_is_read_with_the_first_scalar() -> None:
    code = "import sys, polyadic.training.job; sys.exit('tensorboardX' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
