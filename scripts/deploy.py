"""`python -m scripts.deploy`: create or update an endpoint whose variants have one model each."""

import argparse
import math
import re
from dataclasses import dataclass
from typing import Any

from scripts.aws import (
    CommandError,
    Invalid,
    UsageError,
    answer_or_none,
    client,
    examples,
    main,
    missing,
    poll_argument,
    resource_name,
    role_arn,
    s3_uri,
    say,
    shared_arguments,
    shorten,
    stamp,
)
from scripts.endpoint import failure, require_in_service, settle, summary, weights

MOST_VARIANTS = 10
JSON_TYPES = ["application/json", "application/jsonlines"]


@dataclass(frozen=True)
class Variant:
    """One production variant: its name, its model's artifact, its share of the traffic."""

    name: str
    artifact: str
    weight: float


def variant(text: str) -> Variant:
    """Read `NAME=s3://.../model.tar.gz[:WEIGHT]`; the weight is 1 where none is given."""
    parts = re.fullmatch(r"(?P<name>[^=]+)=(?P<artifact>s3://[^:]+)(:(?P<weight>[^:/]+))?", text)
    if parts is None:
        raise Invalid(f"got {text!r}; allowed is NAME=s3://bucket/path/model.tar.gz:WEIGHT")
    name, artifact = resource_name(parts["name"]), s3_uri(parts["artifact"])
    return Variant(name, artifact, weight(parts["weight"] or "1"))


def weight(text: str) -> float:
    """Read a variant's weight: a finite number, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise Invalid(f"got weight {text!r}; allowed is a number of 0 or more")
    return value


def percentage(text: str) -> int:
    """Read a whole percentage."""
    if not text.isdecimal() or int(text) > 100:
        raise Invalid(f"got {text!r}; allowed is a whole number from 0 to 100")
    return int(text)


def count(text: str) -> int:
    """Read a number of instances."""
    if not text.isdecimal() or int(text) < 1:
        raise Invalid(f"got {text!r}; allowed is a whole number of 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.deploy",
        description="Put models behind a SageMaker endpoint as variants that share its traffic by weight.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "deploy --endpoint ab --image IMAGE-URI --role arn:aws:iam::123456789012:role/SageMakerExecution "
            "--variant A=s3://bucket/a/model.tar.gz:0.9 --variant B=s3://bucket/b/model.tar.gz:0.1",
        ),
    )
    parser.add_argument("--endpoint", type=resource_name, required=True, metavar="NAME")
    parser.add_argument("--image", required=True, metavar="URI", help="as scripts.build_and_push prints it")
    parser.add_argument("--role", type=role_arn, required=True, metavar="ARN")
    parser.add_argument(
        "--variant",
        type=variant,
        action="append",
        required=True,
        metavar="NAME=S3URI:WEIGHT",
        dest="variants",
    )
    parser.add_argument("--instance-type", default="ml.m5.large")
    parser.add_argument("--instance-count", type=count, default=1, metavar="N", help="instances of each variant")
    parser.add_argument("--capture", type=s3_uri, metavar="S3URI", help="keep requests and answers there")
    parser.add_argument("--capture-percentage", type=percentage, default=100, metavar="PERCENT")
    return parser


def deploy(arguments: argparse.Namespace) -> int:
    """Make the models and the endpoint configuration, then make or update the endpoint and wait for it."""
    _check(arguments.variants)
    name = arguments.endpoint
    sagemaker = client("sagemaker", arguments, {"describe_endpoint": missing("DescribeEndpoint")})
    existing = answer_or_none(sagemaker.describe_endpoint, EndpointName=name)
    if existing is not None:
        require_in_service(existing)
    configuration = f"{prefix(name)}-{stamp()}"
    models = {entry.name: f"{configuration}-{shorten(entry.name, 20)}" for entry in arguments.variants}
    for entry in arguments.variants:
        sagemaker.create_model(**model_request(arguments, entry, models[entry.name]))
    sagemaker.create_endpoint_config(**configuration_request(arguments, configuration, models))
    act = sagemaker.create_endpoint if existing is None else sagemaker.update_endpoint
    act(EndpointName=name, EndpointConfigName=configuration)
    if not arguments.dry_run:
        _wait(sagemaker, name, configuration, arguments.poll)
    return 0


def prefix(endpoint: str) -> str:
    """What the names of an endpoint's configurations and models begin with, before the stamp."""
    return shorten(endpoint, 24)


def model_request(arguments: argparse.Namespace, entry: Variant, name: str) -> dict[str, Any]:
    """The parameters of CreateModel; the container learns its variant's name from its environment."""
    container = {
        "Image": arguments.image,
        "ModelDataUrl": entry.artifact,
        "Environment": {"MODEL_VARIANT": entry.name},
    }
    return {"ModelName": name, "ExecutionRoleArn": arguments.role, "PrimaryContainer": container}


def configuration_request(arguments: argparse.Namespace, name: str, models: dict[str, str]) -> dict[str, Any]:
    """The parameters of CreateEndpointConfig: the variants with their weights, and data capture."""
    variants = [
        {
            "VariantName": entry.name,
            "ModelName": models[entry.name],
            "InstanceType": arguments.instance_type,
            "InitialInstanceCount": arguments.instance_count,
            "InitialVariantWeight": entry.weight,
        }
        for entry in arguments.variants
    ]
    parameters: dict[str, Any] = {"EndpointConfigName": name, "ProductionVariants": variants}
    if arguments.capture is not None:
        parameters["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": arguments.capture_percentage,
            "DestinationS3Uri": arguments.capture,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": JSON_TYPES},
        }
    return parameters


def _check(variants: list[Variant]) -> None:
    names = [entry.name for entry in variants]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"variant {name!r} is given twice; each variant needs a name of its own")
    if len(names) > MOST_VARIANTS:
        raise UsageError(f"got {len(names)} variants; an endpoint takes {MOST_VARIANTS} at most")
    if not any(entry.weight for entry in variants):
        raise UsageError("all weights are 0; give at least one variant a weight above 0")


def _wait(sagemaker: Any, name: str, configuration: str, poll: float) -> None:
    description = settle(sagemaker, name, poll)
    # After an update that fails AWS brings the old configuration back, InService again.
    if description["EndpointConfigName"] != configuration:
        reason = failure(description)
        raise CommandError(f"the update of endpoint {name} failed and was rolled back: {reason}")
    say(f"endpoint {name}: {summary(weights(description))}")


if __name__ == "__main__":
    main(deploy, parser())
