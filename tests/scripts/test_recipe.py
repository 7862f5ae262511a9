"""The YAML recipe: what it becomes, and what each mistake in it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Recipe = Callable[..., str]
Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]


def test_a_whole_recipe_becomes_one_legal_call(recipe: Recipe, command: Command, calls: Calls) -> None:
    path = recipe(
        instance_count=2,
        volume_gb=50,
        max_run_seconds=100,
        max_wait_seconds=200,
        spot=True,
        checkpoints="s3://bucket/checkpoints/",
        channels={
            "train": {
                "uri": "s3://bucket/train/",
                "content_type": "application/x-npy",
                "input_mode": "FastFile",
                "distribution": "ShardedByS3Key",
            }
        },
        hyperparameters={"algorithm": "cp", "rank": 3, "stop_tol": 1e-8, "max_iterations": "20"},
        tags={"project": "polyadic", "year": 2026},
        network_isolation=True,
    )
    code, out, err = command("train", path, "--dry-run")
    assert (code, err) == (0, "")
    (call,) = calls(out)
    assert call["operation"] == "CreateTrainingJob"
    given = call["parameters"]
    job = given["TrainingJobName"]
    assert job.startswith("cp-test-")
    assert given["HyperParameters"] == {
        "algorithm": "cp",
        "rank": "3",
        "stop_tol": "1e-08",
        "max_iterations": "20",
    }
    assert given["InputDataConfig"] == [
        {
            "ChannelName": "train",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://bucket/train/",
                    "S3DataDistributionType": "ShardedByS3Key",
                }
            },
            "InputMode": "FastFile",
            "ContentType": "application/x-npy",
        }
    ]
    assert given["ResourceConfig"] == {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 50,
    }
    assert given["StoppingCondition"] == {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200}
    assert given["EnableManagedSpotTraining"] is True and given["EnableNetworkIsolation"] is True
    checkpoints = {"S3Uri": f"s3://bucket/checkpoints/{job}", "LocalPath": "/opt/ml/checkpoints"}
    assert given["CheckpointConfig"] == checkpoints
    assert given["Tags"] == [{"Key": "project", "Value": "polyadic"}, {"Key": "year", "Value": "2026"}]
    definitions = given["AlgorithmSpecification"]["MetricDefinitions"]
    assert definitions == [{"Name": "train:relative_error", "Regex": "train relative_error <loss>=(\\S+)"}]


def test_every_kind_of_hyperparameter_becomes_a_string(recipe: Recipe, command: Command, calls: Calls) -> None:
    values = {"sagemaker_program": "train.py", "flag": True, "list": [0.1, 0.5], "text": "student-T"}
    _, out, _ = command("train", recipe(hyperparameters=values), "--dry-run")
    given = calls(out)[0]["parameters"]["HyperParameters"]
    assert given == {
        "sagemaker_program": "train.py",
        "flag": "true",
        "list": "[0.1, 0.5]",
        "text": "student-T",
    }


def test_image_and_role_of_the_command_line_come_first(recipe: Recipe, command: Command, calls: Calls) -> None:
    role = "arn:aws:iam::999999999999:role/Other"
    _, out, _ = command("train", recipe(image=None), "--dry-run", "--image", "other:1", "--role", role)
    given = calls(out)[0]["parameters"]
    assert given["AlgorithmSpecification"]["TrainingImage"] == "other:1"
    assert given["RoleArn"] == role


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instance_cout": 2}, "unknown key 'instance_cout'; did you mean 'instance_count'?"),
        (
            {"channels": {"train": {"uri": "s3://b/t", "contenttype": "x"}}},
            "unknown key 'channels.train.contenttype'; did you mean 'content_type'?",
        ),
        ({"output": None}, "the key 'output' is required and not given"),
        ({"channels": {"train": {}}}, "the key 'channels.train.uri' is required"),
        ({"output": "bucket/models"}, "output: got 'bucket/models'; allowed is an S3 address"),
        ({"role": "admin"}, "role: got 'admin'; allowed is a role's ARN"),
        ({"name": "cp_test"}, "name: got 'cp_test'; allowed are 63 letters, digits and inner hyphens"),
        ({"instance_count": 0}, "instance_count: got 0; Input should be greater than or equal to 1"),
        ({"max_run_seconds": "long"}, "max_run_seconds: got 'long'; Input should be a valid integer"),
        (
            {"channels": {"train": {"uri": "s3://b/t", "input_mode": "Fast"}}},
            "channels.train.input_mode: got 'Fast'; Input should be 'File', 'FastFile' or 'Pipe'",
        ),
        ({"spot": True}, "spot needs max_wait_seconds of at least max_run_seconds (86400)"),
        ({"spot": True, "max_run_seconds": 9, "max_wait_seconds": 8}, "of at least max_run_seconds (9)"),
        ({"spot": True, "max_run_seconds": 9, "max_wait_seconds": 9}, "spot needs checkpoints"),
        ({"max_wait_seconds": 9}, "max_wait_seconds is for spot instances only"),
    ],
)
def test_a_mistake_is_named(recipe: Recipe, command: Command, changes: dict[str, Any], words: str) -> None:
    code, out, err = command("train", recipe(**changes), "--dry-run")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_hyperparameter_without_a_value(recipe: Recipe, command: Command) -> None:
    code, _, err = command("train", recipe(hyperparameters={"algorithm": "cp", "rank": None}), "--dry-run")
    assert code == 2
    assert "hyperparameter 'rank' has no value; give one or take it out" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name: [", "is not YAML"),
        ("- name", "must hold keys and values; known are channels, checkpoints"),
        ("", "must hold keys and values"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, command: Command, content: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    code, _, err = command("train", str(path))
    assert code == 2
    assert words in err


def test_a_recipe_that_is_not_there(command: Command) -> None:
    code, _, err = command("train", "absent.yaml")
    assert code == 2
    assert err == "error: cannot read the recipe absent.yaml: No such file or directory\n"
