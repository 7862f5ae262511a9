"""Weights on moto's SageMaker: shown, split, rolled back; their history; each mistake."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.scripts.captured import make_endpoint, shadowed

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]
Story = Callable[..., object]
Stub = Callable[[str], Stubber]


@pytest.fixture
def endpoint() -> str:
    """An endpoint `ab` with the weights A=0.9, B=0.1."""
    sagemaker = boto3.client("sagemaker")
    variants = [
        {
            "VariantName": name,
            "ModelName": f"model-{name}",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        for name, weight in (("A", 0.9), ("B", 0.1))
    ]
    for name in "AB":
        role = "arn:aws:iam::123456789012:role/R"
        sagemaker.create_model(ModelName=f"model-{name}", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})
    sagemaker.create_endpoint_config(EndpointConfigName="ab-1", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab-1")
    return "ab"


def weights() -> dict[str, float]:
    """The weights that SageMaker has for `ab`."""
    description = boto3.client("sagemaker").describe_endpoint(EndpointName="ab")
    return {entry["VariantName"]: entry["CurrentWeight"] for entry in description["ProductionVariants"]}


def changes(path: str = "weights.jsonl") -> list[dict[str, Any]]:
    """The changes of the history, each with all that is known of it."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return list({line["time"]: line for line in lines}.values())


def test_show_prints_weights_and_shares(endpoint: str, command: Command) -> None:
    code, out, err = command("traffic", "show", endpoint)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["endpoint", "ab:", "InService"],
        ["variant", "weight", "share"],
        ["A", "0.9", "90.0%"],
        ["B", "0.1", "10.0%"],
    ]


def test_split_sets_the_weights_and_records_the_change(endpoint: str, command: Command) -> None:
    code, out, err = command("traffic", "split", endpoint, "A=0.7", "B=0.3", "--poll", "0.01")
    assert (code, err) == (0, "")
    assert weights() == {"A": 0.7, "B": 0.3}
    (change,) = changes()
    begun, held = (datetime.fromisoformat(change.pop(name)) for name in ("time", "settled"))
    assert begun.tzinfo is not None and begun <= held
    assert change == {
        "endpoint": "ab",
        "action": "split",
        "before": {"A": 0.9, "B": 0.1},
        "after": {"A": 0.7, "B": 0.3},
    }
    assert "endpoint ab: InService" in out
    assert [line.split() for line in out.splitlines()[-2:]] == [["A", "0.7", "70.0%"], ["B", "0.3", "30.0%"]]


def test_a_variant_left_out_keeps_its_weight(endpoint: str, command: Command) -> None:
    assert command("traffic", "split", endpoint, "B=0")[0] == 0
    assert weights() == {"A": 0.9, "B": 0.0}
    assert changes()[0]["after"] == {"A": 0.9, "B": 0.0}


@pytest.mark.slow
def test_rollback_goes_back_with_one_call(endpoint: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.sagemaker.models import SageMakerModelBackend

    asked: list[Any] = []
    update = SageMakerModelBackend.update_endpoint_weights_and_capacities

    def count(backend: SageMakerModelBackend, **names: Any) -> str:
        asked.append(names["desired_weights_and_capacities"])
        return update(backend, **names)

    command("traffic", "split", endpoint, "A=0.7", "B=0.3")
    monkeypatch.setattr(SageMakerModelBackend, "update_endpoint_weights_and_capacities", count)
    code, _, err = command("traffic", "rollback", endpoint)
    assert (code, err) == (0, "")
    assert weights() == {"A": 0.9, "B": 0.1}
    assert len(asked) == 1
    assert changes()[1]["action"] == "rollback"
    assert changes()[1]["before"] == {"A": 0.7, "B": 0.3}
    assert changes()[1]["after"] == {"A": 0.9, "B": 0.1}


def test_rollbacks_go_ever_further_back(endpoint: str, command: Command) -> None:
    command("traffic", "split", endpoint, "A=0.7", "B=0.3")
    command("traffic", "split", endpoint, "A=0.5", "B=0.5")
    assert command("traffic", "rollback", endpoint)[0] == 0
    assert weights() == {"A": 0.7, "B": 0.3}
    assert command("traffic", "rollback", endpoint)[0] == 0
    assert weights() == {"A": 0.9, "B": 0.1}
    code, _, err = command("traffic", "rollback", endpoint)
    assert code == 1
    assert err == "error: nothing to roll back: weights.jsonl holds no standing split of 'ab'\n"
    assert len(changes()) == 4


def test_rollback_warns_of_a_change_made_elsewhere(endpoint: str, command: Command) -> None:
    command("traffic", "split", endpoint, "A=0.7", "B=0.3")
    elsewhere = [{"VariantName": "A", "DesiredWeight": 0.4}, {"VariantName": "B", "DesiredWeight": 0.6}]
    boto3.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="ab", DesiredWeightsAndCapacities=elsewhere
    )
    code, _, err = command("traffic", "rollback", endpoint)
    assert code == 0
    assert err == (
        "warning: the weights are not those of the last recorded change, {'A': 0.7, 'B': 0.3}; "
        "they were {'A': 0.4, 'B': 0.6}\n"
    )
    assert weights() == {"A": 0.9, "B": 0.1}


def test_the_history_can_lie_elsewhere(endpoint: str, command: Command) -> None:
    command("traffic", "split", endpoint, "A=0.7", "B=0.3", "--history", "kept.jsonl")
    assert len(changes("kept.jsonl")) == 1
    assert not Path("weights.jsonl").exists()
    assert command("traffic", "rollback", endpoint, "--history", "kept.jsonl")[0] == 0


def test_an_unknown_variant_is_an_error_with_the_known_ones(endpoint: str, command: Command) -> None:
    code, out, err = command("traffic", "split", endpoint, "A=0.7", "C=0.3")
    assert (code, out) == (2, "")
    assert err == "error: endpoint 'ab' has no variant 'C'; known are A, B\n"
    assert weights() == {"A": 0.9, "B": 0.1}
    assert not Path("weights.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["A"], "got 'A'; allowed is VARIANT=WEIGHT, such as A=0.7"),
        (["=1"], "got '=1'; allowed is VARIANT=WEIGHT"),
        (["A=x"], "got weight 'x'; allowed is a number of 0 or more"),
        (["A=1", "A=2"], "a variant is given twice; give each one weight"),
        (["A=0", "B=0"], "all weights would be 0; give at least one variant a weight above 0"),
    ],
)
def test_a_wrong_split_is_named(endpoint: str, command: Command, given: list[str], sentence: str) -> None:
    code, _, err = command("traffic", "split", endpoint, *given)
    assert code == 2
    assert sentence in err
    assert weights() == {"A": 0.9, "B": 0.1}


@pytest.mark.parametrize("action", [["show", "absent"], ["split", "absent", "A=1"]])
def test_an_endpoint_that_is_not_there(command: Command, action: list[str]) -> None:
    code, _, err = command("traffic", *action)
    assert code == 1
    assert err == "error: there is no endpoint 'absent' in this region; make it with scripts.deploy\n"


def test_a_busy_endpoint_is_left_alone(endpoint: str, command: Command, endpoint_story: Story) -> None:
    endpoint_story({"endpoint_status": "Updating"})
    code, _, err = command("traffic", "split", endpoint, "A=1")
    assert code == 1
    assert err == "error: endpoint ab is Updating; wait until it is InService and try again\n"


def test_split_waits_until_the_endpoint_is_in_service(endpoint: str, command: Command, endpoint_story: Story) -> None:
    endpoint_story({"endpoint_status": "InService"}, {"endpoint_status": "Updating"}, {"endpoint_status": "InService"})
    code, out, _ = command("traffic", "split", endpoint, "A=0.7", "B=0.3", "--poll", "0.01")
    assert code == 0
    assert out.index("endpoint ab: Updating") < out.index("endpoint ab: InService")


def test_weights_that_aws_takes_back_are_a_failure(endpoint: str, command: Command, endpoint_story: Story) -> None:
    old = [{"VariantName": "A", "CurrentWeight": 0.9}, {"VariantName": "B", "CurrentWeight": 0.1}]
    endpoint_story(
        {"endpoint_status": "InService"},
        {"endpoint_status": "RollingBack"},
        {"endpoint_status": "InService", "production_variants": old, "failure_reason": "No capacity."},
    )
    code, _, err = command("traffic", "split", endpoint, "A=0.7", "B=0.3", "--poll", "0.01")
    assert code == 1
    assert err == "error: endpoint ab went back to {'A': 0.9, 'B': 0.1}: No capacity\n"


def test_no_change_is_made_that_cannot_be_recorded(endpoint: str, command: Command) -> None:
    code, _, err = command("traffic", "split", endpoint, "A=0.7", "--history", "absent/weights.jsonl")
    assert code == 2
    assert err.startswith("error: cannot write the history absent/weights.jsonl: No such file or directory")
    assert weights() == {"A": 0.9, "B": 0.1}


def test_a_refused_change_is_not_recorded(endpoint: str, command: Command, stub: Stub) -> None:
    description = boto3.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    for unlike_aws in ("ResponseMetadata", "DataCaptureConfig", "Tags"):
        description.pop(unlike_aws, None)
    sagemaker = stub("sagemaker")
    sagemaker.add_response("describe_endpoint", description)
    refusal = "Cannot update in-progress endpoint"
    sagemaker.add_client_error("update_endpoint_weights_and_capacities", "ValidationException", refusal)
    code, _, err = command("traffic", "split", endpoint, "A=0.7")
    assert code == 1
    name = "UpdateEndpointWeightsAndCapacities"
    assert err == f"error: AWS refused {name}: {refusal} (ValidationException)\n"
    assert changes() == []


def test_a_dry_run_changes_and_records_nothing(endpoint: str, command: Command, calls: Calls) -> None:
    command("traffic", "split", endpoint, "A=0.7", "B=0.3")
    before = Path("weights.jsonl").read_text()
    for action in (["split", endpoint, "A=0.5"], ["rollback", endpoint]):
        code, out, err = command("traffic", *action, "--dry-run")
        assert (code, err) == (0, "")
        names = [call["operation"] for call in calls(out)]
        assert names == ["DescribeEndpoint", "UpdateEndpointWeightsAndCapacities"]
    desired = calls(out)[1]["parameters"]["DesiredWeightsAndCapacities"]
    assert desired == [{"VariantName": "A", "DesiredWeight": 0.9}, {"VariantName": "B", "DesiredWeight": 0.1}]
    assert Path("weights.jsonl").read_text() == before
    assert weights() == {"A": 0.7, "B": 0.3}


def captured(deviation: float, requests: int = 400) -> str:
    """An endpoint `ab` whose variant B is asked beside A, with errors of this deviation against A's of 1; its ARN."""
    arn = make_endpoint({"A": 0.9, "B": 0.1})
    shadowed(requests, {"A": 1.0, "B": deviation})
    assert boto3.client("sagemaker").describe_endpoint(EndpointName="ab")["EndpointArn"] == arn
    return arn


ASKED = ("--loss", "squared-error", "--poll", "0.01")


@pytest.mark.parametrize(
    ("deviation", "margin", "said"),
    [(0.5, "0", "B is better than A"), (1.0, "40%", "B and A differ by less than the margin")],
)
def test_a_promotion_that_the_evidence_favours(command: Command, deviation: float, margin: str, said: str) -> None:
    arn = captured(deviation, 2000)
    code, out, err = command("traffic", "promote", "ab", "B", *ASKED, "--margin", margin)
    assert (code, err) == (0, "") and said in out
    assert weights() == {"A": 0.0, "B": 1.0}
    (change,) = changes()
    assert (change["action"], change["reason"]) == ("promote", said)
    assert (change["before"], change["after"]) == ({"A": 0.9, "B": 0.1}, {"A": 0.0, "B": 1.0})
    tags = {tag["Key"]: tag["Value"] for tag in boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]}
    assert f"polyadic:weights:{change['time']}" in tags
    assert command("traffic", "rollback", "ab", "--poll", "0.01")[0] == 0
    assert weights() == {"A": 0.9, "B": 0.1} and changes()[1]["action"] == "rollback"


@pytest.mark.parametrize(
    ("deviation", "requests", "message"),
    [
        (2.0, 400, "not promoted: B is worse than A; wait for it, or give --force with a --reason that is kept"),
        (1.0, 400, "not promoted: undecided"),
        (0.1, 50, "not promoted: undecided"),
    ],
)
def test_a_promotion_that_the_evidence_does_not_favour(
    command: Command, deviation: float, requests: int, message: str
) -> None:
    captured(deviation, requests)
    code, _, err = command("traffic", "promote", "ab", "B", *ASKED)
    assert code == 1 and message in err and weights() == {"A": 0.9, "B": 0.1}
    assert not Path("weights.jsonl").exists()


def test_a_forced_promotion_keeps_its_reason(command: Command) -> None:
    captured(2.0)
    code, _, err = command("traffic", "promote", "ab", "B", "--force", "--reason", " A costs too much ", *ASKED)
    assert (code, err) == (0, "") and weights() == {"A": 0.0, "B": 1.0}
    assert changes()[0]["reason"] == "forced: A costs too much"


@pytest.mark.parametrize("options", [["--force"], ["--reason", "why not"], ["--force", "--reason", " "]])
def test_force_and_reason_go_together(command: Command, options: list[str]) -> None:
    captured(0.5)
    code, _, err = command("traffic", "promote", "ab", "B", *options, *ASKED)
    assert code == 2 and "--force and --reason TEXT go together" in err and weights() == {"A": 0.9, "B": 0.1}


def test_the_champion_and_an_unknown_variant_are_not_promoted(command: Command) -> None:
    captured(0.5)
    code, _, err = command("traffic", "promote", "ab", "A", *ASKED)
    assert code == 1 and "A is the champion already" in err and "`traffic split`" in err
    code, _, err = command("traffic", "promote", "ab", "C", *ASKED)
    assert code == 2 and "no variant 'C' with a weight; known are A, B (a shadow is deployed as a variant first)" in err


@pytest.mark.parametrize("capture", [True, False])
def test_without_captured_requests_a_promotion_needs_a_reason(command: Command, capture: bool) -> None:
    make_endpoint({"A": 0.9, "B": 0.1}, capture=capture)
    code, _, err = command("traffic", "promote", "ab", "B", *ASKED)
    assert code == 1 and "not promoted: " in err and "captured" in err.replace("captures", "captured")
    assert "--force with a --reason" in err
    assert command("traffic", "promote", "ab", "B", "--force", "--reason", "new", *ASKED)[0] == 0


def test_a_guard_rail_that_is_broken_stops_a_better_model(command: Command) -> None:
    captured(0.5)
    metrics = [
        {
            "MetricName": name, "Value": value, "Timestamp": datetime.now(UTC),
            "Dimensions": [{"Name": "EndpointName", "Value": "ab"}, {"Name": "VariantName", "Value": variant}],
        }
        for variant, failed in (("A", 0.0), ("B", 500.0))
        for name, value in (("Invocations", 5000.0), ("Invocation5XXErrors", failed))
    ]  # fmt: skip
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=metrics)
    code, _, err = command("traffic", "promote", "ab", "B", *ASKED)
    assert code == 1 and "not promoted: B breaks a guard-rail (errors)" in err and weights() == {"A": 0.9, "B": 0.1}


def test_a_rehearsed_promotion_names_the_variant(command: Command, calls: Calls, nowhere: None) -> None:
    code, out, err = command("traffic", "promote", "ab", "candidate", "--dry-run")
    assert (code, err) == (0, "")
    (update,) = [call for call in calls(out) if call["operation"] == "UpdateEndpointWeightsAndCapacities"]
    desired = update["parameters"]["DesiredWeightsAndCapacities"]
    assert {"VariantName": "candidate", "DesiredWeight": 1.0} in desired and not Path("weights.jsonl").exists()
