"""What becomes of requests beside their answers: shadows, captures, streams, requests answered later, many models."""

from __future__ import annotations

import base64
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import ROLE, Door, asked, make_config, make_model, settled

pytestmark = pytest.mark.slow
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://data/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
}


@pytest.fixture(scope="module")
def models(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """The front door with a model that serves, one that sleeps before each answer, and one that breaks streams off."""
    folder = tmp_path_factory.mktemp("archives")
    kinds: dict[str, dict[str, object]] = {"sound": {}, "sleepy": {"sleeps": 10}, "broken": {"breaks_off": True}}
    for name, model in kinds.items():
        make_model(door, name, archive=make_archive(folder / name, **model))
    return door


def variant(name: str, model: str, weight: float = 1.0, count: int = 1) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


def deploy(door: Door, name: str, *variants: dict[str, Any], **members: Any) -> dict[str, Any]:
    """An endpoint of a configuration of the same name."""
    sagemaker = door.client("sagemaker")
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **members)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = settled(door, name)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    return described


def captured(door: Door, prefix: str, count: int, seconds: float = 20) -> list[tuple[str, dict[str, Any]]]:
    """The variant and the record of each captured request, once there are as many."""
    s3 = door.client("s3")
    deadline, found = time.monotonic() + seconds, list[tuple[str, dict[str, Any]]]()
    while time.monotonic() < deadline:
        objects = s3.list_objects_v2(Bucket="data", Prefix=f"captured/{prefix}/").get("Contents") or []
        found = [
            (each["Key"].split("/")[2], json.loads(line))
            for each in objects
            for line in s3.get_object(Bucket="data", Key=each["Key"])["Body"].read().splitlines()
        ]
        if len(found) >= count:
            break
        time.sleep(0.2)
    assert len(found) == count
    return found


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (value := condition()) is not None:
            return value
        time.sleep(0.1)
    raise AssertionError("it did not come")


def content(door: Door, uri: str) -> bytes | None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body: bytes = door.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError:
        return None
    return body


def test_requests_and_answers_are_captured_in_sagemakers_layout(models: Door) -> None:
    described = deploy(models, "captured", variant("A", "sound"), DataCaptureConfig=CAPTURE)
    assert described["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": "s3://data/captured",
        "KmsKeyId": "",
    }
    runtime = models.client("sagemaker-runtime")
    asking = {"EndpointName": "captured", "ContentType": "text/csv; charset=utf-8"}
    runtime.invoke_endpoint(**asking, Body=b"1,2\n", InferenceId="id-1", CustomAttributes="user=7")
    runtime.invoke_endpoint(EndpointName="captured", ContentType="application/x-npy", Body=b"\x93NUMPY")
    runtime.invoke_endpoint(**asking, Body=b"\xff\n")
    with pytest.raises(ClientError, match="ModelError"):
        runtime.invoke_endpoint(**asking, Body=b"bad")
    records = [record for _, record in captured(models, "captured", 3)]
    csv, npy, no_text = records
    assert csv["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv; charset=utf-8", "mode": "INPUT", "data": "1,2\n", "encoding": "CSV",
    }  # fmt: skip
    output = csv["captureData"]["endpointOutput"]
    assert output["mode"] == "OUTPUT" and output["encoding"] == "JSON" and json.loads(output["data"])["variant"] == "A"
    assert csv["eventMetadata"]["inferenceId"] == "id-1"
    assert csv["eventMetadata"]["customAttributes"] == ["user=7"]
    assert csv["eventVersion"] == "0" and csv["eventMetadata"]["inferenceTime"].endswith("Z")
    for record, body in ((npy, b"\x93NUMPY"), (no_text, b"\xff\n")):
        given = record["captureData"]["endpointInput"]
        assert given["encoding"] == "BASE64" and base64.b64decode(given["data"]) == body
    assert len({record["eventMetadata"]["eventId"] for record in records}) == 3
    hours = {each["Key"].split("/", 3)[3] for each in models.client("s3").list_objects_v2(
        Bucket="data", Prefix="captured/captured/A/")["Contents"]}  # fmt: skip
    assert all(len(hour.split("/")) == 5 and hour.endswith(".jsonl") for hour in hours)


def test_a_share_is_captured_and_only_what_is_asked(models: Door) -> None:
    capture = CAPTURE | {"InitialSamplingPercentage": 30, "CaptureOptions": [{"CaptureMode": "Output"}]}
    deploy(models, "sampled", variant("A", "sound"), DataCaptureConfig=capture)
    for _ in range(200):
        asked(models, "sampled")
    time.sleep(7)
    s3 = models.client("s3")
    objects = s3.list_objects_v2(Bucket="data", Prefix="captured/sampled/")["Contents"]
    lines = [line for each in objects for line in s3.get_object(Bucket="data", Key=each["Key"])["Body"].iter_lines()]
    assert abs(len(lines) - 60) < 4 * math.sqrt(200 * 0.3 * 0.7)
    assert list(json.loads(lines[0])["captureData"]) == ["endpointOutput"]


def test_a_shadow_gets_its_share_and_pairs_are_captured(models: Door) -> None:
    described = deploy(
        models, "shadowed", variant("A", "sound", 2.0), ShadowProductionVariants=[variant("B", "sound", 1.0)],
        DataCaptureConfig=CAPTURE,
    )  # fmt: skip
    assert [each["VariantName"] for each in described["ShadowProductionVariants"]] == ["B"]
    assert {asked(models, "shadowed")[0] for _ in range(200)} == {"A"}
    time.sleep(7)
    s3 = models.client("s3")
    ids: dict[str, set[str]] = {"A": set(), "B": set()}
    for each in s3.list_objects_v2(Bucket="data", Prefix="captured/shadowed/")["Contents"]:
        lines = s3.get_object(Bucket="data", Key=each["Key"])["Body"].iter_lines()
        ids[each["Key"].split("/")[2]] |= {json.loads(line)["eventMetadata"]["eventId"] for line in lines}
    assert len(ids["A"]) == 200 and ids["B"] < ids["A"]
    assert abs(len(ids["B"]) - 100) < 4 * math.sqrt(200 * 0.25)
    with pytest.raises(ClientError, match="Variant B of endpoint shadowed not found"):
        asked(models, "shadowed", TargetVariant="B")


def test_a_shadow_that_sleeps_or_dies_delays_nothing(models: Door) -> None:
    deploy(models, "dozing", variant("A", "sound"), ShadowProductionVariants=[variant("B", "sleepy")])
    began = time.monotonic()
    for _ in range(150):
        assert asked(models, "dozing")[0] == "A"
    assert time.monotonic() - began < 5
    deploy(models, "dying", variant("A", "sound"), ShadowProductionVariants=[variant("B", "sound")])
    runtime = models.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="ModelError"):
        runtime.invoke_endpoint(EndpointName="dying", Body=b"exit")  # It ends both servers.
    eventually(lambda: _answers(models, "dying"))


def _answers(door: Door, endpoint: str) -> str | None:
    try:
        return asked(door, endpoint)[0]
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("ModelError", "ServiceUnavailable")
        return None


def test_requests_are_counted_in_cloudwatch(models: Door) -> None:
    deploy(models, "counted", variant("A", "sound"))
    began = datetime.now(UTC)
    for _ in range(5):
        asked(models, "counted")
    with pytest.raises(ClientError, match="instance 3 is no number"):
        asked(models, "counted", b"bad")
    asking = {
        "Namespace": "AWS/SageMaker", "Period": 3600, "Statistics": ["Sum", "Average"],
        "StartTime": began - timedelta(hours=1), "EndTime": began + timedelta(hours=1),
        "Dimensions": [{"Name": "EndpointName", "Value": "counted"}, {"Name": "VariantName", "Value": "A"}],
    }  # fmt: skip

    def found(name: str) -> dict[str, Any] | None:
        points = models.client("cloudwatch").get_metric_statistics(MetricName=name, **asking)["Datapoints"]
        return points[0] if points else None

    assert eventually(partial(found, "Invocations"))["Sum"] == 6.0
    latency, errors = found("ModelLatency"), found("Invocation4XXErrors")
    assert latency is not None and 100 < latency["Average"] < 1e6
    assert errors is not None and errors["Sum"] == 1.0


def test_a_stream_comes_in_parts_as_the_container_sends_them(models: Door) -> None:
    deploy(models, "streams", variant("A", "sound"))
    runtime = models.client("sagemaker-runtime")
    began = time.monotonic()
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="streams", Body=b"stream", Accept="any/type")
    assert answer["InvokedProductionVariant"] == "A" and answer["ContentType"] == "application/jsonlines"
    parts, first = [], None
    for event in answer["Body"]:
        first = first or time.monotonic() - began
        parts.append(event["PayloadPart"]["Bytes"])
    assert b"".join(parts).decode() == '{"a": 1}\n{"b": "é"}\n' and len(parts) == 3
    assert first is not None and first < 0.3 < time.monotonic() - began
    with pytest.raises(ClientError, match="instance 3 is no number"):
        runtime.invoke_endpoint_with_response_stream(EndpointName="streams", Body=b"bad")


def test_a_stream_that_breaks_off_says_so(models: Door) -> None:
    deploy(models, "breaks", variant("A", "broken"))
    answer = models.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="breaks", Body=b"stream"
    )
    parts = []
    with pytest.raises(EventStreamError, match="the container's answer broke off"):
        for event in answer["Body"]:
            parts.append(event["PayloadPart"]["Bytes"])
    answer["Body"].close()
    assert b"".join(parts).startswith(b'{"a": 1}')


ASYNC = {"OutputConfig": {"S3OutputPath": "s3://data/answers", "S3FailurePath": "s3://data/failures"}}


@pytest.fixture(scope="module")
def later(models: Door) -> Iterator[Door]:
    """An endpoint that answers later, one request at a time."""
    config = ASYNC | {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}
    described = deploy(models, "later", variant("A", "sound"), AsyncInferenceConfig=config)
    assert described["AsyncInferenceConfig"] == config
    yield models


def test_answers_that_come_later_lie_in_s3(later: Door) -> None:
    runtime = later.client("sagemaker-runtime")
    later.client("s3").put_object(Bucket="data", Key="questions/one", Body=b'{"instances": [[1], [2]]}')
    began = time.monotonic()
    answer = runtime.invoke_endpoint_async(
        EndpointName="later", InputLocation="s3://data/questions/one", ContentType="application/json",
        InferenceId="mine",
    )  # fmt: skip
    assert answer["InferenceId"] == "mine" and answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["OutputLocation"].startswith("s3://data/answers/") and answer["OutputLocation"].endswith(".out")
    assert json.loads(eventually(partial(content, later, answer["OutputLocation"])))["predictions"]
    assert content(later, answer["FailureLocation"]) is None
    slow = [runtime.invoke_endpoint_async(EndpointName="later", Body=b"sleep 0.5") for _ in range(3)]
    for each in slow:
        assert eventually(partial(content, later, each["OutputLocation"])) == b"slept"
    assert time.monotonic() - began > 1.5  # One at a time.


def test_failures_of_later_answers_lie_in_s3(later: Door) -> None:
    runtime = later.client("sagemaker-runtime")
    for asking, message in (
        ({"Body": b"bad"}, "instance 3 is no number"),
        ({"InputLocation": "s3://data/zzz"}, "does not exist"),
    ):
        answer = runtime.invoke_endpoint_async(EndpointName="later", **asking)
        assert message.encode() in eventually(partial(content, later, answer["FailureLocation"]))
        assert content(later, answer["OutputLocation"]) is None


@pytest.mark.parametrize(
    ("asking", "message"),
    [
        ({}, "Give InputLocation or Body"),
        ({"Body": b"1", "InputLocation": "s3://data/questions/one"}, "not both"),
        ({"Body": b"1", "Filename": "a"}, "filename is not honoured"),
        ({"Body": bytes(128_001)}, "128001 bytes; at most 128000"),
    ],
)
def test_a_later_request_that_cannot_be_is_refused_at_once(later: Door, asking: Any, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        later.client("sagemaker-runtime").invoke_endpoint_async(EndpointName="later", **asking)


def test_an_endpoint_is_asked_in_one_way(later: Door) -> None:
    with pytest.raises(ClientError, match="is asked with InvokeEndpointAsync, not with InvokeEndpoint"):
        asked(later, "later")
    make_config(later, "at-once", A=("sound", 1.0, 1))
    later.client("sagemaker").create_endpoint(EndpointName="at-once", EndpointConfigName="at-once")
    settled(later, "at-once")
    with pytest.raises(ClientError, match="is asked with InvokeEndpoint, not with InvokeEndpointAsync"):
        later.client("sagemaker-runtime").invoke_endpoint_async(EndpointName="at-once", Body=b"1")


def test_requests_that_wait_survive_a_kill(open_door: Any, tmp_path: Path) -> None:
    with open_door() as door:
        door.client("s3").create_bucket(Bucket="data")
        make_model(door, "sound", archive=make_archive(tmp_path / "sound"))
        config = ASYNC | {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}
        deploy(door, "later", variant("A", "sound"), AsyncInferenceConfig=config)
        runtime = door.client("sagemaker-runtime")
        answers = [
            runtime.invoke_endpoint_async(EndpointName="later", Body=body)["OutputLocation"]
            for body in (b"sleep 1", b"sleep 0.2", b"sleep 0.1")
        ]
        door.process.kill()
    with open_door() as door:
        for each in answers:
            assert eventually(partial(content, door, each)) == b"slept"
        door.client("sagemaker").delete_endpoint(EndpointName="later")


def test_many_models_are_loaded_where_they_are_asked(models: Door, tmp_path: Path) -> None:
    for number in range(3):
        archive = make_archive(tmp_path / str(number), number=number)
        models.client("s3").upload_file(str(archive), "data", f"many/deep/{number}.tar.gz")
    models.client("s3").put_object(Bucket="data", Key="many/torn.tar.gz", Body=b"no archive")
    models.client("sagemaker").create_model(
        ModelName="many",
        PrimaryContainer={"Image": "polyadic", "Mode": "MultiModel", "ModelDataUrl": "s3://data/many"},
        ExecutionRoleArn=ROLE,
    )
    deploy(models, "many", variant("A", "many"))
    for number in (0, 1, 0, 2, 1, 0):  # There is room for two: each is put out in turn, and comes back.
        _, echo = asked(models, "many", TargetModel=f"deep/{number}.tar.gz")
        assert echo["model"]["number"] == number and echo["loaded"] <= 2
    for target, message in (
        ("zzz.tar.gz", "Failed to download model data"),
        ("torn.tar.gz", "cut short or is no gzipped tar archive"),
        ("../models/sound.tar.gz", "Failed to download model data"),
    ):
        with pytest.raises(ClientError, match=message):
            asked(models, "many", TargetModel=target)
    with pytest.raises(ClientError, match="name one as TargetModel"):
        asked(models, "many")


def test_many_models_under_load_are_never_confused(models: Door, tmp_path: Path) -> None:
    """Six clients ask for five models where there is room for two: each gets its own, while others are put out."""
    for number in range(5):
        archive = make_archive(tmp_path / str(number), number=number)
        models.client("s3").upload_file(str(archive), "data", f"crowd/{number}.tar.gz")
    models.client("sagemaker").create_model(
        ModelName="crowd",
        PrimaryContainer={"Image": "polyadic", "Mode": "MultiModel", "ModelDataUrl": "s3://data/crowd/"},
        ExecutionRoleArn=ROLE,
    )
    deploy(models, "crowd", variant("A", "crowd"))
    runtime = models.client("sagemaker-runtime")

    def ask(seed: int) -> list[tuple[int, int]]:
        chance, found = random.Random(seed), []
        for _ in range(20):
            number = chance.randrange(5)
            answer = runtime.invoke_endpoint(EndpointName="crowd", Body=b"{}", TargetModel=f"{number}.tar.gz")
            found.append((number, json.loads(answer["Body"].read())["model"]["number"]))
        return found

    with ThreadPoolExecutor(6) as clients:
        results = [pair for found in clients.map(ask, range(6)) for pair in found]
    assert len(results) == 120 and all(asked_for == answered for asked_for, answered in results)
