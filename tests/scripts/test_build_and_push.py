"""Building and pushing: moto's ECR, and a `docker` that writes down how it was called."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DOCKER = """#!{python}
import json, os, sys
entry = {{"argv": sys.argv[1:], "attestations": os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")}}
if "--password-stdin" in sys.argv:
    entry["password"] = sys.stdin.read()
with open({log!r}, "a") as file:
    file.write(json.dumps(entry) + "\\n")
print("docker's own output")
sys.exit(7 if sys.argv[1] == {fails!r} else 0)
"""

Docker = Callable[..., Callable[[], list[dict[str, Any]]]]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Put a recording `docker` first on PATH, of which one subcommand may fail."""

    def install(fails: str = "") -> Callable[[], list[dict[str, Any]]]:
        folder, log = tmp_path / "bin", tmp_path / "docker.jsonl"
        folder.mkdir()
        program = folder / "docker"
        program.write_text(DOCKER.format(python=sys.executable, log=str(log), fails=fails))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return install


@pytest.mark.slow
def test_an_image_is_built_and_pushed(docker: Docker, command: Command) -> None:
    called = docker()
    code, out, _ = command("build_and_push", "--tag", "v1")
    assert (code, out) == (0, f"{REGISTRY}/polyadic:v1\n")
    build, login, tag, push = called()
    assert build["argv"][0] == "build"
    assert build["argv"][-3:] == ["--tag", "polyadic:v1", str(ROOT)]
    assert build["attestations"] == "1"
    assert login["argv"][:4] == ["login", "--username", "AWS", "--password-stdin"]
    assert login["argv"][4].endswith(REGISTRY)
    assert login["password"]
    assert tag["argv"] == ["tag", "polyadic:v1", f"{REGISTRY}/polyadic:v1"]
    assert push["argv"] == ["push", f"{REGISTRY}/polyadic:v1"]
    assert boto3.client("ecr").describe_repositories(repositoryNames=["polyadic"])["repositories"]


def test_the_password_is_not_on_the_command_line(docker: Docker, command: Command) -> None:
    called = docker()
    command("build_and_push")
    password = called()[1]["password"]
    assert all(password not in argument for entry in called() for argument in entry["argv"])


def test_a_built_image_goes_to_a_repository_that_exists(docker: Docker, command: Command) -> None:
    called = docker()
    boto3.client("ecr").create_repository(repositoryName="team/tensors")
    code, out, _ = command("build_and_push", "--repository", "team/tensors", "--image", "mine:2")
    assert (code, out) == (0, f"{REGISTRY}/team/tensors:latest\n")
    assert [entry["argv"][0] for entry in called()] == ["login", "tag", "push"]
    assert called()[1]["argv"] == ["tag", "mine:2", f"{REGISTRY}/team/tensors:latest"]


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", []), ("arm64", ["--platform", "linux/amd64"])])
def test_the_image_is_for_sagemakers_hosts(
    docker: Docker, command: Command, monkeypatch: pytest.MonkeyPatch, machine: str, expected: list[str]
) -> None:
    called = docker()
    monkeypatch.setattr("scripts.build_and_push.platform.machine", lambda: machine)
    command("build_and_push")
    assert called()[0]["argv"][1:-3] == expected


@pytest.mark.parametrize("fails", ["build", "login", "push"])
def test_a_failure_of_docker_ends_the_command(docker: Docker, command: Command, fails: str) -> None:
    called = docker(fails)
    code, out, err = command("build_and_push")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: `docker {fails} ")
    assert err.endswith("` ended with exit code 7; its own message stands above\n")
    assert called()[-1]["argv"][0] == fails


def test_no_docker(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = command("build_and_push")
    assert code == 1
    assert err == "error: cannot run docker (No such file or directory); install it, or put it on PATH\n"


def test_a_dry_run_neither_calls_aws_nor_docker(command: Command, calls: Calls, nowhere: None) -> None:
    code, out, err = command("build_and_push", "--image", "mine:2", "--dry-run")
    assert code == 0
    names = [call["operation"] for call in calls(out)]
    assert names == ["DescribeRepositories", "CreateRepository", "GetAuthorizationToken"]
    assert [line.split()[:4] for line in err.splitlines()] == [
        ["would", "run:", "docker", verb] for verb in ("login", "tag", "push")
    ]
    assert "token" not in err
