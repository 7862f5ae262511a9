"""Deployment on moto's SageMaker, updates by botocore's Stubber, and each mistake of the command line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from scripts import weight_tags
from scripts.history import fingerprint

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


def living(stub: Stub, capture: dict[str, Any] | None = None, variants: str = "A", **described: Any) -> Stubber:
    """An endpoint `ab` with these variants of weight 1, as the calls before an update read it."""
    sagemaker = stub("sagemaker")
    now = [
        {"VariantName": name, "CurrentWeight": 1.0, "CurrentInstanceCount": 3, "DesiredInstanceCount": 3}
        for name in variants
    ]
    sagemaker.add_response(
        "describe_endpoint",
        description("InService", "ab-old", ProductionVariants=now, **described),
        {"EndpointName": "ab"},
    )
    configured = [
        {
            "VariantName": name,
            "ModelName": f"old-{name}",
            "InstanceType": "ml.c5.xlarge",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 0.5,
            "ContainerStartupHealthCheckTimeoutInSeconds": 90,
        }
        for name in variants
    ]
    configuration = {
        "EndpointConfigName": "ab-old",
        "EndpointConfigArn": ARN,
        "ProductionVariants": configured,
        "CreationTime": datetime.now(UTC),
        **({"DataCaptureConfig": capture} if capture else {}),
    }
    sagemaker.add_response("describe_endpoint_config", configuration, {"EndpointConfigName": "ab-old"})
    for name in variants:
        container = {"Image": "repo/polyadic:1", "ModelDataUrl": f"s3://bucket/old/{name}.tar.gz"}
        model = {"ModelName": f"old-{name}", "ModelArn": ARN, "PrimaryContainer": container}
        sagemaker.add_response("describe_model", model | {"CreationTime": datetime.now(UTC)})
    return sagemaker


def expect_update(sagemaker: Stubber, configuration: dict[str, Any] | None = None, **deployment: Any) -> None:
    """The calls that change `ab`."""
    sagemaker.add_response("create_model", {"ModelArn": ARN})
    sagemaker.add_response("create_endpoint_config", {"EndpointConfigArn": ARN}, configuration)
    expected = {"EndpointName": "ab", "EndpointConfigName": "ab-new", **deployment}
    sagemaker.add_response("update_endpoint", {"EndpointArn": ARN}, expected)


@pytest.fixture
def fixed_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.deploy.stamp", lambda: "new")


CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 40,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}
KEPT = {
    "EndpointConfigName": "ab-new",
    "ProductionVariants": [
        {
            "VariantName": "A",
            "ModelName": "ab-new-A",
            "InstanceType": "ml.c5.xlarge",
            "InitialInstanceCount": 3,
            "InitialVariantWeight": 1.0,
            "ContainerStartupHealthCheckTimeoutInSeconds": 90,
        }
    ],
    "Tags": [{"Key": "polyadic:endpoint", "Value": "ab"}],
}


def expect_tags(sagemaker: Stubber) -> None:
    """The calls that keep the change in the endpoint's tags."""
    sagemaker.add_response("add_tags", {"Tags": []}, {"ResourceArn": ANY, "Tags": ANY})
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": ANY})


def test_an_update_keeps_what_it_is_not_told(command: Command, stub: Stub, fixed_name: None) -> None:
    sagemaker = living(stub, CAPTURE)
    scraped = {"MetricsConfig": {"EnableDetailedObservability": True}}
    expect_update(sagemaker, KEPT | scraped | {"DataCaptureConfig": CAPTURE})
    sagemaker.add_response("describe_endpoint", description("Updating", "ab-old"))
    sagemaker.add_response("describe_endpoint", description("InService", "ab-new"))
    expect_tags(sagemaker)
    code, out, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"))
    assert (code, err) == (0, "")
    assert "A: model  s3://bucket/old/A.tar.gz  s3://bucket/a/model.tar.gz\n" in out
    assert out.endswith("endpoint ab: A 1 (100.0%)\n")


def test_an_update_that_is_rolled_back_is_a_failure(command: Command, stub: Stub, fixed_name: None) -> None:
    sagemaker = living(stub)
    expect_update(sagemaker, KEPT | {"MetricsConfig": {"EnableDetailedObservability": False}})
    reason = "Model container did not start."
    for status in ("Updating", "RollingBack", "InService"):
        sagemaker.add_response("describe_endpoint", description(status, "ab-old", FailureReason=reason))
    code, _, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"), "--no-metrics")
    assert code == 1
    assert err == f"error: the update of endpoint ab failed and was rolled back: {reason[:-1]}\n"


LOSES = [
    (["A=s3://bucket/a.tar.gz:0.5"], "A: weight", "1 (50.0%)", "0.5 (33.3%)"),
    (["A=s3://bucket/a.tar.gz"], "variant B", "1 (50.0%)", "-"),
    (["--no-capture"], "capture", "40 % to s3://bucket/capture", "-"),
    (["--capture-percentage", "20"], "capture", "40 % to s3://bucket/capture", "20 % to s3://bucket/capture"),
    (["--image", "repo/polyadic:2"], "A: image", "repo/polyadic:1", "repo/polyadic:2"),
    (["--instance-count", "1"], "B: instances", "3 x ml.c5.xlarge", "1 x ml.c5.xlarge"),
    (["--instance-type", "ml.m5.large"], "A: instances", "3 x ml.c5.xlarge", "3 x ml.m5.large"),
]


@pytest.mark.parametrize(("given", "what", "before", "after"), LOSES)
def test_what_an_endpoint_would_lose_is_refused_without_a_terminal(
    command: Command, stub: Stub, given: list[str], what: str, before: str, after: str
) -> None:
    living(stub, CAPTURE, "AB")
    both = ["A=s3://bucket/a.tar.gz", "B=s3://bucket/b.tar.gz"]
    if what == "variant B":
        given, both = [], given
    elif given[0].startswith("A="):
        given, both = [], [given[0], both[1]]
    code, out, err = command("deploy", *words(*both), *given)
    assert code == 2
    assert err == "error: the endpoint would lose or change what the table shows; give --yes to do it\n"
    (row,) = (line for line in out.splitlines() if line.startswith(what))
    assert row.removeprefix(what).split("  ")[-1].strip() == after
    assert before in row


def end_of_input(question: str) -> str:
    raise EOFError


@pytest.mark.parametrize("answer", ["y", "Yes", "n", "", None])
def test_on_a_terminal_it_is_asked(
    command: Command, stub: Stub, fixed_name: None, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    sagemaker = living(stub)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", end_of_input if answer is None else lambda question: answer)
    agreed = answer is not None and answer.lower().startswith("y")
    if agreed:
        expect_update(sagemaker)
        sagemaker.add_response("describe_endpoint", description("InService", "ab-new"))
        expect_tags(sagemaker)
    code, _, err = command("deploy", *words("A=s3://bucket/a.tar.gz:2"))
    assert (code, err) == ((0, "") if agreed else (1, "error: nothing was changed\n"))


def test_an_update_is_watched_by_alarms_and_moves_in_steps(command: Command, stub: Stub, fixed_name: None) -> None:
    sagemaker = living(stub)
    moving = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 60,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
            "TerminationWaitInSeconds": 60,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "ab-A-5xx"}, {"AlarmName": "ab-A-p99"}]},
    }
    expect_update(sagemaker, DeploymentConfig=moving)
    sagemaker.add_response("describe_endpoint", description("InService", "ab-new"))
    expect_tags(sagemaker)
    watched = ["--blue-green", "canary:25:60", "--alarm", "--p99-ms", "200"]
    code, _, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"), *watched)
    assert (code, err) == (0, "")
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert [(alarm["AlarmName"], alarm["Threshold"]) for alarm in alarms] == [
        ("ab-A-5xx", 0.0),
        ("ab-A-p99", 200_000.0),
    ]


def test_one_instance_goes_all_at_once(command: Command, stub: Stub) -> None:
    living(stub)
    steps = ["--blue-green", "linear:20", "--instance-count", "1", "--yes"]
    code, out, err = command("deploy", *words("A=s3://bucket/a/model.tar.gz"), *steps)
    assert (code, out) == (2, "")
    assert err.startswith("error: variant 'A' has 1 instance, of which no part can go first: give --blue-green all-at")


def test_a_new_endpoint_moves_no_traffic(command: Command) -> None:
    code, _, err = command("deploy", *words(), "--blue-green", "canary:10")
    assert code == 0
    assert err == "warning: --blue-green is for updates; the endpoint is new, so that no traffic moves\n"


def test_a_shadow_gets_a_share_of_the_variant_s_weight(command: Command, calls: Calls) -> None:
    shadow = ["--shadow", "S=s3://bucket/s.tar.gz:0.5"]
    code, out, _ = command("deploy", *words("A=s3://bucket/a.tar.gz:0.6"), *shadow, "--dry-run")
    assert code == 0
    made = {call["operation"]: call["parameters"] for call in calls(out)}
    (variant,) = made["CreateEndpointConfig"]["ShadowProductionVariants"]
    assert (variant["VariantName"], variant["InitialVariantWeight"]) == ("S", 0.3)
    assert variant["ModelName"] == made["CreateModel"]["ModelName"]
    assert made["CreateModel"]["PrimaryContainer"]["Environment"] == {"MODEL_VARIANT": "S"}


def test_a_shadow_that_is_there_keeps_its_share_and_else_goes(command: Command, stub: Stub, fixed_name: None) -> None:
    shadow = {"VariantName": "S", "CurrentWeight": 0.25, "CurrentInstanceCount": 1}
    living(stub, ShadowProductionVariants=[shadow])
    code, out, err = command("deploy", *words("A=s3://bucket/a.tar.gz"))
    assert (code, err.endswith("give --yes to do it\n")) == (2, True)
    assert "shadow    S, 25.0% of the requests  -" in out.replace("  " * 8, "  ")


def test_all_that_is_made_carries_the_endpoint_s_name(command: Command) -> None:
    assert command("deploy", *words(A), "--alarm")[0] == 0
    sagemaker, cloudwatch = boto3.client("sagemaker"), boto3.client("cloudwatch")
    (model,), (configuration,), (endpoint,) = (
        sagemaker.list_models()["Models"],
        sagemaker.list_endpoint_configs()["EndpointConfigs"],
        sagemaker.list_endpoints()["Endpoints"],
    )
    tagged = [{"Key": "polyadic:endpoint", "Value": "ab"}]
    for arn in (model["ModelArn"], configuration["EndpointConfigArn"], endpoint["EndpointArn"]):
        tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
        assert [tag for tag in tags if not tag["Key"].startswith("polyadic:weights:")] == tagged
    for alarm in cloudwatch.describe_alarms()["MetricAlarms"]:
        assert cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == tagged


def test_a_variant_of_a_package_is_a_model_of_that_package(command: Command, calls: Calls) -> None:
    code, out, _ = command("deploy", *words("A=package:demand/3"), "--dry-run")
    assert code == 0
    (model,) = (call["parameters"] for call in calls(out) if call["operation"] == "CreateModel")
    assert sorted(model["PrimaryContainer"]) == ["Environment", "ModelPackageName"]


def test_an_archive_needs_an_image(command: Command) -> None:
    given = ["--endpoint", "ab", "--role", ROLE, "--variant", "A=s3://bucket/a.tar.gz"]
    code, out, err = command("deploy", *given)
    assert (code, out) == (2, "")
    assert err == "error: variant 'A' is an archive in S3, which does not know its image; give --image URI\n"


def test_an_image_that_is_not_used_is_said(command: Command) -> None:
    _, _, err = command("deploy", *words("A=job:j"), "--dry-run")
    assert err == "warning: --image is for archives in S3; jobs and packages know theirs, and it is not used\n"


def test_too_many_alarms(command: Command) -> None:
    code, _, err = command("deploy", *words(*(f"V{place}=s3://b/m.tar.gz" for place in range(6))), "--alarm")
    assert code == 2
    assert "--alarm makes 2 alarms for each of 6 variants" in err
    assert err.endswith("give 5 variants, or leave --alarm out\n")


def test_a_refused_model_is_one_sentence(command: Command, stub: Stub) -> None:
    sagemaker = stub("sagemaker")
    sagemaker.add_client_error("describe_endpoint", "ValidationException", f'Could not find endpoint "{ARN}".')
    refusal = "Could not find model data at s3://bucket/a/model.tar.gz.\nSee the log."
    sagemaker.add_client_error("create_model", "AccessDeniedException", refusal, expected_params=ANY_MODEL)
    code, _, err = command("deploy", *words())
    assert code == 1
    said = "Could not find model data at s3://bucket/a/model.tar.gz. See the log."
    assert err == f"error: AWS refused CreateModel: {said} (AccessDeniedException)\n"


ANY_MODEL = {"ModelName": ANY, "ExecutionRoleArn": ROLE, "PrimaryContainer": ANY, "Tags": ANY}


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
        (["A"], "got 'A'; allowed is NAME=SOURCE:WEIGHT, where SOURCE is s3://"),
        (["A=bucket/model.tar.gz"], "allowed is NAME=SOURCE:WEIGHT, where SOURCE is s3://"),
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
        ("--p99-ms", "7", "--p99-ms is for --alarm; give both, or neither"),
        ("--p99-ms", "0", "got '0'; allowed is a number of milliseconds above 0"),
        ("--blue-green", "rolling", "got 'rolling'; allowed is all-at-once[:SECONDS], canary:PERCENT"),
        ("--no-capture", "--capture=s3://b/c", "not allowed with argument"),
        ("--capture-percentage", "7", "--capture-percentage is given, and nothing is captured; give --capture S3URI"),
        ("--poll", "0", "got '0'; allowed is a number of seconds above 0"),
        ("--poll", "soon", "got 'soon'; allowed is a number of seconds above 0"),
    ],
)
def test_a_wrong_argument_is_named(command: Command, option: str, value: str, sentence: str) -> None:
    code, out, err = command("deploy", *words(), option, value)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_deployment_is_a_change_with_the_models_in_the_history_and_the_tags(command: Command) -> None:
    """Whoever compares the variants must know since when each has had its model."""
    assert command("deploy", *words())[0] == 0
    asked, line = [json.loads(text) for text in Path("weights.jsonl").read_text().splitlines()]
    assert "settled" not in asked and asked["time"] == line["time"]
    assert (line["action"], line["before"], line["settled"] >= line["time"]) == ("deploy", {}, True)
    prints = {name: fingerprint(f"s3://bucket/{name.lower()}/model.tar.gz") for name in line["after"]}
    assert line["models"] == prints and len(set(prints.values())) == len(prints) > 1
    arn = boto3.client("sagemaker").describe_endpoint(EndpointName="ab")["EndpointArn"]
    (change,) = weight_tags.changes(weight_tags.all_tags(boto3.client("sagemaker"), arn).items(), "ab")
    assert change.models == prints and change.after == line["after"] and change.settled == line["settled"]
