"""Removal on moto's SageMaker: complete, repeatable, and of nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

Command = Callable[..., tuple[int, str, str]]
Stub = Callable[[str], Stubber]

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def deploy(command: Command, endpoint: str) -> None:
    """Put two variants behind the endpoint."""
    variants = [part for name in "AB" for part in ("--variant", f"{name}=s3://bucket/{name}.tar.gz")]
    given = ["--endpoint", endpoint, "--image", "repo/polyadic:1", "--role", ROLE, *variants]
    assert command("deploy", *given)[0] == 0


def left() -> tuple[list[str], list[str], list[str]]:
    """The names of all endpoints, configurations and models."""
    sagemaker = boto3.client("sagemaker")
    return (
        [entry["EndpointName"] for entry in sagemaker.list_endpoints()["Endpoints"]],
        [entry["EndpointConfigName"] for entry in sagemaker.list_endpoint_configs()["EndpointConfigs"]],
        [entry["ModelName"] for entry in sagemaker.list_models()["Models"]],
    )


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["ab", "an-endpoint-with-a-name-of-more-than-24-characters"])
def test_everything_of_the_endpoint_is_removed(command: Command, endpoint: str) -> None:
    deploy(command, endpoint)
    code, out, err = command("teardown", endpoint, "--poll", "0.01")
    assert (code, err) == (0, "")
    assert left() == ([], [], [])
    assert out.count("removed") == 4


def test_once_more_says_that_all_is_gone(command: Command) -> None:
    deploy(command, "ab")
    command("teardown", "ab", "--poll", "0.01")
    code, out, err = command("teardown", "ab")
    assert (code, err) == (0, "")
    assert out.endswith("endpoint ab: gone already\n")


def test_what_is_half_gone_is_finished(command: Command) -> None:
    deploy(command, "ab")
    sagemaker = boto3.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="ab")
    sagemaker.delete_model(ModelName=left()[2][0])
    code, out, _ = command("teardown", "ab")
    assert code == 0
    assert left() == ([], [], [])
    assert out.count("gone already") == 2  # the endpoint, and the model that the configuration still names


@pytest.mark.slow
def test_what_earlier_deployments_left_is_removed(command: Command) -> None:
    deploy(command, "ab")
    boto3.client("sagemaker").delete_endpoint(EndpointName="ab")
    deploy(command, "ab")
    assert len(left()[1]) == 2
    assert command("teardown", "ab", "--poll", "0.01")[0] == 0
    assert left() == ([], [], [])


def test_other_endpoints_keep_what_is_theirs(command: Command) -> None:
    for endpoint in ("ab", "ab-2", "my-ab"):
        deploy(command, endpoint)
    assert command("teardown", "ab", "--poll", "0.01")[0] == 0
    endpoints, configurations, models = left()
    assert sorted(endpoints) == ["ab-2", "my-ab"]
    assert (len(configurations), len(models)) == (2, 4)


def test_an_endpoint_made_by_other_means_is_removed_with_what_it_names(command: Command) -> None:
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model(ModelName="hand-made", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "A", "ModelName": "hand-made", "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="hand-made", ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="hand-made")
    assert command("teardown", "ab", "--poll", "0.01")[0] == 0
    assert left() == ([], [], [])


def test_every_page_of_the_lists_is_read(command: Command, stub: Stub) -> None:
    now = datetime.now(UTC)
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/x"

    def page(name: str, **more: str) -> dict[str, Any]:
        entry = {"EndpointConfigName": name, "EndpointConfigArn": arn, "CreationTime": now}
        return {"EndpointConfigs": [entry], **more}

    gone = ("ValidationException", "Could not find endpoint.")
    first, second = "ab-260101000000-abcd", "ab-260102000000-abcd"
    sagemaker = stub("sagemaker")
    asked = {"NameContains": "ab"}
    sagemaker.add_response("list_endpoint_configs", page(first, NextToken="next"), asked)
    sagemaker.add_response("list_endpoint_configs", page(second), asked | {"NextToken": "next"})
    sagemaker.add_client_error("describe_endpoint", *gone)
    sagemaker.add_response("list_models", {"Models": []})
    sagemaker.add_client_error("describe_endpoint_config", *gone)
    sagemaker.add_client_error("describe_endpoint_config", *gone)
    sagemaker.add_client_error("delete_endpoint", *gone)
    sagemaker.add_client_error("describe_endpoint", *gone)
    for name in (first, second):
        sagemaker.add_response("delete_endpoint_config", {}, {"EndpointConfigName": name})
    code, out, _ = command("teardown", "ab")
    assert code == 0
    assert out.count("removed") == 2


def test_a_refusal_is_one_sentence(command: Command, stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    sagemaker.add_client_error("list_endpoint_configs", "AccessDeniedException", "You may not")
    code, _, err = command("teardown", "ab")
    assert (code, err) == (1, "error: AWS refused ListEndpointConfigs: You may not (AccessDeniedException)\n")
