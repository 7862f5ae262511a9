"""A training job on moto's SageMaker: started, followed with its log, and each of its ends."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

Recipe = Callable[..., str]
Command = Callable[..., tuple[int, str, str]]
Story = Callable[..., threading.Event]
Stub = Callable[[str], Stubber]

ROOT = Path(__file__).resolve().parents[2]
GROUP = "/aws/sagemaker/TrainingJobs"
JOB = "cp-test-260101000000-abcd"
ARTIFACT = f"s3://bucket/models/{JOB}/output/model.tar.gz"
STOP_HINT = f"stop it with `aws sagemaker stop-training-job --training-job-name {JOB}`"

IN_PROGRESS = {"training_job_status": "InProgress", "secondary_status": "Training"}
FAILED = {
    "training_job_status": "Failed",
    "secondary_status": "Failed",
    "failure_reason": "AlgorithmError: UserError: rank must be at least 1. Got 0. Set rank=1 or more.",
}


@pytest.fixture(autouse=True)
def fixed_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.train.stamp", lambda: "260101000000-abcd")


def write_log(stream: str, *lines: str) -> None:
    """Put lines where a training container's output goes."""
    logs = boto3.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    now = int(time.time() * 1000)
    events = [{"timestamp": now + place, "message": line} for place, line in enumerate(lines)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_a_completed_job_ends_with_its_artifact(recipe: Recipe, command: Command) -> None:
    code, out, err = command("train", recipe(), "--poll", "0.01")
    assert (code, err) == (0, "")
    assert f"job {JOB}: created" in out
    assert "Starting - Preparing the instances for training" in out
    assert out.splitlines()[-1] == ARTIFACT
    job = boto3.client("sagemaker").describe_training_job(TrainingJobName=JOB)
    assert job["HyperParameters"] == {"algorithm": "cp", "rank": "3"}
    assert job["RoleArn"].endswith("role/SageMakerExecution")


@pytest.mark.slow
def test_without_follow_the_job_is_only_created(recipe: Recipe, command: Command, job_story: Story) -> None:
    job_story(IN_PROGRESS)
    code, out, err = command("train", recipe(), "--no-follow")
    assert (code, err) == (0, "")
    assert out.endswith(f"job {JOB}: created\n")


def test_the_log_of_every_host_is_printed_once(recipe: Recipe, command: Command, job_story: Story) -> None:
    job_story(IN_PROGRESS, IN_PROGRESS, {"training_job_status": "Completed"})
    write_log(f"{JOB}/algo-1-1700000000", "first line", "iteration=1, train relative_error <loss>=0.5")
    write_log(f"{JOB}/algo-2-1700000001", "second host")
    write_log("another-job/algo-1-1700000000", "not ours")
    code, out, _ = command("train", recipe(), "--poll", "0.01")
    assert code == 0
    assert [line for line in out.splitlines() if " | " in line] == [
        "algo-1 | first line",
        "algo-1 | iteration=1, train relative_error <loss>=0.5",
        "algo-2 | second host",
    ]


def test_lines_that_come_while_following_are_printed(
    recipe: Recipe, command: Command, job_story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_story(IN_PROGRESS, {"training_job_status": "Completed"})
    pauses: list[float] = []

    def pause(length: float) -> None:
        pauses.append(length)
        write_log(f"{JOB}/algo-{len(pauses)}-1700000000", f"line {len(pauses)}")

    monkeypatch.setattr("scripts.follow.time.sleep", pause)
    _, out, _ = command("train", recipe(), "--poll", "7")
    assert pauses == [7, 7]
    assert "algo-1 | line 1\n" in out
    assert "algo-2 | line 2\n" in out  # after the job's end, when CloudWatch is late


def test_a_failed_job_gives_its_reason_and_code_1(recipe: Recipe, command: Command, job_story: Story) -> None:
    job_story(IN_PROGRESS, FAILED)
    code, out, err = command("train", recipe(), "--poll", "0.01")
    assert code == 1
    reason = "AlgorithmError: UserError: rank must be at least 1. Got 0. Set rank=1 or more"
    assert err == f"error: job {JOB} failed: {reason}\n"
    assert "model.tar.gz" not in out


def test_a_failed_job_without_a_reason(recipe: Recipe, command: Command, job_story: Story) -> None:
    job_story(FAILED | {"failure_reason": None})
    assert command("train", recipe(), "--poll", "0.01")[::2] == (
        1,
        f"error: job {JOB} failed: AWS gives no reason\n",
    )


@pytest.mark.parametrize(
    ("artifacts", "words"),
    [({"S3ModelArtifacts": ARTIFACT}, f"its model so far is {ARTIFACT}"), (None, "it left no model")],
)
def test_a_stopped_job(
    recipe: Recipe, command: Command, job_story: Story, artifacts: dict[str, str] | None, words: str
) -> None:
    stopped = {"training_job_status": "Stopped", "secondary_status": "MaxRuntimeExceeded"}
    job_story(stopped | {"model_artifacts": artifacts})
    code, _, err = command("train", recipe(), "--poll", "0.01")
    assert code == 1
    assert err == f"error: job {JOB} was stopped (MaxRuntimeExceeded); {words}\n"


def test_status_changes_are_printed_as_they_come(recipe: Recipe, command: Command, job_story: Story) -> None:
    start = {"Status": "Starting", "StartTime": 1, "StatusMessage": "Launching"}
    pull = {"Status": "Downloading", "StartTime": 2, "StatusMessage": "Downloading the data"}
    train = {"Status": "Training", "StartTime": 3}
    job_story(
        IN_PROGRESS | {"secondary_status_transitions": [start]},
        {"secondary_status_transitions": [start, pull]},
        {"secondary_status_transitions": [start, pull | {"StatusMessage": "Downloading the image"}]},
        {"secondary_status_transitions": [start, pull, train], "training_job_status": "Completed"},
    )
    _, out, _ = command("train", recipe(), "--poll", "0.01")
    changes = [line.partition(f"job {JOB}: ")[2] for line in out.splitlines() if JOB in line][1:-1]
    assert changes[:3] == [
        "Starting - Launching",
        "Downloading - Downloading the data",
        "Downloading - Downloading the image",
    ]
    assert changes[-1] == "Training"


def test_a_log_that_may_not_be_read_is_a_warning(recipe: Recipe, command: Command, stub: Stub) -> None:
    refusal = "User is not authorized to perform logs:DescribeLogStreams"
    stub("logs").add_client_error("describe_log_streams", "AccessDeniedException", refusal)
    code, out, err = command("train", recipe(), "--poll", "0.01")
    assert code == 0
    assert out.endswith(ARTIFACT + "\n")
    assert err.count("\n") == 1
    assert err.startswith("warning: the log cannot be read, only the status is followed: AWS refused")


def test_an_error_while_following_says_that_the_job_goes_on(recipe: Recipe, command: Command, stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{JOB}"
    sagemaker.add_response("create_training_job", {"TrainingJobArn": arn})
    sagemaker.add_client_error("describe_training_job", "ExpiredTokenException", "The token has expired")
    code, _, err = command("train", recipe(), "--poll", "0.01")
    assert code == 1
    expired = "AWS refused DescribeTrainingJob: The token has expired (ExpiredTokenException)"
    assert err == f"error: can no longer follow: {expired}; job {JOB} goes on; {STOP_HINT}\n"


def test_other_errors_of_the_log_end_the_following(recipe: Recipe, command: Command, stub: Stub) -> None:
    stub("logs").add_client_error("describe_log_streams", "ThrottlingException", "Rate exceeded")
    code, _, err = command("train", recipe(), "--poll", "0.01")
    assert code == 1
    assert "can no longer follow: AWS refused DescribeLogStreams: Rate exceeded" in err


def test_a_refused_job_is_one_sentence(recipe: Recipe, command: Command, stub: Stub) -> None:
    message = "Could not assume role"
    stub("sagemaker").add_client_error("create_training_job", "ValidationException", message)
    code, out, err = command("train", recipe())
    assert (code, out) == (1, "")
    assert err == f"error: AWS refused CreateTrainingJob: {message} (ValidationException)\n"


@pytest.mark.slow
def test_ctrl_c_stops_following_and_says_that_the_job_goes_on(recipe: Recipe, job_story: Story) -> None:
    following = job_story(IN_PROGRESS, IN_PROGRESS)
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.train", recipe(), "--poll", "0.1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so their children, ignore the signal from birth.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert following.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    job = out.split()[2].rstrip(":")
    stop = f"stop it with `aws sagemaker stop-training-job --training-job-name {job}`"
    assert err == f"error: no longer following; job {job} goes on; {stop}\n"
    status: dict[str, Any] = boto3.client("sagemaker").describe_training_job(TrainingJobName=job)
    assert status["TrainingJobStatus"] == "InProgress"
