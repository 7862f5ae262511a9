"""The image behind the front door: Pipe mode, an interruption, a shadow with capture, later answers, a batch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.image_engine import Engine
from tests.helpers.image_jobs import CP, cp_requests, low_rank_tensor, write_tensor
from tests.local_mode.front_door.conftest import ROLE, Door, job, opened, settled, trained

SPOT = {"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": "s3://data/checkpoints"}}
CAPTURE = {
    "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://data/captured",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}  # fmt: skip


@pytest.mark.timeout(400, func_only=True)
def test_what_the_front_door_asks_of_the_image(engine: Engine, image: str, scratch: Path) -> None:
    with opened(scratch / "state", scratch, "--image", image, "--interrupt", "6") as door:
        s3, tensor = door.client("s3"), low_rank_tensor(seed=0)
        s3.create_bucket(Bucket="data")
        (scratch / "tensor").mkdir()
        write_tensor(scratch / "tensor", tensor)
        for file in (scratch / "tensor").iterdir():
            s3.upload_file(str(file), "data", f"train/{file.name}")
        model = interrupted(door)
        deploy(door, model, "shadowed", ShadowProductionVariants=[variant("B")], DataCaptureConfig=CAPTURE)
        requests, truth = cp_requests(tensor)
        for request, value in zip(requests, truth, strict=True):
            answer = door.client("sagemaker-runtime").invoke_endpoint(
                EndpointName="shadowed", ContentType="application/json", Body=json.dumps(request)
            )
            found = json.loads(answer["Body"].read())["predictions"][0]["value"]
            assert found == pytest.approx(value, abs=1e-4)
        pairs = eventually(lambda: captured(door, len(requests)))
        assert set(pairs) == {"A", "B"} and pairs["A"] == pairs["B"]
        output = {"S3OutputPath": "s3://data/later", "S3FailurePath": "s3://data/failed"}
        deploy(door, model, "later", AsyncInferenceConfig={"OutputConfig": output})
        asked = door.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName="later", ContentType="application/json", Body=json.dumps(requests[0])
        )
        body = eventually(lambda: content(door, asked["OutputLocation"].removeprefix("s3://data/")))
        assert json.loads(body)["predictions"][0]["value"] == pytest.approx(truth[0], abs=1e-4)
        batch(door)
        piped(door)
        for name in ("shadowed", "later"):
            door.client("sagemaker").delete_endpoint(EndpointName=name)


def interrupted(door: Door) -> str:
    """A spot job that is interrupted once; where its model is."""
    slow = CP | {"method": "als", "max_iterations": "4000000", "stop_tol": "0"}
    sagemaker = door.client("sagemaker")
    sagemaker.create_training_job(**job("spot", HyperParameters=slow, **SPOT))

    def begun_again() -> Any:
        described = sagemaker.describe_training_job(TrainingJobName="spot")
        steps = [each["Status"] for each in described["SecondaryStatusTransitions"]]
        return described if steps.count("Training") == 2 or described["TrainingJobStatus"] != "InProgress" else None

    assert "Interrupted" in [each["Status"] for each in eventually(begun_again)["SecondaryStatusTransitions"]]
    eventually(lambda: iterations(door, "spot") if len(iterations(door, "spot")) == 2 else None)
    first, second = iterations(door, "spot")
    assert 0 < max(first) < min(second) <= max(first) + 2  # It goes on where it was interrupted.
    sagemaker.stop_training_job(TrainingJobName="spot")
    ended = eventually(lambda: stopped(door, "spot"))
    return str(ended["ModelArtifacts"]["S3ModelArtifacts"])


def iterations(door: Door, name: str) -> list[list[int]]:
    """The numbers of the sweeps that each start of a job has told, in the order of its starts."""
    logs, group = door.client("logs"), "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    found = []
    for stream in sorted(each["logStreamName"] for each in streams):
        asking, events = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}, list[Any]()
        while True:  # A fast machine tells more than one answer holds.
            told = logs.get_log_events(**asking)
            events += told["events"]
            if asking.get("nextToken") == told["nextForwardToken"]:
                break
            asking["nextToken"] = told["nextForwardToken"]
        numbers = [re.search(r"iteration=(\d+)", each["message"]) for each in events]
        found.append([int(number[1]) for number in numbers if number])
    return [each for each in found if each]


def piped(door: Door) -> None:
    """LDA reads its corpus from a FIFO."""
    counts = np.random.default_rng(0).poisson(0.5, (200, 12))
    rows = "".join(",".join(map(str, row)) + "\n" for row in counts)
    door.client("s3").put_object(Bucket="data", Key="corpus/a.csv", Body=rows.encode())
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/corpus", "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
    described = trained(
        door, "piped", InputDataConfig=[channel | {"InputMode": "Pipe"}],
        HyperParameters={"algorithm": "lda", "num_topics": "2", "feature_dim": "12", "mini_batch_size": "200"},
    )  # fmt: skip
    assert described["TrainingJobStatus"] == "Completed", described["FailureReason"]


def batch(door: Door) -> None:
    """A batch of indices, joined with its values."""
    door.client("s3").put_object(Bucket="data", Key="rows/a.csv", Body=b"0,0,0\n6,5,4\n1,2,3\n")
    uri = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/rows"}}
    door.client("sagemaker").create_transform_job(
        TransformJobName="batch",
        ModelName="shadowed",
        TransformInput={"DataSource": uri, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": "s3://data/out", "AssembleWith": "Line", "Accept": "text/csv"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        DataProcessing={"JoinSource": "Input"},
    )
    lines = eventually(lambda: content(door, "out/a.csv.out")).decode().splitlines()
    tensor = low_rank_tensor(seed=0)
    for line, index in zip(lines, [(0, 0, 0), (6, 5, 4), (1, 2, 3)], strict=True):
        *given, value = line.split(",")
        assert tuple(map(int, given)) == index and float(value) == pytest.approx(tensor[index], abs=1e-4)


def variant(name: str) -> dict[str, Any]:
    return {
        "VariantName": name, "ModelName": "shadowed", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }  # fmt: skip


def deploy(door: Door, model: str, name: str, **members: Any) -> None:
    sagemaker = door.client("sagemaker")
    if not sagemaker.list_models()["Models"]:
        container = {"Image": "polyadic", "ModelDataUrl": model}
        sagemaker.create_model(ModelName="shadowed", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("A")], **members)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = settled(door, name)
    assert described["EndpointStatus"] == "InService", described


def captured(door: Door, count: int) -> dict[str, set[str]] | None:
    """The event ids of each variant, once each has as many."""
    ids: dict[str, set[str]] = {}
    for each in door.client("s3").list_objects_v2(Bucket="data", Prefix="captured/").get("Contents") or []:
        body = door.client("s3").get_object(Bucket="data", Key=each["Key"])["Body"].read()
        found = {json.loads(line)["eventMetadata"]["eventId"] for line in body.splitlines()}
        ids.setdefault(each["Key"].split("/")[2], set()).update(found)
    return ids if len(ids) == 2 and all(len(each) == count for each in ids.values()) else None


def stopped(door: Door, name: str) -> dict[str, Any] | None:
    described: dict[str, Any] = door.client("sagemaker").describe_training_job(TrainingJobName=name)
    return described if described["TrainingJobStatus"] in ("Stopped", "Completed", "Failed") else None


def content(door: Door, key: str) -> bytes | None:
    try:
        body: bytes = door.client("s3").get_object(Bucket="data", Key=key)["Body"].read()
    except door.client("s3").exceptions.NoSuchKey:
        return None
    return body


def eventually(look: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.3)
    return found
