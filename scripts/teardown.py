"""`python -m scripts.teardown NAME`: remove an endpoint, its configurations and its models."""

import argparse
import re
import time
from collections.abc import Callable
from typing import Any

from scripts.aws import (
    STAMP_PATTERN,
    Answers,
    answer_or_none,
    client,
    examples,
    main,
    pages,
    poll_argument,
    resource_name,
    say,
    shared_arguments,
)
from scripts.deploy import prefix

# Only AWS knows these names; a rehearsal shows where they come from.
REHEARSED: Answers = {
    "describe_endpoint": {"EndpointConfigName": "EndpointConfigName-from-DescribeEndpoint"},
    "describe_endpoint_config": {"ProductionVariants": [{"ModelName": "ModelName-from-DescribeEndpointConfig"}]},
}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.teardown",
        description="Remove an endpoint, its configurations and its models; none left is no error.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "teardown ab",
            "teardown ab --dry-run",
        ),
    )
    parser.add_argument("endpoint", type=resource_name, metavar="NAME")
    return parser


def teardown(arguments: argparse.Namespace) -> int:
    """Remove the endpoint first, then what it was made of."""
    sagemaker = client("sagemaker", arguments, REHEARSED)
    name = arguments.endpoint
    configurations, models = _belongings(sagemaker, name)
    _remove(f"endpoint {name}", sagemaker.delete_endpoint, arguments, EndpointName=name)
    while not arguments.dry_run and answer_or_none(sagemaker.describe_endpoint, EndpointName=name):
        time.sleep(arguments.poll)
    for configuration in configurations:
        what = f"endpoint configuration {configuration}"
        _remove(what, sagemaker.delete_endpoint_config, arguments, EndpointConfigName=configuration)
    for model in models:
        _remove(f"model {model}", sagemaker.delete_model, arguments, ModelName=model)
    return 0


def _belongings(sagemaker: Any, endpoint: str) -> tuple[list[str], list[str]]:
    """The endpoint's configurations and models: what it names now, and what earlier deployments left."""
    ours = re.compile(rf"{re.escape(prefix(endpoint))}-{STAMP_PATTERN}(-.+)?")
    listed = pages(sagemaker.list_endpoint_configs, "EndpointConfigs", NameContains=prefix(endpoint))
    configurations = [entry["EndpointConfigName"] for entry in listed if ours.fullmatch(entry["EndpointConfigName"])]
    description = answer_or_none(sagemaker.describe_endpoint, EndpointName=endpoint)
    if description is not None:
        configurations.append(description["EndpointConfigName"])
    listed = pages(sagemaker.list_models, "Models", NameContains=prefix(endpoint))
    models = [entry["ModelName"] for entry in listed if ours.fullmatch(entry["ModelName"])]
    for configuration in dict.fromkeys(configurations):
        content = answer_or_none(sagemaker.describe_endpoint_config, EndpointConfigName=configuration) or {}
        models += [entry["ModelName"] for entry in content.get("ProductionVariants", [])]
    return list(dict.fromkeys(configurations)), list(dict.fromkeys(models))


def _remove(what: str, call: Callable[..., dict[str, Any]], arguments: argparse.Namespace, **names: str) -> None:
    gone = answer_or_none(call, **names) is None
    if not arguments.dry_run:
        say(f"{what}: {'gone already' if gone else 'removed'}")


if __name__ == "__main__":
    main(teardown, parser())
