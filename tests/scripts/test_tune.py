"""A tuning job: asked for as the recipe and --tune say, and each of its ends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from tests.scripts.conftest import SCHEMA
from tests.scripts.tuning.test_follow import ARN, NAME, description, job, look
from tests.scripts.tuning.test_ranges import entry

Recipe = Callable[..., str]
Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]
Stub = Callable[[str], Stubber]

ARTIFACT = f"s3://bucket/models/{NAME}-1/output/model.tar.gz"
FAST = ("--tune", "rank=2:20", "--poll", "0.01")
BEST = job(1, "Completed", 0.25)


@pytest.fixture(autouse=True)
def tunable(schema: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema with something to tune, and a name that is known beforehand."""
    specification: dict[str, Any] = dict(SCHEMA["TrainingSpecification"])
    rank = entry("rank", "Integer", "1", "2147483647") | {"IsRequired": True}
    others = [each for each in specification["SupportedHyperParameters"] if each["Name"] != "rank"]
    specification |= {
        "SupportedHyperParameters": [*others, rank],
        "SupportedTuningJobObjectiveMetrics": [{"Type": "Minimize", "MetricName": "train:relative_error"}],
    }
    schema.write_text(json.dumps({"TrainingSpecification": specification}))
    monkeypatch.setattr("scripts.tune.stamp", lambda: NAME.removeprefix("cp-"))


def started(stub: Stub) -> Stubber:
    """A client that expects the tuning job."""
    sagemaker = stub("sagemaker")
    answer = {"HyperParameterTuningJobArn": ARN}
    sagemaker.add_response("create_hyper_parameter_tuning_job", answer)
    return sagemaker


def expect_artifact(sagemaker: Stubber) -> None:
    """The question for the best job's artifact."""
    now = datetime.now(UTC)
    training = {
        "TrainingJobName": f"{NAME}-1",
        "TrainingJobArn": ARN,
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": ARTIFACT},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": now,
    }
    sagemaker.add_response("describe_training_job", training, {"TrainingJobName": f"{NAME}-1"})


def test_a_dry_run_prints_a_legal_request(recipe: Recipe, command: Command, calls: Calls, nowhere: None) -> None:
    argv = [
        recipe(name="a-recipe-of-a-long-name"),
        "--tune",
        "rank=2:20:log",
        "--early-stopping",
        "--seed",
        "3",
        "--dry-run",
    ]
    code, out, err = command("tune", *argv)
    assert (code, err) == (0, "")
    (call,) = calls(out)
    assert call["operation"] == "CreateHyperParameterTuningJob"
    assert len(call["parameters"]["HyperParameterTuningJobName"]) <= 32
    assert call["parameters"]["TrainingJobDefinition"]["StaticHyperParameters"] == {"algorithm": "cp"}


def test_image_and_role_are_taken_from_the_command_line(recipe: Recipe, command: Command, calls: Calls) -> None:
    role = "arn:aws:iam::123456789012:role/Other"
    _, out, _ = command("tune", recipe(), *FAST, "--image", "i:2", "--role", role, "--dry-run")
    definition = calls(out)[0]["parameters"]["TrainingJobDefinition"]
    assert (definition["AlgorithmSpecification"]["TrainingImage"], definition["RoleArn"]) == ("i:2", role)


def test_it_ends_with_the_best_job_s_artifact(recipe: Recipe, command: Command, stub: Stub) -> None:
    sagemaker = started(stub)
    look(sagemaker, description("Completed", 0, 1, 0, 0, best=BEST), BEST)
    expect_artifact(sagemaker)
    code, out, err = command("tune", recipe(name="cp"), *FAST)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith(f"tuning job {NAME}: created")
    assert lines[-2].endswith(f"best job {NAME}-1: train:error 0.25 with rank=1 tol=0.1")
    assert lines[-1] == ARTIFACT


def test_a_required_hyperparameter_may_be_the_tuned_one(recipe: Recipe, command: Command, calls: Calls) -> None:
    path = recipe(hyperparameters={"algorithm": "cp"})
    assert command("tune", path, "--tune", "rank=2:9", "--dry-run")[0] == 0
    code, _, err = command("tune", path, "--tune", "max_iterations=2:9", "--dry-run")
    assert (code, "hyperparameter 'rank' is required" in err) == (2, True)


@pytest.mark.parametrize(
    ("status", "best", "more", "sentence"),
    [
        (
            "Failed",
            None,
            {"FailureReason": "ClientError: no."},
            "failed: ClientError: no; no job has told its objective",
        ),
        ("Completed", None, {}, "failed: AWS gives no reason; no job has told its objective"),
        ("Stopped", None, {}, "was stopped; no job has told its objective"),
        ("Stopped", BEST, {}, f"was stopped; its best job is {NAME}-1, with {ARTIFACT}"),
        ("Failed", BEST, {}, f"failed: AWS gives no reason; its best job is {NAME}-1, with {ARTIFACT}"),
    ],
)
def test_another_end_is_a_failure(
    recipe: Recipe, command: Command, stub: Stub, status: str, best: Any, more: dict[str, str], sentence: str
) -> None:
    sagemaker = started(stub)
    look(sagemaker, description(status, 0, 1, 0, 0, best=best, **more))
    if best:
        expect_artifact(sagemaker)
    code, _, err = command("tune", recipe(name="cp"), *FAST)
    assert (code, err) == (1, f"error: tuning job {NAME} {sentence}\n")


def test_a_refused_tuning_is_one_sentence(recipe: Recipe, command: Command, stub: Stub) -> None:
    members = ("HyperParameterTuningJobName", "HyperParameterTuningJobConfig", "TrainingJobDefinition", "Tags")
    expected = dict.fromkeys(members, ANY)
    stub("sagemaker").add_client_error(
        "create_hyper_parameter_tuning_job", "ResourceLimitExceeded", "Too many", expected_params=expected
    )
    code, out, err = command("tune", recipe(), *FAST)
    assert (code, out) == (1, "")
    assert err == "error: AWS refused CreateHyperParameterTuningJob: Too many (ResourceLimitExceeded)\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "tunable are rank; for example --tune rank=1:6"),
        (["--tune", "rank"], "got 'rank'; allowed is NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C"),
        (["--tune", "rnk=1:2"], "unknown hyperparameter 'rnk' to tune; did you mean 'rank'?"),
        (["--tune", "rank=1:2", "--objective", "loss"], "got objective 'loss'; allowed are train:relative_error"),
        (["--tune", "rank=1:2", "--jobs", "0"], "got '0'; allowed is a whole number of 1 or more"),
        (["--tune", "rank=1:2", "--parallel", "two"], "got 'two'; allowed is a whole number of 1 or more"),
        (["--tune", "rank=1:2", "--seed", "-1"], "got '-1'; allowed is a whole number of 0 or more"),
        (["--tune", "rank=1:2", "--strategy", "Best"], "invalid choice: 'Best'"),
    ],
)
def test_a_wrong_argument_is_named(recipe: Recipe, command: Command, argv: list[str], sentence: str) -> None:
    code, out, err = command("tune", recipe(), *argv)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_recipe_without_an_algorithm(recipe: Recipe, command: Command) -> None:
    code, _, err = command("tune", recipe(hyperparameters={"rank": 3}), *FAST)
    assert code == 2
    assert err == "error: hyperparameter 'algorithm' is required: what can be tuned comes from its schema\n"
