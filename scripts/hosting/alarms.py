"""An endpoint's CloudWatch alarms: made by a deployment that watches them, removed with the endpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import UsageError, explain, warn
from scripts.hosting.tags import OWNER, tags

MOST_ALARMS = 10
KINDS = ("5xx", "p99")
MICROSECONDS_PER_MILLISECOND = 1000.0


def requests(endpoint: str, variants: Sequence[str], p99_milliseconds: float) -> list[dict[str, Any]]:
    """The parameters of PutMetricAlarm: for each variant its 5XX answers and the 99th percentile of its latency."""
    if len(variants) * len(KINDS) > MOST_ALARMS:
        raise UsageError(
            f"--alarm makes {len(KINDS)} alarms for each of {len(variants)} variants; an endpoint's update watches "
            f"{MOST_ALARMS} at most: give {MOST_ALARMS // len(KINDS)} variants, or leave --alarm out"
        )
    return [
        request
        for variant in variants
        for request in (_errors(endpoint, variant), _latency(endpoint, variant, p99_milliseconds))
    ]


def _errors(endpoint: str, variant: str) -> dict[str, Any]:
    return _alarm(endpoint, variant, "5xx") | {
        "AlarmDescription": f"variant {variant} of endpoint {endpoint} answered with 5XX within a minute",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Sum",
        "EvaluationPeriods": 1,
        "Threshold": 0.0,
    }


def _latency(endpoint: str, variant: str, milliseconds: float) -> dict[str, Any]:
    return _alarm(endpoint, variant, "p99") | {
        "AlarmDescription": f"p99 latency of variant {variant} of endpoint {endpoint} is above {milliseconds:g} ms",
        "MetricName": "ModelLatency",
        "ExtendedStatistic": "p99",
        "EvaluationPeriods": 2,
        "Threshold": milliseconds * MICROSECONDS_PER_MILLISECOND,
    }


def _alarm(endpoint: str, variant: str, kind: str) -> dict[str, Any]:
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    return {
        "AlarmName": f"{endpoint}-{variant}-{kind}",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Period": 60,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": tags(endpoint),
    }


def find(cloudwatch: Any, endpoint: str) -> list[str]:
    """The names of the alarms that carry the endpoint's tag; a warning and none where they may not be read."""
    try:
        return [alarm["AlarmName"] for alarm in _named(cloudwatch, endpoint) if _is_own(cloudwatch, alarm, endpoint)]
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"AccessDenied", "AccessDeniedException"}:
            raise
        warn(f"alarms cannot be looked for, and stay where there are any: {explain(error)}")
        return []


def _named(cloudwatch: Any, endpoint: str) -> Iterator[dict[str, Any]]:
    parameters = {"AlarmNamePrefix": f"{endpoint}-", "AlarmTypes": ["MetricAlarm"]}
    answer = cloudwatch.describe_alarms(**parameters)
    yield from answer.get("MetricAlarms", [])
    while answer.get("NextToken"):
        answer = cloudwatch.describe_alarms(**parameters, NextToken=answer["NextToken"])
        yield from answer.get("MetricAlarms", [])


def _is_own(cloudwatch: Any, alarm: dict[str, Any], endpoint: str) -> bool:
    answer = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])
    return {"Key": OWNER, "Value": endpoint} in answer.get("Tags", [])
