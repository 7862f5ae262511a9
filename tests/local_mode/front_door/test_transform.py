"""Batch transform over boto3: splits, filters and joins, and what a faulty file does to the others."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import Door, make_model

pytestmark = pytest.mark.slow
CSV = {"ContentType": "text/csv", "SplitType": "Line"}
LINES = {"ContentType": "application/jsonlines", "SplitType": "Line"}


@pytest.fixture(scope="module")
def doubling(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """The front door with a model that doubles the first number of each row, and some files."""
    make_model(door, "doubling", archive=make_archive(tmp_path_factory.mktemp("model"), rows=True))
    for key, body in {
        "table/a.csv": b"1,a\n2,b\n3,c\n",
        "table/deep/b.csv": b"4,d\r\n\n5,e",
        "one.csv": b"6,f\n",
        "lines/a.jsonl": b'{"id": "p", "row": {"x": 1}}\n{"id": "q", "row": {"x": 2}}\n',
        "mixed/bad.csv": b"1,wrong\n",
        "mixed/good.csv": b"1,fails once\n",
        "zipped/a.csv.gz": gzip.compress(b"1,a\n2,b\n"),
        "torn/a.csv.gz": gzip.compress(b"1,a\n")[:-9],
    }.items():
        door.client("s3").put_object(Bucket="data", Key=f"in/{key}", Body=body)
    return door


def request(name: str, prefix: str, source: dict[str, Any], **members: Any) -> dict[str, Any]:
    output = members.pop("output", {"AssembleWith": "Line"})
    uri = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/in/{prefix}"}}
    return {
        "TransformJobName": name,
        "ModelName": "doubling",
        "TransformInput": {"DataSource": uri, **source},
        "TransformOutput": {"S3OutputPath": f"s3://data/out/{name}", **output},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **members,
    }


def transformed(door: Door, name: str, *arguments: Any, **members: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description of a job that has ended, and its outputs by their places."""
    sagemaker, s3 = door.client("sagemaker"), door.client("s3")
    sagemaker.create_transform_job(**request(name, *arguments, **members))
    deadline = time.monotonic() + 60
    while (described := sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    prefix = f"out/{name}/"
    objects = s3.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents") or []
    bodies = {each["Key"]: s3.get_object(Bucket="data", Key=each["Key"])["Body"].read() for each in objects}
    return described, {key.removeprefix(prefix): body for key, body in bodies.items()}


def test_each_line_is_answered_in_its_place(doubling: Door) -> None:
    described, outputs = transformed(doubling, "lines", "table", CSV)
    assert described["TransformJobStatus"] == "Completed", described
    assert described["TransformStartTime"] <= described["TransformEndTime"]
    assert outputs == {"a.csv.out": b"2.0,3\n4.0,3\n6.0,3\n", "deep/b.csv.out": b"8.0,2\n10.0,2\n"}
    _, outputs = transformed(
        doubling, "single", "table/", CSV, BatchStrategy="SingleRecord",
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 2},
    )  # fmt: skip
    assert outputs["a.csv.out"] == b"2.0,1\n4.0,1\n6.0,1\n"
    _, outputs = transformed(doubling, "whole", "one.csv", {"ContentType": "text/csv"}, output={})
    assert outputs == {"one.csv.out": b"12.0,1\n"}


def test_records_are_filtered_and_joined(doubling: Door) -> None:
    processing = {"InputFilter": "$[:1]", "JoinSource": "Input", "OutputFilter": "$[1,2]"}
    described, outputs = transformed(doubling, "csv-joined", "table", CSV, DataProcessing=processing)
    assert outputs["a.csv.out"] == b"a,2.0\nb,4.0\nc,6.0\n", described
    processing = {"InputFilter": "$.row", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    described, outputs = transformed(doubling, "json-joined", "lines", LINES, DataProcessing=processing)
    assert [json.loads(line) for line in outputs["a.jsonl.out"].splitlines()] == [
        {"id": "p", "SageMakerOutput": {"doubled": 2}},
        {"id": "q", "SageMakerOutput": {"doubled": 4}},
    ], described


def test_a_faulty_file_fails_the_job_and_no_other_file(doubling: Door) -> None:
    described, outputs = transformed(doubling, "mixed", "mixed", CSV)
    assert described["TransformJobStatus"] == "Failed"
    assert (
        "1 of the files failed: in/mixed/bad.csv: Bad HTTP status received from algorithm: (400)"
        in (described["FailureReason"])
    )
    assert outputs == {"good.csv.out": b"2.0,1\n"}  # A server's own error was asked again.


def test_gzipped_files_are_unpacked(doubling: Door) -> None:
    source = {**CSV, "CompressionType": "Gzip"}
    assert transformed(doubling, "zipped", "zipped", source)[1] == {"a.csv.gz.out": b"2.0,2\n4.0,2\n"}
    described, outputs = transformed(doubling, "torn", "torn", source)
    assert "in/torn/a.csv.gz: it is no gzip" in described["FailureReason"] and not outputs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelName": "zzz"}, 'Could not find model "arn:aws:sagemaker'),
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, r"20 \* 6: it must be 100 at most"),
        ({"DataProcessing": {"InputFilter": "$["}}, "is no JSONPath"),
        ({"TransformInput": {"SplitType": "TFRecord"}}, "SplitType TFRecord is not honoured on this machine"),
        ({"TransformInput": {}, "BatchStrategy": "SingleRecord"}, "SingleRecord needs TransformInput.SplitType Line"),
        (
            {"TransformInput": {"ContentType": "application/x-npy"}, "DataProcessing": {"JoinSource": "Input"}},
            "TransformInput.ContentType is application/x-npy",
        ),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://data/x"}}, "DataCaptureConfig is not honoured"),
    ],
)
def test_what_cannot_be_had_is_refused(doubling: Door, changes: dict[str, Any], message: str) -> None:
    asking = request("refused", "table", CSV)
    if "TransformInput" in changes:
        source = {"DataSource": asking["TransformInput"]["DataSource"]}
        changes = changes | {"TransformInput": source | changes["TransformInput"]}
    with pytest.raises(ClientError, match=message):
        doubling.client("sagemaker").create_transform_job(**asking | changes)
    with pytest.raises(ClientError, match="Could not find requested job with name: refused"):
        doubling.client("sagemaker").describe_transform_job(TransformJobName="refused")


def test_nothing_to_transform_is_said(doubling: Door) -> None:
    described, _ = transformed(doubling, "nothing", "nothing", CSV)
    assert 'No S3 objects found under S3 URL "s3://data/in/nothing"' in described["FailureReason"]
    names = doubling.client("sagemaker").list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"]
    assert "nothing" in [each["TransformJobName"] for each in names]
