import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from local_mode.errors import LocalModeError
from local_mode.layout import TrainingJob
from local_mode.processes import ProcessBackend
from local_mode.stopping import StopRequest
from local_mode.training import TrainingResult, run_training

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.json", "a.json", "deep/c.json"):
        (folder / name).write_text(name)
    return folder


def run(job: TrainingJob, standin: Path) -> tuple[TrainingResult, list[str]]:
    lines: list[str] = []
    return run_training(job, ProcessBackend(standin), StopRequest(), lines.append), lines


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def reports(output: Path) -> dict[str, dict[str, Mapping[str, object]]]:
    """What each host of the stand-in saw."""
    return {Path(name).stem: json.loads(text) for name, text in members(output / "output.tar.gz").items()}


def test_one_host_finds_opt_ml_as_sagemaker_lays_it_out(tmp_path: Path, data: Path, standin: Path) -> None:
    job = TrainingJob({"train": data}, {"rank": "5"}, tmp_path / "out")
    result, lines = run(job, standin)
    assert result.failures == {}
    assert lines == ["hello from algo-1"]
    assert json.loads(members(tmp_path / "out" / "model.tar.gz")["model.json"])["saved_by"] == "algo-1"
    seen = reports(job.output)["algo-1"]
    assert seen["files"] == {"train": ["a.json", "b.json", "deep/c.json"]}
    assert seen["config"]["hyperparameters"] == {"rank": "5"}
    assert seen["config"]["inputdataconfig"] == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    resources = seen["config"]["resourceconfig"]
    assert isinstance(resources, dict)
    assert resources["current_host"] == "algo-1"
    assert resources["hosts"] == ["algo-1"]
    assert resources["network_interface_name"] == "lo"
    assert seen["environment"]["OMP_NUM_THREADS"] == str(os.cpu_count())
    assert str(seen["environment"]["TRAINING_JOB_NAME"]).startswith("local-")


def test_several_hosts_share_an_address_and_the_first_ones_model_wins(
    tmp_path: Path, data: Path, standin: Path
) -> None:
    job = TrainingJob({"train": data}, {}, tmp_path / "out", hosts=2)
    result, lines = run(job, standin)
    assert result.failures == {}
    assert sorted(lines) == ["algo-1 | hello from algo-1", "algo-2 | hello from algo-2"]
    assert json.loads(members(job.output / "model.tar.gz")["model.json"])["saved_by"] == "algo-1"
    first, second = (reports(job.output)[host] for host in ("algo-1", "algo-2"))
    assert first["environment"]["MASTER_ADDR"] == second["environment"]["MASTER_ADDR"] == "127.0.0.1"
    assert first["environment"]["MASTER_PORT"] == second["environment"]["MASTER_PORT"]
    assert first["environment"]["SAGEMAKER_BASE_DIR"] != second["environment"]["SAGEMAKER_BASE_DIR"]
    assert first["files"] == second["files"]


def test_hosts_are_sorted_as_sagemaker_sorts_them(tmp_path: Path) -> None:
    assert TrainingJob({}, {}, tmp_path, hosts=11).host_names[:4] == [
        "algo-1",
        "algo-10",
        "algo-11",
        "algo-2",
    ]


def test_sharded_files_are_dealt_out_by_name_and_a_host_may_get_none(tmp_path: Path, data: Path, standin: Path) -> None:
    job = TrainingJob({"train": data}, {}, tmp_path / "out", hosts=4, distribution="ShardedByS3Key")
    run(job, standin)
    dealt = {host: seen["files"]["train"] for host, seen in reports(job.output).items()}
    assert dealt == {"algo-1": ["a.json"], "algo-2": ["b.json"], "algo-3": ["deep/c.json"], "algo-4": []}
    assert sorted(path.name for path in data.rglob("*.json")) == ["a.json", "b.json", "c.json"]


def test_checkpoints_are_kept_in_the_folder_given(tmp_path: Path, standin: Path) -> None:
    run(TrainingJob({}, {}, tmp_path / "out", hosts=2, checkpoints=tmp_path / "kept"), standin)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"algo-1.txt", "algo-2.txt"}


def test_one_failing_host_fails_the_job_with_its_reason_and_keeps_no_model(tmp_path: Path, standin: Path) -> None:
    job = TrainingJob({}, {"behaviour-algo-2": "fail"}, tmp_path / "out", hosts=2)
    result, _ = run(job, standin)
    assert result.model is None
    assert result.failures == {"algo-2": "rank got 0: give a rank of 1 or more"}
    assert not (job.output / "model.tar.gz").exists()
    assert set(reports(job.output)) == {"algo-1", "algo-2"}


def test_a_host_that_says_nothing_is_reported_by_its_exit_code(tmp_path: Path, standin: Path) -> None:
    result, _ = run(TrainingJob({}, {"behaviour": "crash"}, tmp_path / "out"), standin)
    assert result.failures == {"algo-1": "exit code 7, and no failure file was written"}


def test_hosts_that_wait_for_a_failed_one_are_stopped(
    tmp_path: Path, standin: Path, monkeypatch: pytest.MonkeyPatch, no_process_left: object
) -> None:
    monkeypatch.setattr("local_mode.training.VERDICT_SECONDS", 0.3)
    monkeypatch.setattr("local_mode.training.STOP_SECONDS", 0.5)
    behaviours = {"behaviour-algo-1": "deaf", "behaviour-algo-2": "crash"}
    result, _ = run(TrainingJob({}, behaviours, tmp_path / "out", hosts=2), standin)
    assert set(result.failures) == {"algo-1", "algo-2"}


def test_a_process_that_left_the_session_ends_with_its_host(
    tmp_path: Path, standin: Path, no_process_left: Callable[[], list[str]]
) -> None:
    result, _ = run(TrainingJob({}, {"behaviour": "scatter"}, tmp_path / "out"), standin)
    assert result.failures == {}
    assert no_process_left() == []


def test_a_channel_without_a_folder_is_named(tmp_path: Path, standin: Path) -> None:
    with pytest.raises(LocalModeError, match="channel 'train' names '.*nowhere', which is not a folder"):
        run(TrainingJob({"train": tmp_path / "nowhere"}, {}, tmp_path / "out"), standin)


def test_a_container_folder_without_train_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalModeError, match="train' is not an executable file"):
        run(TrainingJob({}, {}, tmp_path / "out"), tmp_path)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_lets_the_hosts_save_their_model(
    tmp_path: Path, standin: Path, number: int, code: int, no_process_left: object
) -> None:
    with train_command(standin, tmp_path, "--hyperparameters", "behaviour=wait", "--hosts", "2") as command:
        assert command.stdout is not None
        waiting = 0
        while waiting < 2:
            waiting += command.stdout.readline().endswith("waiting\n")
        command.send_signal(number)
        output, _ = command.communicate(timeout=30)
    assert command.returncode == code
    assert "what was saved is" in output
    assert json.loads(members(tmp_path / "out" / "model.tar.gz")["model.json"])["stopped"] is True


def test_a_second_ctrl_c_ends_a_host_that_does_not_listen(
    tmp_path: Path, standin: Path, no_process_left: object
) -> None:
    with train_command(standin, tmp_path, "--hyperparameters", "behaviour=deaf") as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert command.poll() is None
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "FailureReason (algo-1): exit code -9" in errors


def test_the_command_prints_the_failure_reason_and_returns_1(tmp_path: Path, standin: Path) -> None:
    with train_command(standin, tmp_path, "--hyperparameters", "behaviour=fail") as command:
        _, errors = command.communicate(timeout=30)
    assert command.returncode == 1
    assert errors == "FailureReason (algo-1): rank got 0: give a rank of 1 or more\n"


def train_command(standin: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    words = ["-m", "local_mode", "train", "--container", str(standin), "--output", str(folder / "out"), *more]
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
