"""A recipe against the algorithm's schema, and the example recipes against the package's real one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Recipe = Callable[..., str]
Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]

RECIPES = Path(__file__).resolve().parents[2] / "scripts" / "recipes"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"hyperparameters": {"algorithm": "cp", "rank": 3, "max_iteration": 5}},
            "unknown hyperparameter 'max_iteration'; did you mean 'max_iterations'?",
        ),
        ({"hyperparameters": {"algorithm": "cp"}}, "hyperparameter 'rank' is required and not given"),
        ({"hyperparameters": {"rank": 3}}, "hyperparameter 'algorithm' is required"),
        ({"hyperparameters": {"algorithm": "pc"}}, "UserError: unknown algorithm 'pc'; known are cp"),
        ({"channels": {"tain": {"uri": "s3://b/t"}}}, "unknown channel 'tain'; did you mean 'train'?"),
        ({"channels": {}}, "channel 'train' is required and not given"),
        (
            {"channels": {"train": {"uri": "s3://b/t", "input_mode": "Pipe"}}},
            "channel 'train': input_mode Pipe is not supported; use File or FastFile",
        ),
    ],
)
def test_a_mistake_is_named(recipe: Recipe, command: Command, changes: dict[str, Any], words: str) -> None:
    code, out, err = command("train", recipe(**changes), "--dry-run")
    assert (code, out) == (2, "")
    assert words in err


def test_the_keys_that_sdks_add_are_let_through(recipe: Recipe, command: Command) -> None:
    given = {"algorithm": "cp", "rank": 3, "sagemaker_region": "us-east-1", "_tuning_objective_metric": ""}
    code, _, err = command("train", recipe(hyperparameters=given), "--dry-run")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("text", ["not JSON", json.dumps({"Other": 1}), "[]"])
def test_a_schema_that_is_none(recipe: Recipe, command: Command, schema: Path, text: str) -> None:
    schema.write_text(text)
    code, _, err = command("train", recipe(), "--dry-run")
    assert code == 1
    assert err == "error: `python -m polyadic schema cp` printed no TrainingSpecification\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name for path in sorted(RECIPES.glob("*.yaml"))])
def test_an_example_recipe_is_legal_by_the_real_schema(command: Command, calls: Calls, name: str) -> None:
    code, out, err = command("train", str(RECIPES / name), "--dry-run")
    assert (code, err) == (0, "")
    (call,) = calls(out)
    assert call["parameters"]["AlgorithmSpecification"]["MetricDefinitions"]


def test_the_examples_show_one_cpu_host_and_two_gpu_spot_hosts() -> None:
    from scripts.recipe import read_recipe

    cp, forecaster = (read_recipe(RECIPES / name, {}) for name in ("cp.yaml", "forecaster.yaml"))
    assert (cp.instance_type, cp.instance_count, cp.spot) == ("ml.m5.xlarge", 1, False)
    assert (forecaster.instance_type, forecaster.instance_count) == ("ml.g5.xlarge", 2)
    assert forecaster.spot and forecaster.checkpoints
