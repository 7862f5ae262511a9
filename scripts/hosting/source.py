"""Where a variant's model comes from: an archive in S3, a training job, or a package of the registry."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import Answers, CommandError, UsageError, s3_uri, warn
from scripts.registry import packages
from scripts.registry.packages import APPROVED, ARN_PATTERN, Reference, reference

PATTERN = rf"s3://[^:]+|(?:package:)?{ARN_PATTERN}|job:[^:]+|package:[^:]+"
FORMS = (
    "s3://bucket/path/model.tar.gz, job:TRAINING-JOB, package:GROUP/VERSION, package:GROUP (its latest approved) "
    "or a package's ARN"
)
# Only AWS knows these; a rehearsal shows where they come from.
REHEARSED_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/from-listmodelpackages/1"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REHEARSED: Answers = {
    "describe_training_job": {
        "TrainingJobName": "TrainingJobName",
        "TrainingJobStatus": "Completed",
        "AlgorithmSpecification": {"TrainingImage": f"{REGISTRY}/from-describetrainingjob:latest"},
        "ModelArtifacts": {"S3ModelArtifacts": "s3://from-describetrainingjob/S3ModelArtifacts/model.tar.gz"},
        "InputDataConfig": [
            {
                "ChannelName": "CHANNEL",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://from-describetrainingjob/S3Uri/"}
                },
            }
        ],
    },
    "describe_model_package": {
        "ModelPackageArn": REHEARSED_ARN,
        "ModelApprovalStatus": APPROVED,
        "InferenceSpecification": {"Containers": [{"Image": f"{REGISTRY}/from-describemodelpackage:latest"}]},
    },
}


@dataclass(frozen=True)
class Source:
    """What stands after `NAME=`: one of an S3 address, a training job's name, a reference to a package."""

    artifact: str = ""
    job: str = ""
    package: Reference | None = None


@dataclass(frozen=True)
class Model:
    """What serves a variant: its image, its artifact, and the ARN of the package that names both."""

    image: str
    artifact: str
    package: str | None = None


def source(text: str) -> Source:
    """Read a source that has matched PATTERN."""
    if text.startswith("s3://"):
        return Source(artifact=s3_uri(text))
    if text.startswith("job:"):
        return Source(job=text.removeprefix("job:"))
    return Source(package=reference(text.removeprefix("package:")))


def check_image(name: str, wanted: Source, image: str | None) -> None:
    """A UsageError where the model is an archive in S3 and no image is given."""
    if wanted.artifact and image is None:
        raise UsageError(f"variant {name!r} is an archive in S3, which does not know its image; give --image URI")


def rehearsed(sources: list[Source]) -> Answers:
    """The answers of a rehearsal that looks for these sources."""
    packages = [entry.package for entry in sources if entry.package is not None]
    summaries = [
        {"ModelPackageArn": REHEARSED_ARN, "ModelPackageVersion": package.version or 1} for package in packages
    ]
    return {**REHEARSED, "list_model_packages": {"ModelPackageSummaryList": summaries}}


def resolve(sagemaker: Any, wanted: Source, image: str | None) -> Model:
    """Ask SageMaker for the image and the artifact; a CommandError for what cannot be deployed."""
    if wanted.job:
        return model_of_job(describe_job(sagemaker, wanted.job))
    if wanted.package is not None:
        return _model_of_package(packages.find(sagemaker, wanted.package, APPROVED))
    return Model(image or "", wanted.artifact)


def describe_job(sagemaker: Any, job: str) -> dict[str, Any]:
    """DescribeTrainingJob's answer; a CommandError where there is no such job."""
    try:
        description: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=job)
    except ClientError as error:
        if not packages.is_missing(error):
            raise
        raise CommandError(f"there is no training job {job!r} in this region; make one with scripts.train") from error
    return description


def model_of_job(description: dict[str, Any]) -> Model:
    """The image and the artifact of a training job, as DescribeTrainingJob tells it, that has left a model."""
    job, status = description["TrainingJobName"], description["TrainingJobStatus"]
    artifact = description.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if status not in ("Completed", "Stopped") or not artifact:
        remedy = "wait for its end" if status in ("InProgress", "Stopping") else "name a job that has completed"
        raise CommandError(f"job {job} is {status} and has left no model; {remedy}")
    if status == "Stopped":
        warn(f"job {job} was stopped; its model is that of the moment")
    image = description["AlgorithmSpecification"].get("TrainingImage")
    if not image:
        raise CommandError(f"job {job} names an algorithm in place of an image; give its artifact and --image")
    return Model(image, artifact)


def _model_of_package(description: dict[str, Any]) -> Model:
    name, status = packages.name_of(description), description.get("ModelApprovalStatus", APPROVED)
    if status != APPROVED:
        remedy = f"approve it with `python -m scripts.approve {name}`"
        raise CommandError(f"package {name} is {status}, and only an approved one is deployed; {remedy}")
    containers = description.get("InferenceSpecification", {}).get("Containers", [])
    if not containers:
        raise CommandError(f"package {name} has no InferenceSpecification, so that nothing says what serves it")
    return Model(containers[0]["Image"], containers[0].get("ModelDataUrl", ""), description["ModelPackageArn"])
