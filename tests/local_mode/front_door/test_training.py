"""Training jobs over boto3, run by a container in small."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_mode.front_door.jobs.metrics import Metrics
from tests.local_mode.front_door.conftest import ROLE, Door, ended, job, trained

pytestmark = pytest.mark.slow


def members(door: Door, bucket: str, key: str) -> dict[str, bytes]:
    """The files of an archive in S3."""
    data = door.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {each.name: archive.extractfile(each) for each in archive}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_a_job_trains_and_says_what_it_did(door: Door) -> None:
    definitions = [{"Name": "loss", "Regex": r"train relative_error <loss>=(\S+)"}, {"Name": "none", "Regex": "x(y)z"}]
    algorithm = {"TrainingImage": "polyadic", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    tags = [{"Key": "team", "Value": "a"}]
    described = trained(
        door, "sound", AlgorithmSpecification=algorithm, HyperParameters={"max_iterations": "4"}, Tags=tags
    )
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Completed"
    assert described["ModelArtifacts"] == {"S3ModelArtifacts": "s3://data/out/sound/output/model.tar.gz"}
    assert [(each["MetricName"], each["Value"]) for each in described["FinalMetricDataList"]] == [("loss", 0.25)]
    steps = [each["Status"] for each in described["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(each["EndTime"] >= each["StartTime"] for each in described["SecondaryStatusTransitions"])
    assert described["CreationTime"] <= described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert described["ResourceConfig"]["InstanceType"] == "ml.m5.large" and described["RoleArn"] == ROLE
    assert "Tags" not in described
    sagemaker = door.client("sagemaker")
    assert sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"] == tags
    assert json.loads(members(door, "data", "out/sound/output/model.tar.gz")["model.json"])["saved_by"] == "algo-1"
    seen = json.loads(members(door, "data", "out/sound/output/output.tar.gz")["algo-1.json"])
    assert seen["files"] == {"train": ["a.csv", "deep/b.csv"]}
    assert seen["environment"]["TRAINING_JOB_NAME"] == "sound"


def test_metrics_are_in_cloudwatch_and_survive_a_start(open_door: Callable[..., Any]) -> None:
    definitions = [{"Name": "loss", "Regex": r"train relative_error <loss>=(\S+)"}]
    algorithm = {"TrainingImage": "polyadic", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    with open_door() as door:
        door.client("s3").create_bucket(Bucket="data")
        door.client("s3").put_object(Bucket="data", Key="train/a.csv", Body=b"1,2\n")
        described = trained(door, "measured", AlgorithmSpecification=algorithm, HyperParameters={"max_iterations": "4"})
    with open_door() as door:
        found = door.client("cloudwatch").get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs", MetricName="loss", Statistics=["Sum", "SampleCount", "Minimum"],
            Dimensions=[{"Name": "TrainingJobName", "Value": "measured"}], Period=3600,
            StartTime=described["CreationTime"] - timedelta(hours=1),
            EndTime=described["CreationTime"] + timedelta(hours=1),
        )["Datapoints"]  # fmt: skip
        assert (found[0]["SampleCount"], found[0]["Minimum"]) == (4.0, 0.25)
        assert found[0]["Sum"] == pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4)


def test_lines_are_in_cloudwatch_logs(door: Door) -> None:
    trained(door, "talkative", ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1})
    logs, group = door.client("logs"), "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="talkative/")["logStreams"]
    assert sorted(each["logStreamName"].rpartition("-")[0] for each in streams) == [
        "talkative/algo-1",
        "talkative/algo-2",
    ]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[1]["logStreamName"], startFromHead=True)
    assert [each["message"] for each in events["events"]] == ["hello from algo-2"]


def test_content_types_and_shards_reach_the_hosts(door: Door) -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train/", "S3DataDistributionType": "ShardedByS3Key"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    trained(door, "sharded", InputDataConfig=[channel], ResourceConfig=resources)
    files = members(door, "data", "out/sharded/output/output.tar.gz")
    seen = [json.loads(files[f"algo-{number}.json"]) for number in (1, 2)]
    assert [each["files"]["train"] for each in seen] == [["a.csv"], ["deep/b.csv"]]
    config = seen[0]["config"]["inputdataconfig"]["train"]
    assert config["ContentType"] == "text/csv" and config["S3DistributionType"] == "ShardedByS3Key"
    assert seen[0]["config"]["resourceconfig"]["current_instance_type"] == "ml.m5.large"


def test_a_job_that_fails_says_why(door: Door) -> None:
    described = trained(door, "wrong", HyperParameters={"behaviour": "fail"})
    assert described["TrainingJobStatus"] == "Failed" and "ModelArtifacts" not in described
    assert described["FailureReason"] == "AlgorithmError: rank got 0: give a rank of 1 or more, host algo-1"
    nothing = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/nothing"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": nothing}}
    described = trained(door, "empty", InputDataConfig=[channel])
    assert described["TrainingJobStatus"] == "Failed"
    assert 'No S3 objects found under S3 URL "s3://data/nothing"' in described["FailureReason"]


def test_a_job_is_stopped_and_keeps_its_model(door: Door) -> None:
    sagemaker = door.client("sagemaker")
    sagemaker.create_training_job(**job("patient", HyperParameters={"behaviour": "wait"}))
    await_line(door, "patient", "waiting")
    sagemaker.stop_training_job(TrainingJobName="patient")
    sagemaker.stop_training_job(TrainingJobName="patient")
    described = ended(door, "patient")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Stopped"
    assert json.loads(members(door, "data", "out/patient/output/model.tar.gz")["model.json"])["stopped"]
    with pytest.raises(ClientError, match="ValidationException.*is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="patient")


def test_a_script_that_knows_no_signal_keeps_what_it_had_written(door: Door) -> None:
    sagemaker = door.client("sagemaker")
    sagemaker.create_training_job(**job("careless", HyperParameters={"behaviour": "careless"}))
    await_line(door, "careless", "written")
    sagemaker.stop_training_job(TrainingJobName="careless")
    described = ended(door, "careless")
    assert described["TrainingJobStatus"] == "Stopped" and described["ModelArtifacts"]
    assert "model.json" in members(door, "data", "out/careless/output/model.tar.gz")


def test_metrics_are_read_from_odd_lines() -> None:
    told: list[tuple[str, float]] = []
    metrics = Metrics([{"Name": "m", "Regex": r"loss=(\S+)|acc=(\d+)"}], lambda name, value: told.append((name, value)))
    for line in ("loss=1", "acc=3", "loss=none", "loss=nan", "loss=2"):
        metrics.read(line)
    assert told == [("m", 1.0), ("m", 2.0)] and metrics.final()[0]["Value"] == 2.0
    metrics.read("loss=inf")
    assert metrics.final() == []  # JSON has no infinity.


def test_a_job_ends_after_its_longest_time(door: Door) -> None:
    limit = {"MaxRuntimeInSeconds": 1}
    described = trained(door, "endless", HyperParameters={"behaviour": "wait"}, StoppingCondition=limit)
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_checkpoints_lie_in_s3(door: Door) -> None:
    trained(door, "kept", CheckpointConfig={"S3Uri": "s3://data/checkpoints"})
    assert door.client("s3").get_object(Bucket="data", Key="checkpoints/algo-1.txt")["Body"].read() == b"epoch 1"


def test_a_channel_comes_through_a_pipe_epoch_after_epoch(door: Door) -> None:
    algorithm = {"TrainingImage": "polyadic", "TrainingInputMode": "Pipe"}
    described = trained(
        door, "piped", AlgorithmSpecification=algorithm, HyperParameters={"behaviour": "pipe"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    )  # fmt: skip
    assert described["TrainingJobStatus"] == "Completed", described
    read = json.loads(members(door, "data", "out/piped/output/output.tar.gz")["algo-2-pipe.json"])
    assert read == ["1,2,3\n4,5,6\n"] * 2
    seen = json.loads(members(door, "data", "out/piped/output/output.tar.gz")["algo-1.json"])
    assert seen["config"]["inputdataconfig"]["train"]["TrainingInputMode"] == "Pipe"


def test_a_pipe_that_nobody_reads_keeps_no_job(door: Door) -> None:
    algorithm = {"TrainingImage": "polyadic", "TrainingInputMode": "Pipe"}
    assert trained(door, "unread", AlgorithmSpecification=algorithm)["TrainingJobStatus"] == "Completed"


def test_a_spot_job_is_interrupted_and_goes_on_from_its_checkpoints(open_door: Callable[..., Any]) -> None:
    with open_door("--interrupt", "1") as door:
        door.client("s3").create_bucket(Bucket="data")
        door.client("s3").put_object(Bucket="data", Key="train/a.csv", Body=b"1,2\n")
        spot = {"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": "s3://data/checkpoints"}}
        described = trained(door, "spot", HyperParameters={"behaviour": "resume"}, **spot)
        steps = [each["Status"] for each in described["SecondaryStatusTransitions"]]
        assert steps == [
            "Starting", "Downloading", "Training", "Interrupted", "Starting", "Training", "Uploading", "Completed",
        ]  # fmt: skip
        await_line(door, "spot", "resumed")
        described = trained(door, "no-spot", HyperParameters={"behaviour": "resume"}, CheckpointConfig={
            "S3Uri": "s3://data/checkpoints"})  # fmt: skip
        assert described["TrainingJobStatus"] == "Completed"


def test_jobs_are_listed_page_by_page(door: Door) -> None:
    for number in range(5):
        trained(door, f"listed-{number}")
    sagemaker = door.client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="LISTED", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    names = [[each["TrainingJobName"] for each in page["TrainingJobSummaries"]] for page in pages]
    assert names == [["listed-0", "listed-1"], ["listed-2", "listed-3"], ["listed-4"]]
    oldest = sagemaker.list_training_jobs(NameContains="listed", MaxResults=1)["TrainingJobSummaries"]
    assert oldest[0]["TrainingJobName"] == "listed-0"  # By the time of creation, ascending: SageMaker's own order.
    sagemaker.delete_training_job(TrainingJobName="listed-0")
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="listed-0")
    assert not sagemaker.list_training_jobs(NameContains="listed", StatusEquals="Failed")["TrainingJobSummaries"]
    with pytest.raises(ClientError, match="NextToken is 'zzz'"):
        sagemaker.list_training_jobs(NextToken="zzz")


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a name that is taken": ({"TrainingJobName": "sound-2"}, "ResourceInUse", "already exists"),
    "a network of its own": (
        {"VpcConfig": {"SecurityGroupIds": ["sg"], "Subnets": ["s"]}},
        "ValidationException",
        "VpcConfig is not honoured on this machine: leave it out",
    ),
    "an algorithm by its name": (
        {"AlgorithmSpecification": {"AlgorithmName": "lda", "TrainingInputMode": "File"}},
        "ValidationException",
        "AlgorithmName is not honoured",
    ),
    "an expression that is none": (
        {
            "AlgorithmSpecification": {
                "TrainingImage": "a",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "("}],
            }
        },
        "ValidationException",
        "MetricDefinitions: the expression of loss is none",
    ),
    "several groups of instances": (
        {
            "ResourceConfig": {
                "InstanceGroups": [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "a"}],
                "VolumeSizeInGB": 1,
            }
        },
        "ValidationException",
        "ResourceConfig.InstanceGroups is not honoured",
    ),
    "a model as a folder": (
        {"OutputDataConfig": {"S3OutputPath": "s3://data/out", "CompressionType": "NONE"}},
        "ValidationException",
        "OutputDataConfig.CompressionType NONE is not honoured",
    ),
    "checkpoints elsewhere": (
        {"CheckpointConfig": {"S3Uri": "s3://data/checkpoints", "LocalPath": "/opt/ml/elsewhere"}},
        "ValidationException",
        "CheckpointConfig.LocalPath /opt/ml/elsewhere is not honoured on this machine: give /opt/ml/checkpoints",
    ),
    "more hosts than the machine has room for": (
        {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 5000, "VolumeSizeInGB": 1}},
        "ResourceLimitExceeded",
        "The limit of hosts for training on this machine is .* more instances.* and 5000 were asked for",
    ),
    "a wait that no spot job has": (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 700}},
        "ValidationException",
        "belongs to spot jobs",
    ),
    "a wait that is too short": (
        {
            "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 60},
            "EnableManagedSpotTraining": True,
        },
        "ValidationException",
        "MaxWaitTimeInSeconds is 60: it must not be less than MaxRuntimeInSeconds, 600",
    ),
    "a bucket that is not there": (
        {
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://nowhere/a"}},
                }
            ]
        },
        "ValidationException",
        "there is no bucket nowhere",
    ),
    "a type that does not exist": (
        {"ResourceConfig": {"InstanceType": "ml.abacus", "InstanceCount": 1, "VolumeSizeInGB": 1}},
        "ValidationException",
        "Member must satisfy enum value set: \\[ml.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_had_is_refused_by_name(what: str, door: Door) -> None:
    changes, code, message = REFUSED[what]
    sagemaker = door.client("sagemaker")
    if what == "a name that is taken":
        trained(door, "sound-2")
    with pytest.raises(ClientError, match=message) as caught:
        sagemaker.create_training_job(**job(changes.get("TrainingJobName", "refused"), **changes))
    assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="ValidationException.*Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="refused")


def test_a_job_that_a_kill_ended_is_said_to_have_failed(open_door: Callable[[], Any]) -> None:
    with open_door() as door:
        door.client("s3").create_bucket(Bucket="data")
        door.client("s3").put_object(Bucket="data", Key="train/a.csv", Body=b"1,2\n")
        trained(door, "before")
        door.client("sagemaker").create_training_job(**job("cut", HyperParameters={"behaviour": "deaf"}))
        await_line(door, "cut", "hello from algo-1")
        door.process.kill()
    with open_door() as door:
        described = door.client("sagemaker").describe_training_job(TrainingJobName="cut")
        assert described["TrainingJobStatus"] == "Failed"
        assert "the machine's front door was stopped while the job ran" in described["FailureReason"]
        assert (
            door.client("sagemaker").describe_training_job(TrainingJobName="before")["TrainingJobStatus"] == "Completed"
        )
        assert "saved_by" in members(door, "data", "out/before/output/model.tar.gz")["model.json"].decode()
        await_line(door, "before", "hello from algo-1")
        assert trained(door, "after")["TrainingJobStatus"] == "Completed"


def await_line(door: Door, name: str, line: str, seconds: float = 30) -> None:
    """Waits until a job has printed a line."""
    deadline, logs, group = time.monotonic() + seconds, door.client("logs"), "/aws/sagemaker/TrainingJobs"
    while time.monotonic() < deadline:
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        except ClientError:
            streams = []
        for stream in streams:
            events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
            if any(each["message"] == line for each in events):
                return
        time.sleep(0.05)
    raise AssertionError(f"{name} does not print {line!r}")
