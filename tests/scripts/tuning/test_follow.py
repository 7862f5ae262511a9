"""Following a tuning job: counts as they change, each ended job once, the best so far, and each end of following."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.aws import CommandError, Interrupted
from scripts.tuning.follow import follow_tuning

NAME = "cp-260101000000-abcd"
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/{NAME}"
STOP = (
    f"tuning job {NAME} goes on; "
    f"stop it with `aws sagemaker stop-hyper-parameter-tuning-job --hyper-parameter-tuning-job-name {NAME}`"
)


def job(number: int, status: str, value: float | None = None, **more: Any) -> dict[str, Any]:
    """A training job as the tuning job lists it."""
    told = {"MetricName": "train:error", "Value": value}
    return {
        "TrainingJobName": f"{NAME}-{number}",
        "TrainingJobArn": ARN,
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"rank": str(number), "tol": "0.1"},
        **({"FinalHyperParameterTuningJobObjectiveMetric": told} if value is not None else {}),
        **more,
    }


def description(status: str, *counts: int, best: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An answer of DescribeHyperParameterTuningJob; counts: running, completed, failed, stopped."""
    running, completed, failed, stopped = counts
    return {
        "HyperParameterTuningJobName": NAME,
        "HyperParameterTuningJobArn": ARN,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxParallelTrainingJobs": 1},
        },
        "HyperParameterTuningJobStatus": status,
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatusCounters": {
            "InProgress": running,
            "Completed": completed,
            "RetryableError": failed - failed // 2,
            "NonRetryableError": failed // 2,
            "Stopped": stopped,
        },
        "ObjectiveStatusCounters": {},
        **({"BestTrainingJob": best} if best else {}),
        **more,
    }


def look(stubber: Stubber, told: dict[str, Any], *jobs: dict[str, Any], **token: str) -> None:
    """The answers to one look at the tuning job."""
    stubber.add_response("describe_hyper_parameter_tuning_job", told, {"HyperParameterTuningJobName": NAME})
    stubber.add_response(
        "list_training_jobs_for_hyper_parameter_tuning_job",
        {"TrainingJobSummaries": list(jobs), **token},
        {"HyperParameterTuningJobName": NAME, "SortBy": "CreationTime", "SortOrder": "Ascending"},
    )


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    with Stubber(boto3.client("sagemaker")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def lines(text: str) -> list[str]:
    """The lines without the time of day."""
    return [line.partition(" ")[2] for line in text.splitlines()]


def test_each_ended_job_is_told_once_with_the_best_so_far(stubber: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = job(1, "Completed", 0.25), job(2, "Completed", 0.5)
    third = job(3, "Failed", FailureReason="AlgorithmError: no")
    look(stubber, description("InProgress", 2, 0, 0, 0), job(1, "InProgress"), job(2, "InProgress"))
    look(stubber, description("InProgress", 2, 0, 0, 0), job(1, "InProgress"), job(2, "InProgress"))
    look(stubber, description("InProgress", 1, 1, 0, 0, best=first), first, job(2, "InProgress"))
    last = description("Completed", 0, 2, 1, 0, best=first)
    look(stubber, last, first, second, third)
    assert follow_tuning(stubber.client, NAME, 0.01)["HyperParameterTuningJobStatus"] == "Completed"
    best = f"the best so far is {NAME}-1 with 0.25"
    assert lines(capsys.readouterr().out) == [
        f"tuning job {NAME}: InProgress - 2 running, 0 completed, 0 failed, 0 stopped",
        f"job {NAME}-1: Completed, train:error 0.25 with rank=1 tol=0.1; the best so far",
        f"tuning job {NAME}: InProgress - 1 running, 1 completed, 0 failed, 0 stopped",
        f"job {NAME}-2: Completed, train:error 0.5 with rank=2 tol=0.1; {best}",
        f"job {NAME}-3: Failed, no objective with rank=3 tol=0.1, AlgorithmError: no; {best}",
        f"tuning job {NAME}: Completed - 0 running, 2 completed, 1 failed, 0 stopped",
    ]


def test_every_page_of_jobs_is_read(stubber: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    look(stubber, description("Stopped", 0, 1, 0, 1), job(1, "Completed", 1.0), NextToken="next")
    listed = {"TrainingJobSummaries": [job(2, "Stopped")]}
    stubber.add_response("list_training_jobs_for_hyper_parameter_tuning_job", listed)
    follow_tuning(stubber.client, NAME, 0.01)
    assert f"job {NAME}-2: Stopped, no objective with rank=2 tol=0.1\n" in capsys.readouterr().out


def test_an_error_says_that_the_tuning_goes_on(stubber: Stubber) -> None:
    stubber.add_client_error("describe_hyper_parameter_tuning_job", "ExpiredTokenException", "The token has expired")
    with pytest.raises(CommandError) as refusal:
        follow_tuning(stubber.client, NAME, 0.01)
    expired = "AWS refused DescribeHyperParameterTuningJob: The token has expired (ExpiredTokenException)"
    assert str(refusal.value) == f"can no longer follow: {expired}; {STOP}"


def test_ctrl_c_says_that_the_tuning_goes_on(stubber: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    look(stubber, description("InProgress", 1, 0, 0, 0))

    def interrupt(length: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scripts.tuning.follow.time.sleep", interrupt)
    with pytest.raises(Interrupted) as refusal:
        follow_tuning(stubber.client, NAME, 0.01)
    assert str(refusal.value) == f"no longer following; {STOP}"
