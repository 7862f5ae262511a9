"""Following a tuning job: how many of its training jobs run, each that has ended, and the best so far."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.aws import CommandError, Interrupted, explain, pages, say

ENDED = {"Completed", "Failed", "Stopped"}


def follow_tuning(sagemaker: Any, name: str, poll: float) -> dict[str, Any]:
    """Print what happens to the tuning job until it ends; return its last description."""
    stop = "stop it with `aws sagemaker stop-hyper-parameter-tuning-job --hyper-parameter-tuning-job-name"
    goes_on = f"tuning job {name} goes on; {stop} {name}`"
    try:
        return _until_ended(sagemaker, name, poll)
    except KeyboardInterrupt:
        raise Interrupted(f"no longer following; {goes_on}") from None
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"can no longer follow: {explain(error)}; {goes_on}") from error


def _until_ended(sagemaker: Any, name: str, poll: float) -> dict[str, Any]:
    state, told = "", set[str]()
    while True:
        description: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        for job in _newly_ended(sagemaker, name, told):
            say(f"job {job['TrainingJobName']}: {job['TrainingJobStatus']}, {_outcome(job)}{_best(description, job)}")
        if state != _state(description):
            state = _state(description)
            say(f"tuning job {name}: {state}")
        if description["HyperParameterTuningJobStatus"] in ENDED:
            return description
        time.sleep(poll)


def _newly_ended(sagemaker: Any, name: str, told: set[str]) -> list[dict[str, Any]]:
    """The training jobs that have ended and are not told of, oldest first; from now on they are."""
    call = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job
    listed = pages(
        call, "TrainingJobSummaries", HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    ended = [job for job in listed if job["TrainingJobStatus"] in ENDED and job["TrainingJobName"] not in told]
    told.update(job["TrainingJobName"] for job in ended)
    return ended


def _state(description: dict[str, Any]) -> str:
    counts = description.get("TrainingJobStatusCounters") or {}
    failed = counts.get("RetryableError", 0) + counts.get("NonRetryableError", 0)
    return (
        f"{description['HyperParameterTuningJobStatus']} - {counts.get('InProgress', 0)} running, "
        f"{counts.get('Completed', 0)} completed, {failed} failed, {counts.get('Stopped', 0)} stopped"
    )


def _outcome(job: dict[str, Any]) -> str:
    reached = job.get("FinalHyperParameterTuningJobObjectiveMetric")
    told = f"{reached['MetricName']} {reached['Value']:g}" if reached else "no objective"
    reason = f", {job['FailureReason']}" if job.get("FailureReason") else ""
    return f"{told} with {choices(job)}{reason}"


def choices(job: dict[str, Any]) -> str:
    """`learning_rate=0.01 rank=7`: what the tuning chose for a job."""
    chosen = sorted((job.get("TunedHyperParameters") or {}).items())
    return " ".join(f"{name}={value}" for name, value in chosen)


def _best(description: dict[str, Any], job: dict[str, Any]) -> str:
    best = description.get("BestTrainingJob")
    if not best:
        return ""
    if best["TrainingJobName"] == job["TrainingJobName"]:
        return "; the best so far"
    reached = best.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    return f"; the best so far is {best['TrainingJobName']} with {reached.get('Value', float('nan')):g}"
