"""Following a training job: its status changes and its hosts' CloudWatch log, until it ends."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.aws import CommandError, Interrupted, explain, say, warn

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = {"Completed", "Failed", "Stopped"}


def follow(sagemaker: Any, logs: Any, job: str, poll: float) -> dict[str, Any]:
    """Print what happens to the job until it ends; return its last description."""
    stop = f"stop it with `aws sagemaker stop-training-job --training-job-name {job}`"
    try:
        return _until_ended(sagemaker, JobLog(logs, job), job, poll)
    except KeyboardInterrupt:
        raise Interrupted(f"no longer following; job {job} goes on; {stop}") from None
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"can no longer follow: {explain(error)}; job {job} goes on; {stop}") from error


def _until_ended(sagemaker: Any, log: "JobLog", job: str, poll: float) -> dict[str, Any]:
    printed: list[str] = []
    while True:
        description: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=job)
        changes = [_change(entry) for entry in description.get("SecondaryStatusTransitions", [])]
        for place, change in enumerate(changes):
            if printed[place : place + 1] != [change]:
                say(f"job {job}: {change}")
        printed = changes
        log.print_new()
        if description["TrainingJobStatus"] in ENDED:
            time.sleep(poll)  # the last lines reach CloudWatch some seconds after the job's end
            log.print_new()
            return description
        time.sleep(poll)


def _change(entry: dict[str, Any]) -> str:
    message = entry.get("StatusMessage")
    return f"{entry['Status']} - {message}" if message else str(entry["Status"])


class JobLog:
    """The log streams of a job's hosts, each read from where it was left."""

    def __init__(self, logs: Any, job: str) -> None:
        self._logs = logs
        self._prefix = f"{job}/"
        self._tokens: dict[str, str] = {}
        self._readable = True

    def print_new(self) -> None:
        """Print the lines that have come since the last call, each after its host's name."""
        if not self._readable:
            return
        try:
            for stream in self._streams():
                self._print_stream(stream)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceNotFoundException":
                return  # the log group or stream is made with the first line
            if code not in {"AccessDeniedException", "AccessDenied"}:
                raise
            self._readable = False
            warn(f"the log cannot be read, only the status is followed: {explain(error)}")

    def _streams(self) -> list[str]:
        parameters = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": self._prefix}
        answer = self._logs.describe_log_streams(**parameters)
        streams = list(answer["logStreams"])
        while answer.get("nextToken"):
            answer = self._logs.describe_log_streams(**parameters, nextToken=answer["nextToken"])
            streams += answer["logStreams"]
        return [stream["logStreamName"] for stream in streams]

    def _print_stream(self, stream: str) -> None:
        # A stream is called JOB/HOST-NUMBER.
        host = stream.removeprefix(self._prefix).rpartition("-")[0]
        while True:
            token = self._tokens.get(stream)
            since = {"nextToken": token} if token else {}
            answer = self._logs.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **since
            )
            for event in answer["events"]:
                print(f"{host} | {event['message'].rstrip()}", flush=True)
            self._tokens[stream] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token:
                return
