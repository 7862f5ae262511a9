"""The clients of AWS's users: what would run on AWS runs here, with the variables that `up` writes and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.image_sdk import HERE, NOWHERE, REPOSITORY, client_python, sdk_python
from tests.local_mode.front_door.conftest import Door, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCRIPTS = HERE / "scripts"
RECIPE = """\
name: mine
image: polyadic
role: arn:aws:iam::123456789012:role/SageMakerRole
instance_type: ml.m5.large
channels:
  train: {uri: s3://mine/data}
output: s3://mine/out
hyperparameters: {algorithm: cp, rank: 2, max_iterations: 3}
"""


def environment(door: Door) -> dict[str, str]:
    """What a user's shell has once it has sourced the file that `up` names; what would leave this machine fails."""
    words = [shlex.split(line) for line in (door.state / "environment").read_text().splitlines()]
    variables = dict(assignment.split("=", 1) for _, assignment in words)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME")}
    own = {"HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1", "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    own["PYTHONPATH"] = str(REPOSITORY / "tests" / "helpers" / "impatient")
    return inherited | variables | own


def run(door: Door, folder: Path, *command: str | Path, code: int = 0) -> str:
    """What a command prints that must end with an exit code."""
    ended = subprocess.run(
        [str(word) for word in command], env=environment(door), cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stdout[-6000:]
    return ended.stdout


def test_sdk2_trains_deploys_and_updates_under_load(open_door: Callable[..., Any], tmp_path: Path) -> None:
    with open_door() as door:
        printed = run(door, tmp_path, sdk_python(2), SCRIPTS / "front_door_sdk2.py", "{}", "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["status"] == "Completed" and found["metrics"] == {"error": pytest.approx(1 / 3)}
    assert found["model"].startswith("s3://sagemaker-us-east-1-123456789012/")
    assert found["answers"] == [{"predictions": [{"value": 21.5}]}] * 2
    assert found["asked"] > 20 and found["failed"] == []
    assert "hello from algo-1" in printed


def test_the_example_trains_and_shifts_traffic_with_the_real_container(tmp_path: Path) -> None:
    with opened(tmp_path / "state", REPOSITORY / "container") as door:
        printed = run(door, REPOSITORY, sdk_python(2), "examples/fit_and_deploy.py")
    answer = json.loads(next(line for line in printed.splitlines() if "predictions" in line).lstrip("-!."))
    assert isinstance(answer["predictions"][0]["value"], float) and len(answer["predictions"][1]["top"]) == 3
    assert "{'A': 0.9, 'B': 0.9}" in printed


def test_sdk2_tunes_captures_registers_waits_and_transforms(open_door: Callable[..., Any], tmp_path: Path) -> None:
    with open_door() as door:
        run(door, tmp_path, sdk_python(2), SCRIPTS / "front_door_sdk2_more.py", "{}", "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    one = {"predictions": [{"value": 21.5}]}
    assert found["tuned"][0] == 4 and found["best"] == [True, True]
    assert found["answer"] == found["registered"] == one and found["captured"] == 1
    assert found["later"] == {"predictions": [{"value": 21.5}] * 2}
    assert found["models"] == ["1.tar.gz", "2.tar.gz"] and found["many"] == [1, 2]
    assert found["transformed"] == "a,2.0\nb,4.0\n"


def test_sdk3_trains_and_deploys_by_resources(open_door: Callable[..., Any], tmp_path: Path) -> None:
    with open_door() as door:
        printed = run(door, tmp_path, sdk_python(3), SCRIPTS / "front_door_sdk3.py", "{}", "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["status"] == "Completed" and found["jobs"] == 1
    assert found["model"].startswith("s3://sagemaker-us-east-1-123456789012/")
    assert found["answers"] == [[name, {"predictions": [{"value": 21.5}]}] for name in ("a", "b")]
    assert "hello from algo-2" in printed


def test_the_aws_cli_trains_and_deploys(open_door: Callable[..., Any], tmp_path: Path) -> None:
    aws = client_python("awscli").with_name("aws")
    with open_door() as door:
        run(door, tmp_path, "bash", SCRIPTS / "front_door_awscli.sh", aws, "answers")
    answers = {file.name: file.read_text() for file in (tmp_path / "answers").iterdir()}
    assert json.loads(answers["status"]) == "Completed" and json.loads(answers["left"]) == 0
    assert "hello from algo-1" in json.loads(answers["lines"])
    assert json.loads(answers["answer"]) == {"predictions": [{"value": 21.5}]}
    assert "data/table.csv" in answers["listed"] and "20000000 large" in answers["listed"]
    assert (tmp_path / "mirrored" / "data" / "table.csv").read_text() == "1,2,3\n"


def test_our_own_commands_train_deploy_and_shift_traffic(open_door: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    command = [sys.executable, "-m"]
    with open_door() as door:
        printed = run(door, REPOSITORY, *command, "scripts.build_and_push", "--image", "polyadic:any")
        assert "not pushed: AWS_ENDPOINT_URL is http://127.0.0.1" in printed and printed.endswith("\npolyadic:any\n")
        s3 = door.client("s3")
        s3.create_bucket(Bucket="mine")
        s3.put_object(Bucket="mine", Key="data/table.csv", Body=b"1,2,3\n")
        printed = run(door, REPOSITORY, *command, "scripts.train", tmp_path / "recipe.yaml", "--poll", "0.2")
        artifact = printed.splitlines()[-1]
        assert artifact.startswith("s3://mine/out/mine-") and "algo-1 | hello from algo-1" in printed
        role = "arn:aws:iam::123456789012:role/SageMakerRole"
        options = ["--endpoint", "ab", "--image", "polyadic", "--role", role, "--poll", "0.2"]
        variants = ["--variant", f"A={artifact}:0.9", "--variant", f"B={artifact}:0.1"]
        captured = ["--capture", "s3://mine/captured"]
        kept = ["--history", str(tmp_path / "weights.jsonl")]
        printed = run(door, REPOSITORY, *command, "scripts.deploy", *options, *variants, *captured, *kept)
        assert "endpoint ab: A 0.9 (90.0%), B 0.1 (10.0%)" in printed
        shift = ["--poll", "0.2", *kept]
        run(door, REPOSITORY, *command, "scripts.traffic", "split", "ab", "A=0.5", "B=0.5", *shift)
        described = door.client("sagemaker").describe_endpoint(EndpointName="ab")
        assert [each["CurrentWeight"] for each in described["ProductionVariants"]] == [0.5, 0.5]
        run(door, REPOSITORY, *command, "scripts.teardown", "ab", "--poll", "0.2")
        assert door.client("sagemaker").list_models()["Models"] == []
