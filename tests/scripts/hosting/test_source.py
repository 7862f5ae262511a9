"""Where a model comes from: jobs and packages on moto's SageMaker, and each that cannot be deployed."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from scripts.aws import CommandError
from scripts.hosting.source import Model, Source, check_image, model_of_job, resolve, source
from scripts.registry.packages import Reference

Stub = Callable[[str], Stubber]
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def job(status: str = "Completed", **more: Any) -> dict[str, Any]:
    """An answer of DescribeTrainingJob."""
    return {
        "TrainingJobName": "j",
        "TrainingJobStatus": status,
        "AlgorithmSpecification": {"TrainingImage": "repo/polyadic:1", "TrainingInputMode": "File"},
        "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/j/output/model.tar.gz"},
        **more,
    }


def packaged(status: str = "Approved", group: str = "demand") -> str:
    """A version of a group; its ARN."""
    sagemaker = boto3.client("sagemaker")
    groups = [
        each["ModelPackageGroupName"] for each in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    ]
    if group not in groups:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    containers = [{"Image": "repo/polyadic:1", "ModelDataUrl": "s3://bucket/p/model.tar.gz"}]
    answer = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": containers,
            "SupportedContentTypes": [],
            "SupportedResponseMIMETypes": [],
        },
    )
    return str(answer["ModelPackageArn"])


def resolved(text: str, image: str | None = None) -> Model:
    """The model of a source."""
    return resolve(boto3.client("sagemaker"), source(text), image)


def test_an_archive_takes_the_image_that_is_given() -> None:
    assert resolved("s3://bucket/m.tar.gz", "i:1") == Model("i:1", "s3://bucket/m.tar.gz")
    check_image("A", Source(job="j"), None)


def test_a_job_knows_its_image() -> None:
    assert model_of_job(job()) == Model("repo/polyadic:1", "s3://bucket/j/output/model.tar.gz")


def test_a_stopped_job_is_deployed_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_of_job(job("Stopped")).image == "repo/polyadic:1"
    assert capsys.readouterr().err == "warning: job j was stopped; its model is that of the moment\n"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (job("InProgress"), "job j is InProgress and has left no model; wait for its end"),
        (job("Failed"), "job j is Failed and has left no model; name a job that has completed"),
        (job("Stopped", ModelArtifacts={}), "job j is Stopped and has left no model; name a job that has completed"),
        (job(AlgorithmSpecification={"AlgorithmName": "x"}), "job j names an algorithm in place of an image"),
    ],
)
def test_a_job_without_a_model_is_refused(answer: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        model_of_job(answer)


def test_a_job_that_is_not_there_is_said(stub: Stub) -> None:
    with pytest.raises(CommandError, match="there is no training job 'j' in this region; make one with scripts.train"):
        resolved("job:j")
    sagemaker = stub("sagemaker")
    sagemaker.add_client_error("describe_training_job", "AccessDeniedException", "You may not")
    with pytest.raises(ClientError, match="You may not"):
        resolve(sagemaker.client, Source(job="j"), None)


def test_a_group_stands_for_its_latest_approved_version() -> None:
    first, second = packaged(), packaged()
    packaged("PendingManualApproval")
    assert first != second
    assert resolved("package:demand") == Model("repo/polyadic:1", "s3://bucket/p/model.tar.gz", second)
    assert resolved("package:demand/1").package == first
    assert resolved(first).package == first


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_a_package_that_is_not_approved_is_refused_with_the_remedy(status: str) -> None:
    arn = packaged(status)
    remedy = "approve it with `python -m scripts.approve demand/1`"
    for text in ("package:demand/1", arn):
        with pytest.raises(CommandError, match=f"package demand/1 is {status}, and only an approved.*; {remedy}"):
            resolved(text)


def test_a_group_without_an_approved_version_is_refused_with_the_remedy() -> None:
    packaged("PendingManualApproval")
    with pytest.raises(CommandError, match="approve the latest with `python -m scripts.approve demand`"):
        resolved("package:demand")


def test_a_package_that_names_no_container_is_refused(stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/lonely"
    package: dict[str, Any] = {"ModelPackageName": "lonely", "ModelPackageArn": arn, "ModelPackageStatus": "Completed"}
    package |= {"CreationTime": 0, "ModelPackageStatusDetails": {"ValidationStatuses": []}}
    sagemaker.add_response("describe_model_package", package)
    with pytest.raises(CommandError, match="has no InferenceSpecification"):
        resolve(sagemaker.client, Source(package=Reference(arn=arn)), None)
