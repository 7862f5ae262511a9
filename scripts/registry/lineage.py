"""Where a model comes from, in numbers that two people can compare: digests of its data and of its image."""

import argparse
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.aws import Answers, client, explain, warn

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)"
    r"(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
REHEARSED: Answers = {
    "list_objects_v2": {"Contents": [{"Key": "Key", "Size": 0, "ETag": "ETag"}]},
    "describe_images": {"imageDetails": [{"imageDigest": f"sha256:{'0' * 64}"}]},
}


def data_digests(s3: Any, job: dict[str, Any]) -> dict[str, str]:
    """SHA-256 over the sorted keys, sizes and ETags of each channel's objects; a warning for a channel without."""
    digests = {}
    for channel in job.get("InputDataConfig") or []:
        name = channel["ChannelName"]
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        if source.get("S3DataType") != "S3Prefix":
            warn(f"channel {name}: its data has no digest, for it is not that of an S3 prefix")
            continue
        objects = list(_objects(s3, source["S3Uri"]))
        if not objects:
            warn(f"channel {name}: its data has no digest, for there is nothing at {source['S3Uri']} any more")
            continue
        _warn_of_newer(name, objects, job)
        digests[name] = digest(objects)
    return digests


def digest(objects: list[dict[str, Any]]) -> str:
    """SHA-256, in hexadecimal, over one line of key, size and ETag for each object, sorted by key."""
    lines = sorted(f"{entry['Key']}\t{entry['Size']}\t{entry['ETag']}\n" for entry in objects)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def image_digest(arguments: argparse.Namespace, image: str) -> str | None:
    """The digest of an image in ECR; None, with a warning, where nobody knows it."""
    parts = ECR.fullmatch(image)
    if parts is None:
        warn(f"image {image} has no digest, for it is not in ECR")
        return None
    if parts["digest"]:
        return parts["digest"]
    there = argparse.Namespace(**{**vars(arguments), "region": parts["region"]})
    try:
        details = client("ecr", there, REHEARSED).describe_images(
            registryId=parts["account"],
            repositoryName=parts["repository"],
            imageIds=[{"imageTag": parts["tag"] or "latest"}],
        )["imageDetails"]
    except (BotoCoreError, ClientError) as error:
        warn(f"image {image} has no digest: {explain(error)}")
        return None
    return str(details[0]["imageDigest"])


def _objects(s3: Any, uri: str) -> Iterator[dict[str, Any]]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    yield from answer.get("Contents", [])
    while answer.get("NextContinuationToken"):
        answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, ContinuationToken=answer["NextContinuationToken"])
        yield from answer.get("Contents", [])


def _warn_of_newer(channel: str, objects: list[dict[str, Any]], job: dict[str, Any]) -> None:
    began = job.get("TrainingStartTime")
    newer = [entry for entry in objects if began and entry.get("LastModified") and entry["LastModified"] > began]
    if newer:
        warn(
            f"channel {channel}: {len(newer)} of {len(objects)} objects changed after the job began; "
            "the digest is that of the data now"
        )
