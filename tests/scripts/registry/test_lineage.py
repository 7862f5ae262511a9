"""Digests of data and image: the same for the same, another for any change, a warning where there is none."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.registry.lineage import data_digests, digest, image_digest

Stub = Callable[[str], Stubber]
ARGUMENTS = argparse.Namespace(dry_run=False, region=None)
ECR_IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/polyadic:1.2"


def channel(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    """A channel of a training job."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}}


def put(**objects: str) -> Any:
    """A client, and a bucket with these objects."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    for key, text in objects.items():
        s3.put_object(Bucket="bucket", Key=f"data/{key}", Body=text)
    return s3


JOB = {"InputDataConfig": [channel("train", "s3://bucket/data/")]}


def test_the_digest_is_of_keys_sizes_and_etags() -> None:
    objects = [{"Key": "b", "Size": 1, "ETag": "y"}, {"Key": "a", "Size": 2, "ETag": "x"}]
    # printf 'a\t2\tx\nb\t1\ty\n' | sha256sum
    assert digest(objects) == "e3f02feae4de26b8d418faefd9ba349539730d02a0aaae937320323e7d18ea45"
    assert digest(objects[::-1]) == digest(objects)
    for key, value in (("Key", "c"), ("Size", 3), ("ETag", "z")):
        assert digest([objects[0], objects[1] | {key: value}]) != digest(objects)


def test_every_page_of_a_channel_is_read() -> None:
    stubber = Stubber(boto3.client("s3"))
    first, second = ([{"Key": key, "Size": 1, "ETag": "x"}] for key in "ab")
    asked = {"Bucket": "bucket", "Prefix": "data/"}
    stubber.add_response("list_objects_v2", {"Contents": first, "NextContinuationToken": "next"}, asked)
    stubber.add_response("list_objects_v2", {"Contents": second}, asked | {"ContinuationToken": "next"})
    with stubber:
        assert data_digests(stubber.client, JOB) == {"train": digest([*first, *second])}


def test_a_channel_without_a_digest_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    job = {
        "InputDataConfig": [
            channel("train", "s3://bucket/data/a"),
            channel("test", "s3://bucket/gone/"),
            channel("extra", "s3://bucket/list", "ManifestFile"),
            {"ChannelName": "disk", "DataSource": {"FileSystemDataSource": {}}},
        ]
    }
    assert list(data_digests(put(a="1"), job)) == ["train"]
    assert capsys.readouterr().err.splitlines() == [
        "warning: channel test: its data has no digest, for there is nothing at s3://bucket/gone/ any more",
        "warning: channel extra: its data has no digest, for it is not that of an S3 prefix",
        "warning: channel disk: its data has no digest, for it is not that of an S3 prefix",
    ]
    assert data_digests(put(a="1"), {}) == {}


def test_data_that_changed_after_the_job_began_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    s3, now = put(a="1", b="2"), datetime.now(UTC)
    data_digests(s3, JOB | {"TrainingStartTime": now + timedelta(hours=1)})
    assert capsys.readouterr().err == ""
    data_digests(s3, JOB | {"TrainingStartTime": now - timedelta(hours=1)})
    assert capsys.readouterr().err == (
        "warning: channel train: 2 of 2 objects changed after the job began; the digest is that of the data now\n"
    )


def test_an_image_in_ecr_has_the_digest_of_its_tag(stub: Stub) -> None:
    ecr = stub("ecr")
    asked = {"registryId": "123456789012", "repositoryName": "team/polyadic", "imageIds": [{"imageTag": "1.2"}]}
    ecr.add_response("describe_images", {"imageDetails": [{"imageDigest": "sha256:ab"}]}, asked)
    assert image_digest(ARGUMENTS, ECR_IMAGE) == "sha256:ab"


def test_an_image_that_is_named_by_its_digest_is_not_asked_for() -> None:
    assert image_digest(ARGUMENTS, f"{ECR_IMAGE}@sha256:{'a' * 64}") == f"sha256:{'a' * 64}"


def test_an_image_elsewhere_has_no_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert image_digest(ARGUMENTS, "polyadic:latest") is None
    assert capsys.readouterr().err == "warning: image polyadic:latest has no digest, for it is not in ECR\n"


def test_an_image_that_ecr_does_not_know_has_no_digest(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("ecr").add_client_error("describe_images", "RepositoryNotFoundException", "There is none")
    assert image_digest(ARGUMENTS, ECR_IMAGE) is None
    reason = "AWS refused DescribeImages: There is none (RepositoryNotFoundException)"
    assert capsys.readouterr().err == f"warning: image {ECR_IMAGE} has no digest: {reason}\n"
