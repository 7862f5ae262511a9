"""`python -m scripts.register GROUP`: make a model a version of a group in the registry; the last line is its ARN."""

import argparse
import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import (
    Answers,
    UsageError,
    client,
    examples,
    main,
    missing,
    resource_name,
    s3_uri,
    say,
    shared_arguments,
    warn,
)
from scripts.hosting.source import REHEARSED as REHEARSED_JOB
from scripts.hosting.source import REHEARSED_ARN, Model, describe_job, model_of_job
from scripts.registry.lineage import REHEARSED as REHEARSED_DIGESTS
from scripts.registry.lineage import data_digests, image_digest
from scripts.registry.metadata import legal
from scripts.registry.packages import APPROVED, PENDING, is_missing, name_of, versions

# What serving takes and answers, whatever the model: the table of docs/serving.md.
CONTENT_TYPES = [
    "application/json",
    "application/jsonlines",
    "text/csv",
    "application/x-npy",
    "application/x-recordio-protobuf",
]
METRICS_NAME = "metrics.json"
REHEARSED: Answers = {
    **REHEARSED_JOB,
    **REHEARSED_DIGESTS,
    "describe_model_package_group": missing("DescribeModelPackageGroup"),
    "head_object": {"ETag": "ETag-from-HeadObject"},
    "list_model_packages": {},
    "create_model_package": {"ModelPackageArn": REHEARSED_ARN},
}


@dataclass(frozen=True)
class Origin:
    """A model, what tells it from others in the group, its metrics, and all that is known of how it came to be."""

    model: Model
    identity: dict[str, str]
    properties: dict[str, str]
    metrics: dict[str, float] | None = None


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.register",
        description="Make a training job's model a version of a group in the model registry; "
        "the last line is the package's ARN.",
        parents=[shared_arguments()],
        **examples(
            "register demand --job demand-260101000000-abcd",
            "register demand --artifact s3://bucket/old/model.tar.gz --image IMAGE-URI --approve",
        ),
    )
    parser.add_argument("group", type=resource_name, metavar="GROUP", help="made where it is missing")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--job", type=resource_name, metavar="TRAINING-JOB")
    origin.add_argument("--artifact", type=s3_uri, metavar="S3URI", help="of a model that comes from no job")
    parser.add_argument("--image", metavar="URI", help="of --artifact; a job knows its own")
    parser.add_argument("--approve", action="store_true", help="approved at once, not left for scripts.approve")
    parser.add_argument("--description", metavar="TEXT", help="shown with the version")
    return parser


def register(arguments: argparse.Namespace) -> int:
    """Make the group if need be, and the version unless it is there; end with its ARN."""
    if bool(arguments.image) != bool(arguments.artifact):
        raise UsageError("--artifact and --image belong together: a job knows its image, an archive does not")
    sagemaker, s3 = (client(service, arguments, REHEARSED) for service in ("sagemaker", "s3"))
    origin = _of_job(arguments, sagemaker, s3) if arguments.job else _of_artifact(arguments, s3)
    known = _find(sagemaker, arguments.group, origin)
    if known is None:
        arn = _create(arguments, sagemaker, s3, origin)
    else:
        arn = str(known["ModelPackageArn"])
        _say_known(known, arguments.approve)
    if not arguments.dry_run:
        print(arn)
    return 0


def _of_job(arguments: argparse.Namespace, sagemaker: Any, s3: Any) -> Origin:
    job = describe_job(sagemaker, arguments.job)
    model, identity = model_of_job(job), {"training_job": arguments.job}
    return Origin(
        model,
        identity,
        {
            **identity,
            **_image_properties(arguments, model.image),
            **{f"data_sha256.{channel}": text for channel, text in data_digests(s3, job).items()},
            # SageMaker and its SDKs add names with an underscore.
            **{
                f"hyperparameters.{name}": value
                for name, value in sorted((job.get("HyperParameters") or {}).items())
                if not name.startswith("_")
            },
        },
        {metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList") or []},
    )


def _of_artifact(arguments: argparse.Namespace, s3: Any) -> Origin:
    bucket, _, key = arguments.artifact.removeprefix("s3://").partition("/")
    try:
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NoSuchBucket"):
            raise
        raise UsageError(f"there is nothing at {arguments.artifact}; give the address of a model.tar.gz") from error
    model = Model(arguments.image, arguments.artifact)
    identity = {"artifact_etag": etag}
    return Origin(model, identity, identity | _image_properties(arguments, model.image))


def _image_properties(arguments: argparse.Namespace, image: str) -> dict[str, str]:
    digest = image_digest(arguments, image)
    return {"image_digest": digest} if digest else {}


def _find(sagemaker: Any, group: str, origin: Origin) -> dict[str, Any] | None:
    """The group's version of this model and image, if there is one."""
    for summary in versions(sagemaker, group):
        package: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
        properties = package.get("CustomerMetadataProperties") or {}
        containers = (package.get("InferenceSpecification") or {}).get("Containers") or [{}]
        if origin.identity.items() <= properties.items() and containers[0].get("Image") == origin.model.image:
            return package
    return None


def _say_known(package: dict[str, Any], approve: bool) -> None:
    name, status = name_of(package), package.get("ModelApprovalStatus")
    say(f"the model is there already as {name} ({status})")
    if approve and status != APPROVED:
        warn(f"{name} stays {status}; approve it with `python -m scripts.approve {name}`")


def _create(arguments: argparse.Namespace, sagemaker: Any, s3: Any, origin: Origin) -> str:
    """Make the version, and before it the group where it is missing; the version's ARN."""
    _make_group(sagemaker, arguments)
    status = APPROVED if arguments.approve else PENDING
    request: dict[str, Any] = {
        "ModelPackageGroupName": arguments.group,
        "ModelApprovalStatus": status,
        "InferenceSpecification": _specification(origin),
        "CustomerMetadataProperties": legal(origin.properties),
    }
    if arguments.description:
        request["ModelPackageDescription"] = arguments.description
    if origin.metrics is not None:
        statistics = {"ContentType": "application/json", "S3Uri": _write_metrics(arguments, s3, origin)}
        request["ModelMetrics"] = {"ModelQuality": {"Statistics": statistics}}
    arn = str(sagemaker.create_model_package(**request)["ModelPackageArn"])
    if not arguments.dry_run:
        say(f"group {arguments.group}: version {arn.rpartition('/')[2]} is {status}")
    return arn


def _make_group(sagemaker: Any, arguments: argparse.Namespace) -> None:
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=arguments.group)
    except ClientError as error:
        if not is_missing(error):
            raise
        sagemaker.create_model_package_group(ModelPackageGroupName=arguments.group)
        if not arguments.dry_run:
            say(f"group {arguments.group}: made")


def _specification(origin: Origin) -> dict[str, Any]:
    container = {"Image": origin.model.image, "ModelDataUrl": origin.model.artifact}
    if "image_digest" in origin.properties:
        container["ImageDigest"] = origin.properties["image_digest"]
    return {
        "Containers": [container],
        "SupportedContentTypes": CONTENT_TYPES,
        "SupportedResponseMIMETypes": CONTENT_TYPES,
    }


def _write_metrics(arguments: argparse.Namespace, s3: Any, origin: Origin) -> str:
    """Write the metrics, and every property whole, beside the artifact; the S3 address."""
    uri = f"{origin.model.artifact.rpartition('/')[0]}/{METRICS_NAME}"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = json.dumps({"metrics": origin.metrics, "properties": origin.properties}, indent=2)
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    left = [name for name in origin.properties if name not in legal(origin.properties)]
    if left and not arguments.dry_run:
        say(f"too long or of characters that the registry does not take, and so in {uri} alone: {', '.join(left)}")
    return uri


if __name__ == "__main__":
    main(register, parser())
