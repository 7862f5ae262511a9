"""A front door as a user starts it, before a container in small; and boto3's clients of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
READY = re.compile(r"AWS_ENDPOINT_URL=(http://\S+)")


@dataclass
class Door:
    """A running `python -m local_mode up`, and its clients."""

    process: subprocess.Popen[str]
    url: str
    state: Path
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """boto3's client of a service, which knows nothing but the URL."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id="any",
                aws_secret_access_key="any",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=70),
            )
        return self.clients[service]

    def close(self) -> None:
        """Closes the clients."""
        for client in self.clients.values():
            client.close()
        self.clients.clear()


@contextmanager
def opened(state: Path, container: Path, *options: str) -> Iterator[Door]:
    """A front door over a state; it is ended with SIGTERM unless the test has killed it."""
    command = [sys.executable, "-m", "local_mode", "up", "--port", "0", "--state", str(state)]
    with subprocess.Popen(
        [*command, "--container", str(container), *options], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        ready = READY.match(process.stdout.readline())
        assert ready, "it did not start"
        door = Door(process, ready[1], state)
        try:
            yield door
        finally:
            door.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGKILL)


@pytest.fixture
def open_door(tmp_path: Path, standin: Path) -> Callable[..., Any]:
    """open_door(*options) opens a front door over this test's state, again and again."""
    return lambda *options: opened(tmp_path / "state", standin, *options)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, standin: Path) -> Iterator[Door]:
    """One front door for the tests of a module, with a bucket that has a file of data."""
    with opened(tmp_path_factory.mktemp("front-door") / "state", standin) as running:
        s3 = running.client("s3")
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="train/a.csv", Body=b"1,2,3\n")
        s3.put_object(Bucket="data", Key="train/deep/b.csv", Body=b"4,5,6\n")
        yield running


def job(name: str, **changes: Any) -> dict[str, Any]:
    """What CreateTrainingJob takes for a small job."""
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train"}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "polyadic", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def trained(door: Door, name: str, **changes: Any) -> dict[str, Any]:
    """The description of a job that has ended."""
    sagemaker = door.client("sagemaker")
    sagemaker.create_training_job(**job(name, **changes))
    return ended(door, name)


def ended(door: Door, name: str, seconds: float = 60) -> dict[str, Any]:
    """The description of a job, once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        described: dict[str, Any] = door.client("sagemaker").describe_training_job(TrainingJobName=name)
        if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return described
        time.sleep(0.05)
    raise AssertionError(f"{name} does not end")


def settled(door: Door, name: str, seconds: float = 60) -> dict[str, Any]:
    """The description of an endpoint, once it changes no more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        described: dict[str, Any] = door.client("sagemaker").describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] in ("InService", "Failed"):
            return described
        time.sleep(0.05)
    raise AssertionError(f"{name} does not settle")


def make_model(door: Door, name: str, content: bytes | None = None, archive: Path | None = None) -> None:
    """A model of an archive."""
    body = archive.read_bytes() if archive is not None else content
    door.client("s3").put_object(Bucket="data", Key=f"models/{name}.tar.gz", Body=body)
    door.client("sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={"Image": "polyadic", "ModelDataUrl": f"s3://data/models/{name}.tar.gz"},
        ExecutionRoleArn=ROLE,
    )


def make_config(door: Door, name: str, **variants: tuple[str, float, int]) -> None:
    """A configuration: for each variant its model, its weight and its number of instances."""
    door.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": variant,
                "ModelName": model,
                "InitialInstanceCount": count,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": weight,
            }
            for variant, (model, weight, count) in variants.items()
        ],
    )


def asked(door: Door, endpoint: str, body: bytes = b"{}", **parameters: str) -> tuple[str, dict[str, Any]]:
    """The variant that answered, and the stand-in's echo."""
    answer = door.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=body, **parameters)
    return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())
