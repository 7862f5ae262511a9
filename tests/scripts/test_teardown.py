"""Removal on moto's SageMaker: complete, repeatable, and of nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

Command = Callable[..., tuple[int, str, str]]
Story = Callable[..., object]
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
    assert out.count("gone already") == 1  # the endpoint; of a model that is not there nothing is said
    assert "stays" not in out


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


def hand_made(name: str, *models: str) -> None:
    """A configuration that names these models, without a tag; a model that is not there is made."""
    sagemaker = boto3.client("sagemaker")
    for model in models:
        if model not in left()[2]:
            sagemaker.create_model(ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "i"})
    variants = [
        {"VariantName": model, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for model in models
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def test_an_endpoint_made_by_other_means_is_left(command: Command) -> None:
    hand_made("hand-made", "hand-made-model")
    boto3.client("sagemaker").create_endpoint(EndpointName="ab", EndpointConfigName="hand-made")
    code, out, err = command("teardown", "ab", "--poll", "0.01")
    assert (code, out) == (1, "")
    assert err == (
        "error: endpoint ab was not made by scripts.deploy, and is left with all that it has; "
        "remove it with `aws sagemaker delete-endpoint --endpoint-name ab`\n"
    )
    assert left() == (["ab"], ["hand-made"], ["hand-made-model"])


def test_a_configuration_that_others_made_is_left_and_said(command: Command) -> None:
    hand_made("hand-made", "hand-made-model")
    boto3.client("sagemaker").create_endpoint(
        EndpointName="ab", EndpointConfigName="hand-made", Tags=[{"Key": "polyadic:endpoint", "Value": "ab"}]
    )
    code, out, _ = command("teardown", "ab", "--poll", "0.01")
    assert code == 0
    assert left() == ([], ["hand-made"], ["hand-made-model"])
    assert "endpoint configuration hand-made stays: it was not made for this endpoint\n" in out
    assert "model hand-made-model stays: it was not made for this endpoint\n" in out


def test_a_model_that_another_configuration_names_is_left_and_said(command: Command) -> None:
    deploy(command, "ab")
    shared = left()[2][0]
    hand_made("theirs", shared)
    code, out, _ = command("teardown", "ab", "--poll", "0.01")
    assert code == 0
    assert left() == ([], ["theirs"], [shared])
    assert f"model {shared} stays: endpoint configuration theirs names it\n" in out


def test_a_configuration_that_another_endpoint_has_is_left_and_said(command: Command) -> None:
    deploy(command, "ab")
    configuration = left()[1][0]
    boto3.client("sagemaker").create_endpoint(EndpointName="theirs", EndpointConfigName=configuration)
    code, out, _ = command("teardown", "ab", "--poll", "0.01")
    assert code == 0
    endpoints, configurations, models = left()
    assert (endpoints, configurations, len(models)) == (["theirs"], [configuration], 2)
    assert f"endpoint configuration {configuration} stays: endpoint theirs uses it\n" in out


def test_what_carries_another_endpoint_s_tag_is_left(command: Command) -> None:
    tagged = [{"Key": "polyadic:endpoint", "Value": "ab-260101000000-abcd"}]
    container = {"Image": "i"}
    boto3.client("sagemaker").create_model(
        ModelName="ab-260101000000-abcd-260102000000-abcd-A",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
        Tags=tagged,
    )
    assert command("teardown", "ab")[0] == 0
    assert left()[2] == ["ab-260101000000-abcd-260102000000-abcd-A"]


def test_alarms_go_with_the_endpoint(command: Command) -> None:
    for endpoint in ("ab", "ab-A"):
        given = ["--endpoint", endpoint, "--image", "i:1", "--role", ROLE, "--variant", "A=s3://b/m.tar.gz", "--alarm"]
        assert command("deploy", *given)[0] == 0
    code, out, _ = command("teardown", "ab", "--poll", "0.01")
    assert code == 0
    assert "alarm ab-A-5xx: removed\n" in out
    kept = [alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    assert kept == ["ab-A-A-5xx", "ab-A-A-p99"]


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack"])
def test_an_endpoint_that_is_being_changed_is_awaited(command: Command, endpoint_story: Story, status: str) -> None:
    deploy(command, "ab")
    endpoint_story({"endpoint_status": status}, {"endpoint_status": status}, {"endpoint_status": "InService"})
    code, out, err = command("teardown", "ab", "--poll", "0.01")
    assert (code, err) == (0, "")
    assert f"endpoint ab is {status}; it is deleted when that has ended\n" in out
    assert left() == ([], [], [])


def test_waiting_has_an_end(command: Command, endpoint_story: Story) -> None:
    deploy(command, "ab")
    endpoint_story({"endpoint_status": "Updating"})
    code, _, err = command("teardown", "ab", "--poll", "0.01", "--wait", "0.05")
    assert code == 1
    assert err == (
        "error: endpoint ab is still Updating after 0.05 seconds; "
        "run the command once more later, or with a longer --wait\n"
    )
    assert len(left()[2]) == 2


def test_an_endpoint_that_is_being_deleted_is_not_deleted_again(command: Command, stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    now = datetime.now(UTC)
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/ab"
    configuration = "ab-260101000000-abcd"
    description: dict[str, Any] = {"EndpointName": "ab", "EndpointArn": arn, "EndpointConfigName": configuration}
    description |= {"EndpointStatus": "Deleting", "CreationTime": now, "LastModifiedTime": now}
    gone = ("ValidationException", "Could not find it.")
    sagemaker.add_response("describe_endpoint", description)
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": arn})
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    sagemaker.add_response("list_models", {"Models": []})
    sagemaker.add_client_error("describe_endpoint_config", *gone)
    sagemaker.add_response("describe_endpoint", description)
    sagemaker.add_client_error("describe_endpoint", *gone)
    code, out, _ = command("teardown", "ab", "--poll", "0.01")
    assert code == 0
    assert "removed" not in out


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
    sagemaker.add_client_error("describe_endpoint", *gone)
    sagemaker.add_response("list_endpoint_configs", page(first, NextToken="next"), asked)
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": arn})
    sagemaker.add_response("list_endpoint_configs", page(second), asked | {"NextToken": "next"})
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": arn})
    sagemaker.add_response("list_endpoints", {"Endpoints": []}, {})
    sagemaker.add_response("list_models", {"Models": []}, asked)
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
    sagemaker.add_client_error("describe_endpoint", "AccessDeniedException", "You may not")
    code, _, err = command("teardown", "ab")
    assert (code, err) == (1, "error: AWS refused DescribeEndpoint: You may not (AccessDeniedException)\n")
