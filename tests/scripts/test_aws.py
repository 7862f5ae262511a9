"""What all commands share: dry runs without an account, and errors of AWS's as one sentence."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from scripts.aws import NAME_LIMIT, Rehearsal, nearest, resource_name, shorten

Recipe = Callable[..., str]
Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
NAMES = ["build_and_push", "train", "tune", "register", "approve", "deploy", "traffic", "teardown"]
DEPLOY = ["--endpoint", "ab", "--image", "i:1", "--role", ROLE, "--variant", "A=s3://bucket/a.tar.gz:0.9"]
DRY_RUNS = [
    ("deploy", DEPLOY, ["DescribeEndpoint", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]),
    ("deploy", [*DEPLOY, "--capture", "s3://bucket/capture"], None),
    ("deploy", [*DEPLOY, "--variant", "B=job:j", "--alarm"], None),
    ("approve", ["demand"], ["ListModelPackages", "DescribeModelPackage", "UpdateModelPackage"]),
    (
        "register",
        ["demand", "--job", "j"],
        [
            "DescribeTrainingJob",
            "DescribeImages",
            "ListObjectsV2",
            "ListModelPackages",
            "DescribeModelPackageGroup",
            "CreateModelPackageGroup",
            "PutObject",
            "CreateModelPackage",
        ],
    ),
    ("traffic", ["show", "ab"], ["DescribeEndpoint"]),
    ("traffic", ["split", "ab", "A=1"], ["DescribeEndpoint", "UpdateEndpointWeightsAndCapacities"]),
    (
        "teardown",
        ["ab"],
        [
            "DescribeEndpoint",
            "ListTags",
            "ListEndpointConfigs",
            "ListTags",
            "ListEndpoints",
            "ListModels",
            "ListTags",
            "DescribeEndpointConfig",
            "ListEndpointConfigs",
            "DescribeAlarms",
            "ListTagsForResource",
            "DeleteEndpoint",
            "DeleteAlarms",
            "DeleteEndpointConfig",
            "DeleteModel",
        ],
    ),
]


@pytest.mark.parametrize(("name", "argv", "operations"), DRY_RUNS)
def test_a_dry_run_prints_legal_calls_and_makes_none(
    command: Command, calls: Calls, nowhere: None, name: str, argv: list[str], operations: list[str] | None
) -> None:
    code, out, err = command(name, *argv, "--dry-run")
    assert (code, err) == (0, "")
    printed = [call["operation"] for call in calls(out)]
    assert printed and operations in (None, printed)


def test_a_dry_run_of_a_training_job_needs_no_account(
    command: Command, calls: Calls, nowhere: None, recipe: Recipe
) -> None:
    code, out, err = command("train", recipe(), "--dry-run")
    assert (code, err) == (0, "")
    assert [call["operation"] for call in calls(out)] == ["CreateTrainingJob"]


def test_a_rehearsal_refuses_what_botocore_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    rehearsal = Rehearsal("sagemaker", {})
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        rehearsal.describe_endpoint(EndpointNam="ab")
    assert not hasattr(rehearsal, "describe_everything")
    assert capsys.readouterr().out == ""


def test_no_region(command: Command, nowhere: None) -> None:
    code, _, err = command("traffic", "show", "ab")
    assert (code, err) == (1, "error: no AWS region is set; give --region, or set AWS_REGION\n")


def test_no_credentials(command: Command, nowhere: None) -> None:
    code, _, err = command("traffic", "show", "ab", "--region", "us-east-1")
    assert code == 1
    assert err == (
        "error: no usable AWS credentials (Unable to locate credentials); "
        "run `aws configure`, set AWS_PROFILE, or try --dry-run\n"
    )


def test_half_the_credentials(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, _, err = command("traffic", "show", "ab")
    assert code == 1
    assert err.startswith("error: no usable AWS credentials (Partial credentials found in env")


def test_an_unknown_profile(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    code, _, err = command("traffic", "show", "ab")
    assert (code, err) == (1, "error: The config profile (absent) could not be found\n")


def test_aws_out_of_reach(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    code, _, err = command("traffic", "show", "ab")
    assert (code, err) == (1, 'error: Could not connect to the endpoint URL: "http://127.0.0.1:9/"\n')


def test_the_region_of_the_environment_and_of_the_command_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("deploy", *DEPLOY, "--poll", "0.01")[0] == 0
    assert command("traffic", "show", "ab")[0] == 0
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert command("traffic", "show", "ab")[0] == 1
    assert command("traffic", "show", "ab", "--region", "us-east-1")[0] == 0


def test_ctrl_c_is_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(length: float) -> None:
        raise KeyboardInterrupt

    from moto.sagemaker.models import FakeEndpoint

    prepare = FakeEndpoint.__init__

    def create(endpoint: FakeEndpoint, *args: Any, **names: Any) -> None:
        prepare(endpoint, *args, **names)
        endpoint.endpoint_status = "Creating"

    monkeypatch.setattr(FakeEndpoint, "__init__", create)
    monkeypatch.setattr("scripts.endpoint.time.sleep", interrupt)
    code, _, err = command("deploy", *DEPLOY)
    assert (code, err) == (130, "error: interrupted; what AWS was already asked for goes on\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_command_runs_as_a_module_and_explains_itself(name: str) -> None:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"scripts.{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert f"usage: python -m scripts.{name}" in process.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_help_run(
    command: Command, nowhere: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, _ = command(name, "--help")
    found = re.findall(rf"^  python -m scripts\.{name} (.+)$", printed, re.M)
    assert code == 0 and found
    monkeypatch.chdir(ROOT)
    for example in found:
        history = ["--history", str(tmp_path / "weights.jsonl")] if "rollback" in example else []
        code, _, err = command(name, *shlex.split(example), "--dry-run", *history)
        assert code == 0 or (history and "holds no standing split of 'ab'" in err), (example, err)


@pytest.mark.parametrize("name", ["train", "tune", "register", "approve", "deploy", "traffic", "teardown"])
def test_a_command_without_its_arguments_is_bad_usage(command: Command, name: str) -> None:
    code, _, err = command(name)
    assert code == 2
    assert err.startswith("usage: ")


def test_scripts_reach_the_package_through_its_command_line_and_its_comparison_of_variants_only() -> None:
    code = (
        "import sys, scripts.build_and_push, scripts.train, scripts.traffic, scripts.teardown;"
        "inside = {name for name in sys.modules if name.startswith(('polyadic.', 'torch'))};"
        "sys.exit(any(not name.startswith('polyadic.variants') for name in inside))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@given(name=st.text("aZ09-", max_size=NAME_LIMIT), limit=st.integers(10, NAME_LIMIT))
def test_a_shortened_name_is_legal_and_within_its_limit(name: str, limit: int) -> None:
    name = name.strip("-") or "a"
    short = shorten(name, limit)
    assert resource_name(short) == short
    assert len(short) <= limit
    assert short == name or len(name) > limit


def test_names_that_share_a_beginning_stay_apart() -> None:
    assert shorten("x" * 40 + "1", 24) != shorten("x" * 40 + "2", 24)


def test_nearest_names_all_that_is_known() -> None:
    assert nearest("rnk", ["tol", "rank"]) == "did you mean 'rank'? known are rank, tol"
    assert nearest("zzz", ["tol", "rank"]) == "known are rank, tol"
