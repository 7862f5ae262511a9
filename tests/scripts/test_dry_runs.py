"""Every command's rehearsal: its calls are legal by botocore's model, and moto's server does what it knows of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.scripts.captured import make_endpoint

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/polyadic:latest"
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
DEPLOY = ("deploy", "--endpoint", "new", "--role", ROLE, "--image", IMAGE)
STORY = {
    "train": ("train", "recipe.yaml"),
    "tune": ("tune", "recipe.yaml", "--tune", "rank=2:8"),
    "register": ("register", "air", "--job", "JOB"),
    "approve": ("approve", "air/1"),
    "deploy a shadow": (
        *DEPLOY,
        "--variant",
        "A=s3://b/a.tar.gz",
        "--shadow",
        "B=s3://b/b.tar.gz",
        "--capture",
        "s3://b/c",
    ),
    "deploy a split": (*DEPLOY, "--variant", "A=s3://b/a.tar.gz:0.9", "--variant", "B=s3://b/b.tar.gz:0.1", "--alarm"),
    "feedback": ("feedback", "ab", "actuals.csv"),
    "replay a variant": ("replay", "ab", "--variant", "B"),
    "replay a model": ("replay", "ab", "--model", "m-A"),
    "compare": ("compare", "ab", "--loss", "squared-error"),
    "show": ("traffic", "show", "ab"),
    "split": ("traffic", "split", "ab", "A=0.5", "B=0.5"),
    "promote": ("traffic", "promote", "ab", "B"),
    "teardown": ("teardown", "ab"),
}
RECIPE = {
    "name": "air",
    "image": IMAGE,
    "role": ROLE,
    "instance_type": "ml.m5.large",
    "channels": {"train": {"uri": "s3://bucket/air/"}},
    "output": "s3://bucket/models",
    "hyperparameters": {"algorithm": "cp", "rank": 3},
}
UNKNOWN_TO_MOTO = {"InvokeEndpoint"}
"""It answers what a test has put into its queue, and has no queue here."""


@pytest.mark.parametrize("name", STORY)
def test_a_rehearsal_prints_calls_that_can_be_made(name: str, command: Command, calls: Calls) -> None:
    make_endpoint({"A": 0.9, "B": 0.1})
    make_endpoint({"A": 0.9}, name="name")  # So is the endpoint called whose ARN a rehearsal shows.
    Path("recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    Path("actuals.csv").write_text("inference_id,actual\na,1.5\n")
    code, out, err = command(*STORY[name], "--dry-run")
    assert code == 0, err
    printed = calls(out)
    assert printed
    for call in printed:
        if call["operation"] not in UNKNOWN_TO_MOTO:
            accepted(call)


def accepted(call: dict[str, Any]) -> None:
    """Make a call on moto, which may at most miss what the rehearsal has only named."""
    try:
        getattr(boto3.client(call["service"]), xform_name(call["operation"]))(**call["parameters"])
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
        if (code, call["operation"]) == ("500", "ListTags"):
            return  # Of the tags of what is not there moto knows no other answer.
        missing = "could not find" in message or "does not exist" in message or "not found" in message
        assert missing or code.startswith("NoSuch"), (call, code, message)


def test_a_story_on_moto_ends_where_it_should(command: Command, calls: Calls) -> None:
    """The calls of a deployment, made one after another, make what they say."""
    _, out, _ = command(*STORY["deploy a split"], "--dry-run")
    for call in calls(out):
        if not call["operation"].startswith("Describe"):
            getattr(boto3.client(call["service"]), xform_name(call["operation"]))(**call["parameters"])
    described = boto3.client("sagemaker").describe_endpoint(EndpointName="new")
    assert {each["VariantName"]: each["CurrentWeight"] for each in described["ProductionVariants"]} == {
        "A": 0.9,
        "B": 0.1,
    }
    assert len(boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 4
