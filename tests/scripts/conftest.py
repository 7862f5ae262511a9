"""A moto server in the place of AWS, botocore's Stubber for what moto has not, and a stand-in schema."""

import importlib
import json
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
import yaml
from botocore.stub import Stubber
from botocore.validate import ParamValidator
from moto.sagemaker.models import SageMakerModelBackend
from moto.server import ThreadedMotoServer

from scripts.aws import run as run_command

ROOT = Path(__file__).resolve().parents[2]
LOADER = botocore.loaders.create_loader()
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"

SCHEMA = {
    "TrainingSpecification": {
        "SupportedHyperParameters": [
            {"Name": "algorithm", "Type": "Categorical", "IsRequired": True},
            {"Name": "rank", "Type": "Integer", "IsRequired": True},
            {"Name": "max_iterations", "Type": "Integer", "IsRequired": False},
            {"Name": "stop_tol", "Type": "Continuous", "IsRequired": False},
        ],
        "TrainingChannels": [{"Name": "train", "IsRequired": True, "SupportedInputModes": ["File", "FastFile"]}],
        "MetricDefinitions": [{"Name": "train:relative_error", "Regex": "train relative_error <loss>=(\\S+)"}],
    }
}
STAND_IN = """
import json, pathlib, sys
if sys.argv[1:2] != ["schema"] or sys.argv[2] != "cp":
    sys.exit(f"UserError: unknown algorithm {sys.argv[2]!r}; known are cp")
print(pathlib.Path(__file__).with_name("schema.json").read_text())
"""


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """One moto server on loopback for the whole session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def cloud(moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty AWS account, its credentials in the environment, and an empty working directory."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.chdir(tmp_path)
    request = urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()
    # boto3 keeps its first session, with the credentials of the moment.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    # Each session would read SageMaker's model anew, half a second each time.
    monkeypatch.setattr("botocore.session.create_loader", lambda path: LOADER)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither credentials nor region, and a dead address for AWS: any call fails."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `python -m polyadic schema cp`; returns the file that it prints."""
    package = tmp_path / "stand-in" / "polyadic"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    (package / "schema.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package / "schema.json"


Answer = tuple[int, str, str]
Command = Callable[..., Answer]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(name: str, *argv: str) -> Answer:
        module = importlib.import_module(f"scripts.{name}")
        capsys.readouterr()
        try:
            code = run_command(getattr(module, name), module.parser(), argv)
        except SystemExit as stop:
            code = int(stop.code or 0)
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Stubber]]:
    """Stub a service: the commands get a client that answers only what the Stubber was told, in order."""
    stubbers: dict[str, Stubber] = {}
    make = boto3.client

    def stubbed(service: str) -> Stubber:
        stubbers[service] = Stubber(make(service, region_name="us-east-1"))
        stubbers[service].activate()
        return stubbers[service]

    def client(service: str, **options: Any) -> Any:
        return stubbers[service].client if service in stubbers else make(service, **options)

    monkeypatch.setattr(boto3, "client", client)
    yield stubbed
    for stubber in stubbers.values():
        stubber.assert_no_pending_responses()


Story = Callable[..., threading.Event]


def story(monkeypatch: pytest.MonkeyPatch, describe: str, kept: str) -> Story:
    """Give moto's resources a course: each `describe` turns to the next chapter, and stays at the last."""

    def tell(*chapters: dict[str, Any]) -> threading.Event:
        original = getattr(SageMakerModelBackend, describe)
        left, last = list(chapters), threading.Event()

        def describe_next(backend: SageMakerModelBackend, *args: str, **names: str) -> Any:
            (name,) = (*args, *names.values())
            if name in getattr(backend, kept):
                vars(getattr(backend, kept)[name]).update(left.pop(0) if len(left) > 1 else left[0])
                if len(left) == 1:
                    last.set()
            return original(backend, name)

        monkeypatch.setattr(SageMakerModelBackend, describe, describe_next)
        return last

    return tell


@pytest.fixture
def job_story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """The course of a training job, which moto completes the moment that it is created."""
    return story(monkeypatch, "describe_training_job", "training_jobs")


@pytest.fixture
def endpoint_story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """The course of an endpoint, which moto puts InService the moment that it is created."""
    return story(monkeypatch, "describe_endpoint", "endpoints")


@pytest.fixture
def calls() -> Callable[[str], list[dict[str, Any]]]:
    """Read the lines of a dry run, each checked to be a legal call by botocore's own model of the service."""

    def read(text: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            assert list(line) == ["service", "operation", "parameters"]
            model = botocore.session.Session().get_service_model(line["service"])
            shape = model.operation_model(line["operation"]).input_shape
            report = ParamValidator().validate(line["parameters"], shape)
            assert not report.has_errors(), report.generate_report()
            assert illegal(line["parameters"], shape) == []
        return lines

    return read


def illegal(value: Any, shape: Any, place: str = "") -> Sequence[str]:
    """What ParamValidator leaves to the service: greatest lengths, enumerations, patterns."""
    if shape.type_name == "structure":
        return [bad for key in value for bad in illegal(value[key], shape.members[key], f"{place}.{key}")]
    most = shape.metadata.get("max", sys.maxsize)
    if shape.type_name in ("list", "map", "string") and len(value) > most:
        return [f"{place} is longer than {most}"]
    if shape.type_name == "list":
        return [bad for entry in value for bad in illegal(entry, shape.member, place)]
    if shape.type_name == "map":
        return [bad for entry in value.values() for bad in illegal(entry, shape.value, place)]
    if shape.type_name != "string":
        return []
    pattern = shape.metadata.get("pattern", "")
    if shape.enum and value not in shape.enum:
        return [f"{place}: {value!r} is none of the enumeration"]
    # Java's character classes are not Python's.
    if pattern and "\\p" not in pattern and not re.fullmatch(pattern, value):
        return [f"{place}: {value!r} does not match {pattern}"]
    return []


@pytest.fixture
def recipe(tmp_path: Path, schema: Path) -> Callable[..., str]:
    """Write a small valid recipe for cp, with some of its keys changed (None takes a key out); its path."""

    def write(**changes: Any) -> str:
        content: dict[str, Any] = {
            "name": "cp-test",
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/polyadic:latest",
            "role": ROLE,
            "instance_type": "ml.m5.xlarge",
            "channels": {"train": {"uri": "s3://bucket/train/"}},
            "output": "s3://bucket/models",
            "hyperparameters": {"algorithm": "cp", "rank": 3},
        }
        content = {key: value for key, value in (content | changes).items() if value is not None}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write
