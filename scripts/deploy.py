"""`python -m scripts.deploy`: create or update an endpoint whose variants have one model each."""

import argparse
from pathlib import Path
from typing import Any

from scripts import history, weight_tags
from scripts.aws import (
    Answers,
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
    warn,
)
from scripts.endpoint import failure, require_in_service, settle, summary, weights
from scripts.history import Change
from scripts.hosting import alarms
from scripts.hosting.changes import compare, confirm
from scripts.hosting.fleet import Fleet, read_fleet
from scripts.hosting.plan import plan
from scripts.hosting.requests import configuration_request, metrics_request, model_request
from scripts.hosting.rollout import FORMS, check_instances, deployment_config, rollout
from scripts.hosting.source import Model, check_image, rehearsed, resolve
from scripts.hosting.tags import prefix, tags
from scripts.variants import check_variants, shadow, variant, weight

P99_MS = 1000.0


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


def milliseconds(text: str) -> float:
    """Read a latency."""
    value = weight(text)
    if not value:
        raise Invalid(f"got {text!r}; allowed is a number of milliseconds above 0")
    return value


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    role = "--role arn:aws:iam::123456789012:role/SageMakerExecution"
    parser = argparse.ArgumentParser(
        prog="python -m scripts.deploy",
        description="Put models behind a SageMaker endpoint as variants that share its traffic by weight.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            f"deploy --endpoint ab {role} --variant A=package:demand/3:0.9 --variant B=job:demand-job-7:0.1",
            f"deploy --endpoint ab {role} --image IMAGE-URI --variant A=s3://bucket/a/model.tar.gz",
            f"deploy --endpoint ab {role} --variant A=package:demand --shadow B=package:challenger:0.5",
            f"deploy --endpoint ab {role} --variant A=package:demand --instance-count 4 --blue-green canary:25:120 "
            "--alarm --p99-ms 200",
        ),
    )
    parser.add_argument("--endpoint", type=resource_name, required=True, metavar="NAME")
    parser.add_argument(
        "--image", metavar="URI", help="of variants that are archives in S3; jobs and packages know theirs"
    )
    parser.add_argument("--role", type=role_arn, required=True, metavar="ARN")
    _variant_arguments(parser)
    _update_arguments(parser)
    return parser


def _variant_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--variant",
        type=variant,
        action="append",
        required=True,
        metavar="NAME=SOURCE:WEIGHT",
        dest="variants",
        help="SOURCE: an S3 address, job:JOB, package:GROUP/VERSION, package:GROUP or a package's ARN; "
        "without WEIGHT the variant keeps its own, and a new one has 1",
    )
    parser.add_argument(
        "--shadow",
        type=shadow,
        action="append",
        default=[],
        metavar="NAME=SOURCE:SHARE",
        dest="shadows",
        help="a variant that gets a copy of a share of the requests and answers nobody",
    )
    parser.add_argument("--instance-type", metavar="TYPE", help="default: as now, or ml.m5.large")
    parser.add_argument("--instance-count", type=count, metavar="N", help="of each variant; default: as now, or 1")
    capture = parser.add_mutually_exclusive_group()
    capture.add_argument(
        "--capture", type=s3_uri, metavar="S3URI", help="keep requests and answers there; default: as now"
    )
    capture.add_argument("--no-capture", action="store_false", dest="capture", help="capture no longer")
    parser.add_argument("--capture-percentage", type=percentage, metavar="PERCENT", help="default: as now, or 100")
    parser.add_argument(
        "--no-metrics",
        action="store_false",
        dest="metrics",
        help="the container's figures (GET /metrics) do not go to CloudWatch, as they else do where boto3 knows how",
    )
    parser.set_defaults(capture=None)


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--blue-green",
        type=rollout,
        metavar="HOW",
        help=f"how an update moves the traffic: {FORMS}",
    )
    parser.add_argument("--alarm", action="store_true", help="an update that gives 5XX or slow answers is taken back")
    parser.add_argument("--p99-ms", type=milliseconds, metavar="MS", help=f"slow, for --alarm; default: {P99_MS}")
    parser.add_argument("--yes", action="store_true", help="change a living endpoint without asking")
    parser.add_argument("--history", type=Path, default=Path("weights.jsonl"), metavar="FILE")


def deploy(arguments: argparse.Namespace) -> int:
    """Make the models and the endpoint configuration, then make or update the endpoint and wait for it."""
    entries = [*arguments.variants, *arguments.shadows]
    _check(arguments)
    names = [entry.name for entry in arguments.variants]
    watched = alarms.requests(arguments.endpoint, names, arguments.p99_ms or P99_MS) if arguments.alarm else []
    sagemaker = client("sagemaker", arguments, _rehearsed(arguments))
    existing = answer_or_none(sagemaker.describe_endpoint, EndpointName=arguments.endpoint)
    if existing is not None:
        require_in_service(existing)
    models = {entry.name: resolve(sagemaker, entry.source, arguments.image) for entry in entries}
    now = None if existing is None else read_fleet(sagemaker, existing)
    wanted = plan(arguments, models, now, tuple(alarm["AlarmName"] for alarm in watched))
    _check_rollout(arguments, wanted, is_new=now is None)
    if now is not None:
        confirm(compare(now, wanted), arguments.yes)
    if not arguments.dry_run:
        history.require_appendable(arguments.history)
    _make_alarms(arguments, watched)
    before = {} if existing is None else weights(existing)
    prints = {name: history.fingerprint(model.artifact or model.package or "") for name, model in models.items()}
    change = Change(history.now(), arguments.endpoint, "deploy", before, wanted.weights(), models=prints)
    configuration = _apply(arguments, sagemaker, wanted, models, is_new=now is None)
    if not arguments.dry_run:
        history.append(arguments.history, change)
        reached = _wait(sagemaker, arguments.endpoint, configuration, arguments.poll)
        weight_tags.tag(sagemaker, reached["EndpointArn"], history.settle(arguments.history, change))
    return 0


def _rehearsed(arguments: argparse.Namespace) -> Answers:
    sources = [entry.source for entry in (*arguments.variants, *arguments.shadows)]
    return {"describe_endpoint": missing("DescribeEndpoint"), **rehearsed(sources)}


def _check(arguments: argparse.Namespace) -> None:
    """A UsageError, or a warning, for arguments that do not go together."""
    check_variants(arguments.variants, arguments.shadows)
    sources = [entry.source for entry in (*arguments.variants, *arguments.shadows)]
    for entry in (*arguments.variants, *arguments.shadows):
        check_image(entry.name, entry.source, arguments.image)
    if arguments.image and not any(source.artifact for source in sources):
        warn("--image is for archives in S3; jobs and packages know theirs, and it is not used")
    if arguments.p99_ms and not arguments.alarm:
        raise UsageError("--p99-ms is for --alarm; give both, or neither")


def _check_rollout(arguments: argparse.Namespace, wanted: Fleet, is_new: bool) -> None:
    if arguments.blue_green is None:
        return
    if is_new:
        warn("--blue-green is for updates; the endpoint is new, so that no traffic moves")
        return
    check_instances(arguments.blue_green, {name: served.instance_count for name, served in wanted.variants.items()})


def _make_alarms(arguments: argparse.Namespace, watched: list[dict[str, Any]]) -> None:
    if not watched:
        return
    cloudwatch = client("cloudwatch", arguments, {})
    for request in watched:
        cloudwatch.put_metric_alarm(**request)


def _apply(arguments: argparse.Namespace, sagemaker: Any, wanted: Fleet, models: dict[str, Model], is_new: bool) -> str:
    """Make models, configuration and endpoint, or update it; the configuration's name."""
    endpoint = arguments.endpoint
    configuration = f"{prefix(endpoint)}-{stamp()}"
    names = {name: f"{configuration}-{shorten(name, 20)}" for name in models}
    for name, model in models.items():
        sagemaker.create_model(**model_request(endpoint, name, model, names[name], arguments.role))
    request = configuration_request(endpoint, configuration, wanted, names)
    sagemaker.create_endpoint_config(**request | metrics_request(sagemaker, wanted, arguments.metrics))
    if is_new:
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=configuration, Tags=tags(endpoint))
    else:
        moving = deployment_config(arguments.blue_green, list(wanted.alarms))
        more = {} if moving is None else {"DeploymentConfig": moving}
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=configuration, **more)
    return configuration


def _wait(sagemaker: Any, name: str, configuration: str, poll: float) -> dict[str, Any]:
    description = settle(sagemaker, name, poll)
    # After an update that fails AWS brings the old configuration back, InService again.
    if description["EndpointConfigName"] != configuration:
        reason = failure(description)
        raise CommandError(f"the update of endpoint {name} failed and was rolled back: {reason}")
    say(f"endpoint {name}: {summary(weights(description))}")
    return description


if __name__ == "__main__":
    main(deploy, parser())
