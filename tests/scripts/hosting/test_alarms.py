"""An endpoint's alarms: legal for CloudWatch, found by their tag alone, and not missed where they may not be read."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from scripts.hosting.alarms import find, requests

Stub = Callable[[str], Stubber]


def test_each_variant_has_two_alarms() -> None:
    errors, latency, *others = requests("ab", ["A", "B"], 250.0)
    dimensions = [{"Name": "EndpointName", "Value": "ab"}, {"Name": "VariantName", "Value": "A"}]
    assert errors["Dimensions"] == latency["Dimensions"] == dimensions
    assert (errors["MetricName"], errors["Statistic"], errors["Threshold"]) == ("Invocation5XXErrors", "Sum", 0.0)
    assert (latency["MetricName"], latency["ExtendedStatistic"], latency["Threshold"]) == (
        "ModelLatency",
        "p99",
        250_000.0,  # microseconds
    )
    assert [alarm["AlarmName"] for alarm in others] == ["ab-B-5xx", "ab-B-p99"]


def test_only_the_endpoint_s_own_alarms_are_found() -> None:
    cloudwatch = boto3.client("cloudwatch")
    for endpoint in ("ab", "ab-A"):
        for request in requests(endpoint, ["A"], 1.0):
            cloudwatch.put_metric_alarm(**request)
    (foreign,) = requests("ab", ["hand-made"], 1.0)[:1]
    cloudwatch.put_metric_alarm(**{**foreign, "Tags": []})
    assert find(cloudwatch, "ab") == ["ab-A-5xx", "ab-A-p99"]


def test_every_page_of_alarms_is_read(stub: Stub) -> None:
    cloudwatch = stub("cloudwatch")
    asked: dict[str, Any] = {"AlarmNamePrefix": "ab-", "AlarmTypes": ["MetricAlarm"]}
    cloudwatch.add_response("describe_alarms", {"MetricAlarms": [], "NextToken": "next"}, asked)
    last = {"MetricAlarms": [{"AlarmName": "ab-A-5xx", "AlarmArn": "arn"}]}
    cloudwatch.add_response("describe_alarms", last, asked | {"NextToken": "next"})
    tagged = {"Tags": [{"Key": "polyadic:endpoint", "Value": "ab"}]}
    cloudwatch.add_response("list_tags_for_resource", tagged, {"ResourceARN": "arn"})
    assert find(cloudwatch.client, "ab") == ["ab-A-5xx"]


def test_alarms_that_may_not_be_read_are_a_warning(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    cloudwatch = stub("cloudwatch")
    cloudwatch.add_client_error("describe_alarms", "AccessDenied", "You may not")
    assert find(cloudwatch.client, "ab") == []
    assert capsys.readouterr().err == (
        "warning: alarms cannot be looked for, and stay where there are any: "
        "AWS refused DescribeAlarms: You may not (AccessDenied)\n"
    )


def test_other_errors_are_errors(stub: Stub) -> None:
    cloudwatch = stub("cloudwatch")
    cloudwatch.add_client_error("describe_alarms", "ThrottlingException", "Rate exceeded")
    with pytest.raises(ClientError):
        find(cloudwatch.client, "ab")
