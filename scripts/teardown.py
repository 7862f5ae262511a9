"""`python -m scripts.teardown NAME`: remove an endpoint and what scripts.deploy made for it, and nothing else."""

import argparse
import time
from collections.abc import Callable
from typing import Any

from scripts.aws import (
    Answers,
    CommandError,
    answer_or_none,
    client,
    examples,
    main,
    poll_argument,
    resource_name,
    say,
    seconds,
    shared_arguments,
)
from scripts.endpoint import RESTING
from scripts.hosting import alarms
from scripts.hosting.belongings import Belongings, is_own_endpoint, read_belongings
from scripts.hosting.tags import prefix, tags


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.teardown",
        description="Remove an endpoint, and the configurations, models and alarms that scripts.deploy made for it; "
        "none left is no error.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "teardown ab",
            "teardown ab --dry-run",
        ),
    )
    parser.add_argument("endpoint", type=resource_name, metavar="NAME")
    parser.add_argument(
        "--wait", type=seconds, default=1800.0, metavar="SECONDS", help="for an endpoint that is being changed"
    )
    return parser


def teardown(arguments: argparse.Namespace) -> int:
    """Remove the endpoint first, then what it was made of."""
    name = arguments.endpoint
    sagemaker, cloudwatch = (client(service, arguments, _rehearsed(name)) for service in ("sagemaker", "cloudwatch"))
    description = answer_or_none(sagemaker.describe_endpoint, EndpointName=name)
    if description is not None:
        _check_own(sagemaker, description, name)
        description = _rested(sagemaker, description, arguments)
    belongings = read_belongings(sagemaker, name, description)
    watching = alarms.find(cloudwatch, name)
    _remove_endpoint(sagemaker, description, arguments)
    for alarm in watching:
        _remove(f"alarm {alarm}", cloudwatch.delete_alarms, arguments, AlarmNames=[alarm])
    _remove_belongings(sagemaker, belongings, arguments)
    return 0


def _rehearsed(endpoint: str) -> Answers:
    """Only AWS knows the names; a rehearsal shows one of each, with a stamp of zeros."""
    name, arn = f"{prefix(endpoint)}-000000000000-0000", "arn:aws:sagemaker:us-east-1:123456789012"
    tagged = {"Tags": tags(endpoint)}
    alarm = f"{endpoint}-VARIANT-5xx"
    return {
        "describe_endpoint": {
            "EndpointStatus": "InService",
            "EndpointArn": f"{arn}:endpoint/{endpoint}",
            "EndpointConfigName": name,
        },
        "list_tags": tagged,
        "list_endpoint_configs": {
            "EndpointConfigs": [{"EndpointConfigName": name, "EndpointConfigArn": f"{arn}:endpoint-config/{name}"}]
        },
        "list_models": {"Models": [{"ModelName": f"{name}-VARIANT", "ModelArn": f"{arn}:model/{name}-VARIANT"}]},
        "describe_alarms": {"MetricAlarms": [{"AlarmName": alarm, "AlarmArn": f"arn:aws:cloudwatch:alarm:{alarm}"}]},
        "list_tags_for_resource": tagged,
    }


def _check_own(sagemaker: Any, description: dict[str, Any], name: str) -> None:
    if not is_own_endpoint(sagemaker, description, name):
        raise CommandError(
            f"endpoint {name} was not made by scripts.deploy, and is left with all that it has; "
            f"remove it with `aws sagemaker delete-endpoint --endpoint-name {name}`"
        )


def _rested(sagemaker: Any, description: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The endpoint once nothing changes it any more, for then alone it can be deleted; None where it has gone."""
    deadline = time.monotonic() + arguments.wait
    seen: dict[str, Any] | None = description
    if description["EndpointStatus"] not in {*RESTING, "Deleting"}:
        say(f"endpoint {arguments.endpoint} is {description['EndpointStatus']}; it is deleted when that has ended")
    while seen is not None and seen["EndpointStatus"] not in {*RESTING, "Deleting"}:
        _pause(arguments, deadline, seen["EndpointStatus"])
        seen = answer_or_none(sagemaker.describe_endpoint, EndpointName=arguments.endpoint)
    return seen


def _remove_endpoint(sagemaker: Any, description: dict[str, Any] | None, arguments: argparse.Namespace) -> None:
    """Delete the endpoint, unless that goes on already, and wait until it is gone."""
    name = arguments.endpoint
    if description is None or description["EndpointStatus"] != "Deleting":
        _remove(f"endpoint {name}", sagemaker.delete_endpoint, arguments, EndpointName=name)
    deadline = time.monotonic() + arguments.wait
    while not arguments.dry_run and answer_or_none(sagemaker.describe_endpoint, EndpointName=name):
        _pause(arguments, deadline, "Deleting")


def _pause(arguments: argparse.Namespace, deadline: float, status: str) -> None:
    name = arguments.endpoint
    if time.monotonic() > deadline:
        raise CommandError(
            f"endpoint {name} is still {status} after {arguments.wait:g} seconds; "
            "run the command once more later, or with a longer --wait"
        )
    time.sleep(arguments.poll)


def _remove_belongings(sagemaker: Any, belongings: Belongings, arguments: argparse.Namespace) -> None:
    for name in belongings.configurations:
        what = f"endpoint configuration {name}"
        _remove(what, sagemaker.delete_endpoint_config, arguments, EndpointConfigName=name)
    for name in belongings.models:
        _remove(f"model {name}", sagemaker.delete_model, arguments, ModelName=name)
    for sentence in belongings.left:
        say(sentence)


def _remove(what: str, call: Callable[..., dict[str, Any]], arguments: argparse.Namespace, **names: Any) -> None:
    gone = answer_or_none(call, **names) is None
    if not arguments.dry_run:
        say(f"{what}: {'gone already' if gone else 'removed'}")


if __name__ == "__main__":
    main(teardown, parser())
