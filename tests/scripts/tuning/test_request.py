"""The request of a tuning job: objective, limits, fixed hyperparameters, and what a strategy asks for."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import UsageError
from scripts.recipe import read_recipe
from scripts.tuning.ranges import tuned
from scripts.tuning.request import objective, tuning_request
from tests.scripts.tuning.test_ranges import entry

Recipe = Callable[..., str]
ERROR, RMSE = (
    {"Type": "Minimize", "MetricName": "train:error"},
    {"Type": "Maximize", "MetricName": "test:score"},
)
SPECIFICATION = {
    "SupportedHyperParameters": [
        entry("rank", "Integer", "1", "100"),
        entry("epochs", "Integer", "1", "100"),
        entry("seed", "Integer", "0", "100", is_tunable=False),
    ],
    "TrainingChannels": [{"Name": "train"}, {"Name": "test"}],
    "SupportedTuningJobObjectiveMetrics": [ERROR],
    "MetricDefinitions": [{"Name": "train:error", "Regex": "error=(.*)"}],
}
BOTH = SPECIFICATION | {"SupportedTuningJobObjectiveMetrics": [ERROR, RMSE]}
FIXED = {"algorithm": "cp", "rank": 3, "epochs": 9}


def given(*tune: str, **more: Any) -> argparse.Namespace:
    """The arguments of a tuning."""
    unsaid = {"objective": None, "strategy": "Bayesian", "jobs": None, "parallel": 2, "early_stopping": False}
    return argparse.Namespace(tune=[tuned(text) for text in tune], **(unsaid | {"seed": None} | more))


def asked(path: str, *tune: str, **more: Any) -> dict[str, Any]:
    """The request for a recipe."""
    return tuning_request(given(*tune, **more), read_recipe(Path(path), {}), "name", SPECIFICATION)


def test_a_request_has_the_recipe_and_the_ranges(recipe: Recipe) -> None:
    path = recipe(hyperparameters=FIXED, tags={"project": "p"})
    request = asked(path, "rank=2:20", early_stopping=True, seed=7, jobs=5, parallel=9)
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    ranges = [{"Name": "rank", "MinValue": "2", "MaxValue": "20", "ScalingType": "Auto"}]
    assert config == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": ERROR,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 5},
        "ParameterRanges": {"IntegerParameterRanges": ranges},
        "TrainingJobEarlyStoppingType": "Auto",
        "RandomSeed": 7,
    }
    assert definition["StaticHyperParameters"] == {"algorithm": "cp", "epochs": "9"}
    assert definition["AlgorithmSpecification"]["MetricDefinitions"] == SPECIFICATION["MetricDefinitions"]
    assert request["Tags"] == [{"Key": "project", "Value": "p"}]


def test_ten_jobs_are_the_default(recipe: Recipe) -> None:
    request = asked(recipe(), "rank=2:20")
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 2}
    assert "RandomSeed" not in request["HyperParameterTuningJobConfig"]


def test_checkpoints_are_left_out_with_a_warning(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe(spot=True, max_wait_seconds=100_000, checkpoints="s3://bucket/checkpoints")
    definition = asked(path, "rank=2:20")["TrainingJobDefinition"]
    assert "CheckpointConfig" not in definition and definition["EnableManagedSpotTraining"]
    assert capsys.readouterr().err.startswith(
        "warning: the recipe's checkpoints are left out: the jobs of a tuning job"
    )


def test_without_ranges_an_example_is_given(recipe: Recipe) -> None:
    with pytest.raises(UsageError) as refusal:
        asked(recipe())
    assert str(refusal.value).endswith("tunable are epochs, rank; for example --tune rank=1:6")
    nothing = SPECIFICATION | {"SupportedHyperParameters": []}
    with pytest.raises(UsageError, match="algorithm 'cp' has no hyperparameter to tune; use scripts.train"):
        tuning_request(given(), read_recipe(Path(recipe()), {}), "name", nothing)


def test_the_objective_is_the_only_one_or_is_named(recipe: Recipe) -> None:
    read = read_recipe(Path(recipe(channels={name: {"uri": "s3://bucket/x"} for name in ("train", "test")})), {})
    assert objective(None, read, SPECIFICATION) == ERROR
    assert objective("test:score", read, BOTH) == RMSE
    with pytest.raises(UsageError, match="say with --objective what to tune for; allowed are train:error, test:score"):
        objective(None, read, BOTH)
    with pytest.raises(UsageError, match="got objective 'loss'; allowed are train:error"):
        objective("loss", read, SPECIFICATION)
    with pytest.raises(UsageError, match="allowed are none"):
        objective(None, read, SPECIFICATION | {"SupportedTuningJobObjectiveMetrics": []})


def test_an_objective_needs_its_channel(recipe: Recipe) -> None:
    read = read_recipe(Path(recipe()), {})
    with pytest.raises(UsageError, match="objective 'test:score' is measured on the channel 'test'; add it under"):
        objective("test:score", read, BOTH)


def test_a_grid_tries_every_point(recipe: Recipe) -> None:
    request = asked(recipe(), "rank=1,2,3", "epochs=5,6", strategy="Grid", parallel=20)
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxParallelTrainingJobs": 6}
    with pytest.raises(UsageError, match="Grid tries every listed value, and 'rank' has a range; give --tune rank=A"):
        asked(recipe(), "rank=1:3", strategy="Grid")
    with pytest.raises(UsageError, match="got --jobs 3; this grid has 2 points and tries all: leave --jobs out"):
        asked(recipe(), "rank=1,2", strategy="Grid", jobs=3)


def test_hyperband_deals_out_epochs(recipe: Recipe) -> None:
    path = recipe(hyperparameters=FIXED)
    assert asked(path, "rank=1:3", strategy="Hyperband")["HyperParameterTuningJobConfig"]["Strategy"] == "Hyperband"
    with pytest.raises(UsageError, match="Hyperband ends jobs early by itself; leave --early-stopping out"):
        asked(path, "rank=1:3", strategy="Hyperband", early_stopping=True)
    with pytest.raises(UsageError, match="Hyperband deals out epochs, and the recipe sets no `epochs`"):
        asked(recipe(), "rank=1:3", strategy="Hyperband")
