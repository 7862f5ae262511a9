"""Models, configurations and endpoints over boto3, served by a container in small."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from local_mode.front_door.hosting.deployments import deployment_of
from local_mode.front_door.shapes import Fault
from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import ROLE, Door, asked, make_config, make_model, settled

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that serves, one whose server dies at once, and one that is never healthy."""
    folder = tmp_path_factory.mktemp("archives")
    models: dict[str, dict[str, object]] = {"sound": {}, "dying": {"die": True}, "ill": {"never_healthy": True}}
    return {name: make_archive(folder / name, **model) for name, model in models.items()}


@pytest.fixture(scope="module")
def hosted(door: Door, archives: dict[str, Path]) -> Door:
    """The front door with the three models, and an endpoint `ab` of two variants."""
    for name, archive in archives.items():
        make_model(door, name, archive=archive)
    make_config(door, "ab", A=("sound", 3.0, 1), B=("sound", 1.0, 1))
    door.client("sagemaker").create_endpoint(EndpointName="ab", EndpointConfigName="ab")
    assert settled(door, "ab")["EndpointStatus"] == "InService"
    return door


def test_an_endpoint_is_described_as_it_is(hosted: Door) -> None:
    described = settled(hosted, "ab")
    assert described["EndpointArn"] == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/ab"
    assert described["EndpointConfigName"] == "ab" and "Config" not in described
    variants = {each["VariantName"]: each for each in described["ProductionVariants"]}
    assert variants["A"]["CurrentWeight"] == 3.0 and variants["A"]["CurrentInstanceCount"] == 1
    assert variants["A"]["DeployedImages"][0]["SpecifiedImage"] == "polyadic"
    sagemaker = hosted.client("sagemaker")
    assert [each["EndpointName"] for each in sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]][
        -1
    ] == "ab"
    assert sagemaker.describe_model(ModelName="sound")["ExecutionRoleArn"] == ROLE
    assert len(sagemaker.list_models()["Models"]) == 3
    config = sagemaker.describe_endpoint_config(EndpointConfigName="ab")["ProductionVariants"]
    assert [each["InitialVariantWeight"] for each in config] == [3.0, 1.0]


def test_requests_go_by_weight_and_by_name(hosted: Door) -> None:
    counts = Counter(asked(hosted, "ab")[0] for _ in range(400))
    assert 260 < counts["A"] < 340  # 300, within 4.6 standard deviations
    assert asked(hosted, "ab", TargetVariant="B")[0] == "B"
    variant, echo = asked(hosted, "ab", ContentType="text/csv", Accept="text/csv", CustomAttributes="a=1")
    assert echo["variant"] == variant
    assert echo["headers"]["X-Amzn-SageMaker-Custom-Attributes"] == "a=1" and echo["headers"]["Accept"] == "text/csv"
    assert "Authorization" not in echo["headers"]


REFUSED: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "no such endpoint": (
        {"EndpointName": "cd"},
        "ValidationError",
        400,
        "Endpoint cd of account 123456789012 not found",
    ),
    "no such variant": (
        {"TargetVariant": "Z"},
        "ValidationError",
        400,
        "Variant Z of endpoint ab not found; it has A, B",
    ),
    "a refusal of the model": ({"Body": b"bad"}, "ModelError", 424, "instance 3 is no number"),
    "one model of many": (
        {"TargetModel": "m.tar.gz"},
        "ValidationError",
        400,
        "has one model: TargetModel m.tar.gz cannot be asked for",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_error_has_sagemakers_shape(what: str, hosted: Door) -> None:
    changes, code, status, message = REFUSED[what]
    request = {"EndpointName": "ab", "Body": b"{}", **changes}
    with pytest.raises(ClientError, match=message) as caught:
        hosted.client("sagemaker-runtime").invoke_endpoint(**request)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def test_weights_change_and_a_wrong_one_changes_none(hosted: Door) -> None:
    make_config(hosted, "weighed", A=("sound", 1.0, 1), B=("sound", 0.0, 1))
    sagemaker = hosted.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="weighed", EndpointConfigName="weighed")
    settled(hosted, "weighed")
    assert {asked(hosted, "weighed")[0] for _ in range(20)} == {"A"}
    change = [{"VariantName": "A", "DesiredWeight": 0.0}, {"VariantName": "Z", "DesiredWeight": 1.0}]
    with pytest.raises(ClientError, match='The variant name\\(s\\) "Z" is/are not present within endpoint'):
        sagemaker.update_endpoint_weights_and_capacities(EndpointName="weighed", DesiredWeightsAndCapacities=change)
    assert asked(hosted, "weighed")[0] == "A"
    change[1]["VariantName"] = "B"
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="weighed", DesiredWeightsAndCapacities=change)
    described = settled(hosted, "weighed")
    assert [each["CurrentWeight"] for each in described["ProductionVariants"]] == [0.0, 1.0]
    assert {asked(hosted, "weighed")[0] for _ in range(20)} == {"B"}
    more = [{"VariantName": "B", "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="weighed", DesiredWeightsAndCapacities=more)
    counts = [each["CurrentInstanceCount"] for each in settled(hosted, "weighed")["ProductionVariants"]]
    assert counts == [1, 2]
    assert [each["CurrentWeight"] for each in settled(hosted, "weighed")["ProductionVariants"]] == [0.0, 1.0]
    delete(hosted, "weighed")


def test_an_update_loses_no_request(hosted: Door) -> None:
    make_config(hosted, "old", A=("sound", 0.7, 1), B=("sound", 0.3, 1))
    make_config(hosted, "new", B=("sound", 0.6, 1), C=("sound", 0.4, 1))
    sagemaker = hosted.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="moved", EndpointConfigName="old")
    settled(hosted, "moved")
    with traffic(hosted, "moved") as results:
        sagemaker.update_endpoint(EndpointName="moved", EndpointConfigName="new")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            sagemaker.update_endpoint(EndpointName="moved", EndpointConfigName="new")
        sagemaker.delete_endpoint_config(EndpointConfigName="old")
        described = settled(hosted, "moved")
        time.sleep(0.2)
    assert described["EndpointConfigName"] == "new"
    assert [each["CurrentWeight"] for each in described["ProductionVariants"]] == [0.6, 0.4]
    assert set(results) == {"A", "B", "C"} and results.total() > 20
    assert {asked(hosted, "moved")[0] for _ in range(40)} == {"B", "C"}
    delete(hosted, "moved")


def test_an_update_may_keep_what_the_variants_have(hosted: Door) -> None:
    make_config(hosted, "first", A=("sound", 0.9, 1), B=("sound", 0.1, 1))
    make_config(hosted, "second", A=("sound", 0.5, 2), B=("sound", 0.5, 1))
    sagemaker = hosted.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="keeps", EndpointConfigName="first")
    settled(hosted, "keeps")
    sagemaker.update_endpoint(
        EndpointName="keeps",
        EndpointConfigName="second",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    variants = settled(hosted, "keeps")["ProductionVariants"]
    assert [(each["CurrentWeight"], each["CurrentInstanceCount"]) for each in variants] == [(0.9, 2), (0.1, 1)]
    delete(hosted, "keeps")


def canary(kind: str, size: int, wait: int, **members: Any) -> dict[str, Any]:
    member = "CanarySize" if kind == "CANARY" else "LinearStepSize"
    routing = {
        "Type": kind, "WaitIntervalInSeconds": wait, member: {"Type": "CAPACITY_PERCENT", "Value": size},
    }  # fmt: skip
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **members}


def test_a_canary_gets_its_share_and_an_alarm_brings_all_back(hosted: Door) -> None:
    make_config(hosted, "blue", A=("sound", 1.0, 2))
    make_config(hosted, "green", B=("sound", 1.0, 2))
    sagemaker, cloudwatch = hosted.client("sagemaker"), hosted.client("cloudwatch")
    sagemaker.create_endpoint(EndpointName="coloured", EndpointConfigName="blue")
    settled(hosted, "coloured")
    cloudwatch.put_metric_alarm(
        AlarmName="errors", Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    deployment = canary("CANARY", 50, 600, **alarms)
    sagemaker.update_endpoint(EndpointName="coloured", EndpointConfigName="green", DeploymentConfig=deployment)
    pending = sagemaker.describe_endpoint(EndpointName="coloured")["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "green"
    deadline = time.monotonic() + 30
    while (answers := Counter(asked(hosted, "coloured")[0] for _ in range(100)))["B"] == 0:
        assert time.monotonic() < deadline
    answers += Counter(asked(hosted, "coloured")[0] for _ in range(300))
    assert 100 < answers["B"] < 280
    assert {asked(hosted, "coloured", TargetVariant="A")[0] for _ in range(10)} == {"A"}
    assert {asked(hosted, "coloured", TargetVariant="B")[0] for _ in range(10)} == {"B"}
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="rehearsed")
    described = settled(hosted, "coloured")
    assert described["EndpointConfigName"] == "blue" and "PendingDeploymentSummary" not in described
    assert "The update was rolled back: the alarm errors is on, with 50% of the traffic" in described["FailureReason"]
    assert {asked(hosted, "coloured")[0] for _ in range(50)} == {"A"}
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="rehearsed")
    with traffic(hosted, "coloured") as results:
        sagemaker.update_endpoint(
            EndpointName="coloured", EndpointConfigName="green", DeploymentConfig=canary("LINEAR", 50, 1, **alarms)
        )
        described = settled(hosted, "coloured")
    assert described["EndpointConfigName"] == "green" and set(results) == {"A", "B"}
    assert {asked(hosted, "coloured")[0] for _ in range(50)} == {"B"}
    delete(hosted, "coloured")


@pytest.mark.parametrize(
    ("config", "instances", "steps"),
    [
        (None, 1, [(1.0, 0.0)]),
        (canary("CANARY", 30, 5), 4, [(0.25, 5.0), (1.0, 0.0)]),
        (canary("LINEAR", 25, 5), 4, [(0.25, 5.0), (0.5, 5.0), (0.75, 5.0), (1.0, 0.0)]),
        (canary("LINEAR", 40, 5), 5, [(0.4, 5.0), (0.8, 5.0), (1.0, 0.0)]),
    ],
)
def test_traffic_moves_in_steps(config: Any, instances: int, steps: Any) -> None:
    assert list(deployment_of(config, instances).steps) == steps


@pytest.mark.parametrize(
    ("config", "instances", "message"),
    [
        (canary("CANARY", 50, 5), 1, "a fleet of one instance has no part for CANARY: give ALL_AT_ONCE"),
        (canary("CANARY", 60, 5), 10, "CanarySize is 6 of 10 instances, 60 %: it must be 0 to 50 %"),
        (canary("LINEAR", 5, 5), 20, "LinearStepSize is 1 of 20 instances, 5 %: it must be 10 to 50 %"),
    ],
)
def test_steps_that_cannot_be_are_refused(config: Any, instances: int, message: str) -> None:
    with pytest.raises(Fault, match=message):
        deployment_of(config, instances)


@pytest.mark.parametrize("model", ["dying"])
def test_a_fleet_that_does_not_come_up_is_rolled_back(model: str, hosted: Door) -> None:
    make_config(hosted, f"good-{model}", A=("sound", 1.0, 1))
    make_config(hosted, f"bad-{model}", A=(model, 1.0, 1))
    sagemaker = hosted.client("sagemaker")
    sagemaker.create_endpoint(EndpointName=f"bad-{model}", EndpointConfigName=f"bad-{model}")
    described = settled(hosted, f"bad-{model}")
    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check: it ended with exit code 4" in described["FailureReason"]
    assert "model.json names the unknown algorithm 'x'" in described["FailureReason"]
    sagemaker.create_endpoint(EndpointName=f"rolled-{model}", EndpointConfigName=f"good-{model}")
    settled(hosted, f"rolled-{model}")
    with traffic(hosted, f"rolled-{model}") as results:
        sagemaker.update_endpoint(EndpointName=f"rolled-{model}", EndpointConfigName=f"bad-{model}")
        described = settled(hosted, f"rolled-{model}")
    assert described["EndpointStatus"] == "InService" and described["EndpointConfigName"] == f"good-{model}"
    assert "The update was rolled back" in described["FailureReason"] and set(results) == {"A"}
    delete(hosted, f"bad-{model}", f"rolled-{model}")


def test_a_server_that_dies_is_started_again(hosted: Door) -> None:
    make_config(hosted, "mortal", A=("sound", 1.0, 2))
    hosted.client("sagemaker").create_endpoint(EndpointName="mortal", EndpointConfigName="mortal")
    settled(hosted, "mortal")
    for _ in range(2):
        with pytest.raises(ClientError, match="ModelError.*no answer from the container"):
            asked(hosted, "mortal", b"exit")
    deadline = time.monotonic() + 30
    answered = 0
    while answered < 20 and time.monotonic() < deadline:
        try:
            asked(hosted, "mortal")
            answered += 1
        except ClientError as error:  # Of SageMaker's shape, until one is up.
            assert error.response["Error"]["Code"] in ("ModelError", "ServiceUnavailable")
            time.sleep(0.05)
    assert answered == 20
    delete(hosted, "mortal")


CREATED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a pipeline": (
        "create_model",
        {"ModelName": "m", "Containers": [{"Image": "a"}, {"Image": "b"}], "ExecutionRoleArn": ROLE},
        "pipelines of containers are not honoured here",
    ),
    "many models": (
        "create_model",
        {"ModelName": "m", "PrimaryContainer": {"Image": "a", "Mode": "MultiModel"}, "ExecutionRoleArn": ROLE},
        "MultiModel needs a ModelDataUrl",
    ),
    "a model that is there": (
        "create_model",
        {"ModelName": "sound", "PrimaryContainer": {"Image": "a"}, "ExecutionRoleArn": ROLE},
        "Cannot create already existing model",
    ),
    "a model that is not there": (
        "create_endpoint_config",
        {
            "EndpointConfigName": "c",
            "ProductionVariants": [{"VariantName": "A", "ModelName": "zzz", "InstanceType": "ml.m5.large"}],
        },
        'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/zzz"',
    ),
    "a variant twice": (
        "create_endpoint_config",
        {
            "EndpointConfigName": "c",
            "ProductionVariants": [{"VariantName": "A", "ModelName": "sound", "InstanceType": "ml.m5.large"}] * 2,
        },
        "variant names must differ",
    ),
    "a shadow of two": (
        "create_endpoint_config",
        {
            "EndpointConfigName": "c",
            "ProductionVariants": [
                {"VariantName": name, "ModelName": "sound", "InstanceType": "ml.m5.large"} for name in ("A", "C")
            ],
            "ShadowProductionVariants": [{"VariantName": "B", "ModelName": "sound", "InstanceType": "ml.m5.large"}],
        },
        "an endpoint with a shadow variant has one production variant",
    ),
    "a canary": (
        "update_endpoint",
        {
            "EndpointName": "ab",
            "EndpointConfigName": "ab",
            "DeploymentConfig": {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 60}
                }
            },
        },
        "TrafficRoutingConfiguration CANARY lacks its CanarySize",
    ),
    "more servers than the machine has room for": (
        "update_endpoint_weights_and_capacities",
        {"EndpointName": "ab", "DesiredWeightsAndCapacities": [{"VariantName": "A", "DesiredInstanceCount": 5000}]},
        "The limit of servers for endpoints on this machine is .* more instances.* and 4999 were asked for",
    ),
    "a rolling update": (
        "update_endpoint",
        {
            "EndpointName": "ab",
            "EndpointConfigName": "ab",
            "DeploymentConfig": {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                }
            },
        },
        "DeploymentConfig.RollingUpdatePolicy is not honoured on this machine",
    ),
    "an alarm that is not there": (
        "update_endpoint",
        {
            "EndpointName": "ab",
            "EndpointConfigName": "ab",
            "DeploymentConfig": {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "zzz"}]}},
        },
        "CloudWatch has no alarm zzz",
    ),
    "a configuration that is not there": (
        "create_endpoint",
        {"EndpointName": "e", "EndpointConfigName": "zzz"},
        "Could not find endpoint configuration",
    ),
}


@pytest.mark.parametrize("what", CREATED)
def test_what_cannot_be_had_is_refused_by_name(what: str, hosted: Door) -> None:
    operation, request, message = CREATED[what]
    with pytest.raises(ClientError, match=message) as caught:
        getattr(hosted.client("sagemaker"), operation)(**request)
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "ResourceLimitExceeded")
    assert settled(hosted, "ab")["EndpointStatus"] == "InService"


def test_an_operation_that_is_not_honoured_is_refused_by_name(hosted: Door) -> None:
    with pytest.raises(ClientError, match="ListTrials is not honoured on this machine yet"):
        hosted.client("sagemaker").list_trials()


def test_pages_of_others_are_not_answered(hosted: Door) -> None:
    url = f"{hosted.url}/endpoints/ab/invocations"
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("POST", url, body=b"{}", headers={"Origin": "http://evil.example"}).status == 403
        assert pool.request("POST", url, body=b"{}", headers={"Origin": hosted.url}).status == 200
        assert pool.request("POST", url, body=b"{}").status == 200
        rebound = {"Host": "evil.example:80", "Origin": "http://evil.example:80"}
        assert pool.request("POST", url, body=b"{}", headers=rebound).status == 403
        assert pool.request("GET", f"{hosted.url}/data/train/a.csv", headers={"Host": "evil.example"}).status == 403
        assert pool.request("GET", f"{hosted.url}/ping", headers={"Host": "data.localhost:1"}).status == 200
        assert pool.request("GET", f"{hosted.url}/ping").status == 200


def test_endpoints_come_back_after_a_kill_and_nothing_is_left(
    open_door: Callable[[], Any], archives: dict[str, Path], no_process_left: Callable[[], list[str]]
) -> None:
    with open_door() as door:
        door.client("s3").create_bucket(Bucket="data")
        make_model(door, "sound", archive=archives["sound"])
        make_config(door, "ab", A=("sound", 1.0, 1), B=("sound", 0.0, 1))
        sagemaker = door.client("sagemaker")
        sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab")
        settled(door, "ab")
        weights = [{"VariantName": "A", "DesiredWeight": 0.0}, {"VariantName": "B", "DesiredWeight": 2.0}]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName="ab", DesiredWeightsAndCapacities=weights)
        settled(door, "ab")
        door.process.kill()
        door.process.wait()
        assert no_process_left()  # The servers of the one that was killed.
    with open_door() as door:
        described = settled(door, "ab")
        assert described["EndpointStatus"] == "InService"
        assert [each["CurrentWeight"] for each in described["ProductionVariants"]] == [0.0, 2.0]
        assert {asked(door, "ab")[0] for _ in range(10)} == {"B"}
        servers = [line for line in no_process_left() if "serve" in line]
        assert len(servers) == 2
        delete(door, "ab")
        with pytest.raises(ClientError, match='Could not find endpoint "arn'):
            door.client("sagemaker").describe_endpoint(EndpointName="ab")


def delete(door: Door, *names: str) -> None:
    """Deletes endpoints, and waits until they are gone."""
    for name in names:
        door.client("sagemaker").delete_endpoint(EndpointName=name)
    for name in names:
        door.client("sagemaker").get_waiter("endpoint_deleted").wait(
            EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


@contextmanager
def traffic(door: Door, endpoint: str) -> Iterator[Counter[str]]:
    """Requests of four clients, one after another, while the block runs: which variant answered how many."""
    results, stop = Counter[str](), threading.Event()

    def ask() -> None:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=door.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )
        while not stop.is_set():
            try:
                answer = client.invoke_endpoint(EndpointName=endpoint, Body=b"{}")
                answer["Body"].read()
                results[answer["InvokedProductionVariant"]] += 1
            except Exception as error:
                results[repr(error)] += 1
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stop.set()
        for thread in threads:
            thread.join()
