"""Registration on moto: a version for a job or an archive, once, with all that is known of it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scripts.register import CONTENT_TYPES
from scripts.registry.packages import versions

Command = Callable[..., tuple[int, str, str]]
Story = Callable[..., object]
Stub = Callable[[str], Stubber]

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/polyadic@sha256:{'a' * 64}"
ARTIFACT = "s3://bucket/models/job-1/output/model.tar.gz"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/demand/1"
METRICS = "s3://bucket/models/job-1/output/metrics.json"


@pytest.fixture
def job(job_story: Story) -> dict[str, Any]:
    """A training job `job-1` that has completed, its data and its artifact; what it was asked for."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    for key in ("data/a.npy", "models/job-1/output/model.tar.gz"):
        s3.put_object(Bucket="bucket", Key=key, Body=key)
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}
    request = {
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "HyperParameters": {"algorithm": "cp", "rank": "3", "quantiles": "[0.1, 0.9]", "_tuning_objective_metric": "m"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 1},
    }
    boto3.client("sagemaker").create_training_job(**request)
    final = [{"MetricName": "train:relative_error", "Value": 0.25, "Timestamp": 1}]
    job_story({"final_metric_data_list": final, "training_start_time": None})
    return request


def package(arn: str = PACKAGE) -> dict[str, Any]:
    """A package as the registry describes it."""
    answer: dict[str, Any] = boto3.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return answer


def test_a_job_becomes_a_version(command: Command, job: dict[str, Any]) -> None:
    code, out, err = command("register", "demand", "--job", "job-1", "--description", "the first")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == PACKAGE
    assert "group demand: made\n" in out
    assert "group demand: version 1 is PendingManualApproval\n" in out
    version = package()
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    assert version["ModelPackageDescription"] == "the first"
    specification = version["InferenceSpecification"]
    assert specification["Containers"] == [
        {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "ImageDigest": f"sha256:{'a' * 64}"}
    ]
    assert specification["SupportedContentTypes"] == CONTENT_TYPES
    properties = version["CustomerMetadataProperties"]
    assert re.fullmatch("[0-9a-f]{64}", properties.pop("data_sha256.train"))
    assert properties == {
        "training_job": "job-1",
        "image_digest": f"sha256:{'a' * 64}",
        "hyperparameters.algorithm": "cp",
        "hyperparameters.rank": "3",
    }
    statistics = version["ModelMetrics"]["ModelQuality"]["Statistics"]
    assert statistics == {"ContentType": "application/json", "S3Uri": METRICS}


def test_the_metrics_lie_beside_the_artifact_with_what_the_registry_does_not_take(
    command: Command, job: dict[str, Any]
) -> None:
    _, out, _ = command("register", "demand", "--job", "job-1")
    words = "too long or of characters that the registry does not take"
    assert f"{words}, and so in {METRICS} alone: hyperparameters.quantiles\n" in out
    body = boto3.client("s3").get_object(Bucket="bucket", Key="models/job-1/output/metrics.json")["Body"].read()
    written = json.loads(body)
    assert written["metrics"] == {"train:relative_error": 0.25}
    assert written["properties"]["hyperparameters.quantiles"] == "[0.1, 0.9]"


def test_a_job_is_registered_once(command: Command, job: dict[str, Any]) -> None:
    command("register", "demand", "--job", "job-1")
    code, out, err = command("register", "demand", "--job", "job-1")
    assert (code, err) == (0, "")
    assert "the model is there already as demand/1 (PendingManualApproval)\n" in out
    assert out.splitlines()[-1] == PACKAGE
    _, _, err = command("register", "demand", "--job", "job-1", "--approve")
    remedy = "approve it with `python -m scripts.approve demand/1`"
    assert err == f"warning: demand/1 stays PendingManualApproval; {remedy}\n"
    assert len(versions(boto3.client("sagemaker"), "demand")) == 1


def test_another_group_gets_a_version_of_its_own(command: Command, job: dict[str, Any]) -> None:
    command("register", "demand", "--job", "job-1")
    _, out, _ = command("register", "challenger", "--job", "job-1", "--approve")
    assert "group challenger: version 1 is Approved\n" in out
    assert package(out.splitlines()[-1])["ModelApprovalStatus"] == "Approved"


def test_an_archive_that_comes_from_no_job(command: Command, job: dict[str, Any]) -> None:
    given = ["demand", "--artifact", ARTIFACT, "--image", IMAGE]
    assert command("register", *given)[0] == 0
    version = package()
    assert sorted(version["CustomerMetadataProperties"]) == ["artifact_etag", "image_digest"]
    assert "ModelMetrics" not in version
    _, out, _ = command("register", *given)
    assert "the model is there already as demand/1" in out
    boto3.client("s3").put_object(Bucket="bucket", Key="models/job-1/output/model.tar.gz", Body="another")
    _, out, _ = command("register", *given)
    assert out.endswith("model-package/demand/2\n")  # the same address holds another model


def test_an_archive_that_is_not_there_is_refused(command: Command, job: dict[str, Any]) -> None:
    code, out, err = command("register", "demand", "--artifact", "s3://bucket/none.tar.gz", "--image", IMAGE)
    assert (code, out) == (2, "")
    assert err == "error: there is nothing at s3://bucket/none.tar.gz; give the address of a model.tar.gz\n"


def test_refusals_of_s3_and_of_the_registry_are_one_sentence(command: Command, job: dict[str, Any], stub: Stub) -> None:
    stub("s3").add_client_error("head_object", "403", "Forbidden")
    code, _, err = command("register", "demand", "--artifact", ARTIFACT, "--image", IMAGE)
    assert (code, err) == (1, "error: AWS refused HeadObject: Forbidden (403)\n")
    stub("s3").add_response("head_object", {"ETag": "x"})
    sagemaker = stub("sagemaker")
    sagemaker.add_response("list_model_packages", {"ModelPackageSummaryList": []})
    sagemaker.add_client_error("describe_model_package_group", "AccessDeniedException", "You may not")
    code, _, err = command("register", "demand", "--artifact", ARTIFACT, "--image", IMAGE)
    assert (code, err) == (1, "error: AWS refused DescribeModelPackageGroup: You may not (AccessDeniedException)\n")


def test_a_job_that_is_not_there_is_said(command: Command) -> None:
    code, out, err = command("register", "demand", "--job", "job-1")
    assert (code, out) == (1, "")
    assert err == "error: there is no training job 'job-1' in this region; make one with scripts.train\n"


TOGETHER = "--artifact and --image belong together: a job knows its image, an archive does not"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--job", "job-1", "--image", IMAGE], TOGETHER),
        (["--artifact", ARTIFACT], TOGETHER),
        ([], "one of the arguments --job --artifact is required"),
        (["--job", "a_b"], "got 'a_b'; allowed are 63 letters"),
        (["--artifact", "m.tar.gz"], "got 'm.tar.gz'; allowed is an S3 address"),
    ],
)
def test_a_wrong_argument_is_named(command: Command, argv: list[str], sentence: str) -> None:
    code, out, err = command("register", "demand", *argv)
    assert (code, out) == (2, "")
    assert sentence in err


def test_the_content_types_are_those_that_serving_takes() -> None:
    section = (ROOT / "docs" / "serving.md").read_text().partition("## Content types")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE) == CONTENT_TYPES
