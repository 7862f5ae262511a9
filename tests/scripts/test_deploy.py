"""Deployment on moto's SageMaker, updates by botocore's Stubber, and each mistake of the command line."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]
Story = Callable[..., object]
Stub = Callable[[str], Stubber]

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/ab"
A, B = "A=s3://bucket/a/model.tar.gz:0.9", "B=s3://bucket/b/model.tar.gz:0.1"


def words(*variants: str, endpoint: str = "ab") -> list[str]:
    """The arguments of a deployment."""
    given = [part for variant in variants or (A, B) for part in ("--variant", variant)]
    return ["--endpoint", endpoint, "--image", "repo/polyadic:1", "--role", ROLE, "--poll", "0.01", *given]


def description(status: str, configuration: str, **more: Any) -> dict[str, Any]:
    """An answer of DescribeEndpoint."""
    now = datetime.now(UTC)
    variants = [{"VariantName": "A", "CurrentWeight": 1.0}]
    return {
        "EndpointName": "ab",
        "EndpointArn": ARN,
        "EndpointConfigName": configuration,
        "EndpointStatus": status,
        "CreationTime": now,
        "LastModifiedTime": now,
        "ProductionVariants": variants,
        **more,
    }


def test_two_variants_are_put_in_service(command: Command) -> None:
    capture = ["--capture", "s3://bucket/capture", "--capture-percentage", "25"]
    machine = ["--instance-type", "ml.c5.xlarge", "--instance-count", "2"]
    code, out, err = command("deploy", *words(), *capture, *machine)
    assert (code, err) == (0, "")
    assert "endpoint ab: InService" in out
    assert out.endswith("endpoint ab: A 0.9 (90.0%), B 0.1 (10.0%)\n")
    sagemaker = boto3.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName="ab")
    configuration = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    for variant, name, weight in zip(configuration["ProductionVariants"], "AB", (0.9, 0.1), strict=True):
        assert variant["VariantName"] == name
        assert variant["InitialVariantWeight"] == weight
        assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c5.xlarge", 2)
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        assert model["ExecutionRoleArn"] == ROLE
        assert model["PrimaryContainer"]["Environment"] == {"MODEL_VARIANT": name}
        assert model["PrimaryContainer"]["ModelDataUrl"] == f"s3://bucket/{name.lower()}/model.tar.gz"
        assert model["PrimaryContainer"]["Image"] == "repo/polyadic:1"
    assert configuration["DataCaptureConfig"] == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 25,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json", "application/jsonlines"]},
    }


def test_without_capture_nothing_is_captured(command: Command, calls: Calls) -> None:
    code, out, _ = command("deploy", *words(), "--dry-run")
    assert code == 0
    (configuration,) = (call for call in calls(out) if call["operation"] == "CreateEndpointConfig")
    assert "DataCaptureConfig" not in configuration["parameters"]


def test_an_endpoint_that_fails_gives_its_reason(command: Command, endpoint_story: Story) -> None:
    reason = "The container did not pass the ping health check."
    endpoint_story({"endpoint_status": "Creating"}, {"endpoint_status": "Failed", "failure_reason": reason})
    code, out, err = command("deploy", *words())
    assert code == 1
    assert [line.partition(" ")[2] for line in out.splitlines()] == [
        "endpoint ab: Creating",
        "endpoint ab: Failed",
    ]
    remedy = "remove it with `python -m scripts.teardown ab`"
    assert err == f"error: endpoint ab is Failed: {reason[:-1]}; {remedy}\n"


def test_a_busy_endpoint_is_left_alone(command: Command, endpoint_story: Story) -> None:
    assert command("deploy", *words())[0] == 0
    models = boto3.client("sagemaker").list_models()["Models"]
    endpoint_story({"endpoint_status": "Updating"})
    code, _, err = command("deploy", *words())
    assert code == 1
    assert err == "error: endpoint ab is Updating; wait until it is InService and try again\n"
    assert boto3.client("sagemaker").list_models()["Models"] == models


def expect_update(stub: Stub) -> Stubber:
    """The calls of an update of `ab`, up to the waiting."""
    sagemaker = stub("sagemaker")
    sagemaker.add_response("describe_endpoint", description("InService", "ab-old"), {"EndpointName": "ab"})
    sagemaker.add_response("create_model", {"ModelArn": ARN})
    sagemaker.add_response("create_endpoint_config", {"EndpointConfigArn": ARN})
    expected = {"EndpointName": "ab", "EndpointConfigName": "ab-new"}
    sagemaker.add_response("update_endpoint", {"EndpointArn": ARN}, expected)
    return sagemaker


def test_an_endpoint_that_exists_is_updated(command: Command, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.deploy.stamp", lambda: "new")
    sagemaker = expect_update(stub)
    sagemaker.add_response("describe_endpoint", description("Updating", "ab-old"))
    sagemaker.add_response("describe_endpoint", description("InService", "ab-new"))
    code, out, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"))
    assert (code, err) == (0, "")
    assert out.endswith("endpoint ab: A 1 (100.0%)\n")


def test_an_update_that_is_rolled_back_is_a_failure(
    command: Command, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.deploy.stamp", lambda: "new")
    sagemaker = expect_update(stub)
    reason = "Model container did not start."
    for status in ("Updating", "RollingBack", "InService"):
        sagemaker.add_response("describe_endpoint", description(status, "ab-old", FailureReason=reason))
    code, _, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"))
    assert code == 1
    assert err == f"error: the update of endpoint ab failed and was rolled back: {reason[:-1]}\n"


def test_a_refused_model_is_one_sentence(command: Command, stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    sagemaker.add_client_error("describe_endpoint", "ValidationException", f'Could not find endpoint "{ARN}".')
    refusal = "Could not find model data at s3://bucket/a/model.tar.gz.\nSee the log."
    sagemaker.add_client_error("create_model", "AccessDeniedException", refusal, expected_params=ANY_MODEL)
    code, _, err = command("deploy", *words())
    assert code == 1
    said = "Could not find model data at s3://bucket/a/model.tar.gz. See the log."
    assert err == f"error: AWS refused CreateModel: {said} (AccessDeniedException)\n"


ANY_MODEL = {"ModelName": ANY, "ExecutionRoleArn": ROLE, "PrimaryContainer": ANY}


def test_names_stay_legal_and_apart(command: Command, calls: Calls) -> None:
    long = "e" * 60
    weights = [f"{'v' * 50}{place}=s3://bucket/m.tar.gz" for place in range(2)]
    _, first, _ = command("deploy", *words(*weights, endpoint=long), "--dry-run")
    _, second, _ = command("deploy", *words(*weights, endpoint=long), "--dry-run")
    named = [
        call["parameters"].get("ModelName") or call["parameters"]["EndpointConfigName"]
        for call in calls(first) + calls(second)
        if call["operation"] in ("CreateModel", "CreateEndpointConfig")
    ]
    assert len(named) == len(set(named)) == 6


@pytest.mark.parametrize(
    ("variants", "sentence"),
    [
        (["A"], "got 'A'; allowed is NAME=s3://bucket/path/model.tar.gz:WEIGHT"),
        (["A=bucket/model.tar.gz"], "allowed is NAME=s3://bucket/path/model.tar.gz:WEIGHT"),
        (["A=s3://b/m.tar.gz:much"], "got weight 'much'; allowed is a number of 0 or more"),
        (["A=s3://b/m.tar.gz:-1"], "got weight '-1'"),
        (["A=s3://b/m.tar.gz:nan"], "got weight 'nan'"),
        (["A=s3://b/m.tar.gz:inf"], "got weight 'inf'"),
        (["A_1=s3://b/m.tar.gz"], "got 'A_1'; allowed are 63 letters, digits and inner hyphens"),
        ([A, A], "variant 'A' is given twice"),
        (["A=s3://b/m.tar.gz:0"], "all weights are 0"),
        ([f"V{place}=s3://b/m.tar.gz" for place in range(11)], "got 11 variants; an endpoint takes 10"),
    ],
)
def test_a_wrong_variant_is_named(command: Command, variants: list[str], sentence: str) -> None:
    code, out, err = command("deploy", *words(*variants))
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--endpoint", "a_b", "got 'a_b'; allowed are 63 letters"),
        ("--endpoint", "e" * 64, "allowed are 63 letters"),
        ("--role", "admin", "got 'admin'; allowed is a role's ARN"),
        ("--capture", "bucket", "got 'bucket'; allowed is an S3 address"),
        ("--capture-percentage", "101", "got '101'; allowed is a whole number from 0 to 100"),
        ("--instance-count", "0", "got '0'; allowed is a whole number of 1 or more"),
        ("--poll", "0", "got '0'; allowed is a number of seconds above 0"),
        ("--poll", "soon", "got 'soon'; allowed is a number of seconds above 0"),
    ],
)
def test_a_wrong_argument_is_named(command: Command, option: str, value: str, sentence: str) -> None:
    code, out, err = command("deploy", *words(), option, value)
    assert (code, out) == (2, "")
    assert sentence in err
