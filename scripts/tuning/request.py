"""A tuning job of a recipe: its objective, and the CreateHyperParameterTuningJob request."""

import argparse
import math
from typing import Any

from scripts.aws import UsageError, warn
from scripts.recipe import Recipe, request
from scripts.schema import Specification
from scripts.tuning.ranges import example, parameter_ranges, tunable

DEFAULT_JOBS = 10
STRATEGIES = ("Bayesian", "Random", "Hyperband", "Grid")
DEFINITION = (
    "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableManagedSpotTraining",
)  # fmt: skip


def objective(metric: str | None, recipe: Recipe, specification: Specification) -> dict[str, str]:
    """The metric to tune for and its direction: the one that is named, or the only one that the schema offers."""
    offered = {entry["MetricName"]: entry for entry in specification.get("SupportedTuningJobObjectiveMetrics") or []}
    known = ", ".join(offered) or "none"
    if metric is None and len(offered) != 1:
        raise UsageError(f"say with --objective what to tune for; allowed are {known}")
    name = metric or next(iter(offered))
    if name not in offered:
        raise UsageError(f"got objective {name!r}; allowed are {known}")
    channel = name.partition(":")[0]
    is_channel = channel in {entry["Name"] for entry in specification["TrainingChannels"]}
    if is_channel and channel not in recipe.channels:
        raise UsageError(f"objective {name!r} is measured on the channel {channel!r}; add it under `channels`")
    return {"Type": offered[name]["Type"], "MetricName": name}


def ranges(arguments: argparse.Namespace, recipe: Recipe, specification: Specification) -> dict[str, Any]:
    """The ranges that are given; a UsageError with an example where there are none, for the schema's search nothing."""
    given = recipe.hyperparameter_strings()
    if not arguments.tune:
        names = sorted(entry["Name"] for entry in tunable(specification))
        if not names:
            raise UsageError(f"algorithm {given['algorithm']!r} has no hyperparameter to tune; use scripts.train")
        raise UsageError(
            f"say with --tune what to tune and between which ends, for the schema's ranges are as wide as "
            f"numbers go; tunable are {', '.join(names)}; for example {example(specification, given)}"
        )
    return parameter_ranges(arguments.tune, specification)


def tuning_request(
    arguments: argparse.Namespace, recipe: Recipe, name: str, specification: Specification
) -> dict[str, Any]:
    """The parameters of CreateHyperParameterTuningJob."""
    chosen = ranges(arguments, recipe, specification)
    names = {entry["Name"] for entries in chosen.values() for entry in entries}
    config = {
        "Strategy": arguments.strategy,
        "HyperParameterTuningJobObjective": objective(arguments.objective, recipe, specification),
        "ResourceLimits": _limits(arguments, chosen),
        "ParameterRanges": chosen,
        "TrainingJobEarlyStoppingType": "Auto" if arguments.early_stopping else "Off",
    }
    if arguments.seed is not None:
        config["RandomSeed"] = arguments.seed
    job = request(recipe, name, specification.get("MetricDefinitions", []))
    fixed = {key: value for key, value in recipe.hyperparameter_strings().items() if key not in names}
    _check_strategy(arguments, fixed)
    if recipe.checkpoints is not None:
        warn("the recipe's checkpoints are left out: the jobs of a tuning job would resume from one another's")
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": {member: job[member] for member in DEFINITION} | {"StaticHyperParameters": fixed},
        "Tags": job["Tags"],
    }


def _limits(arguments: argparse.Namespace, chosen: dict[str, Any]) -> dict[str, int]:
    if arguments.strategy != "Grid":
        jobs = arguments.jobs or DEFAULT_JOBS
        return {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": min(arguments.parallel, jobs)}
    for kind, entries in chosen.items():
        if kind != "CategoricalParameterRanges":
            name = entries[0]["Name"]
            raise UsageError(f"Grid tries every listed value, and {name!r} has a range; give --tune {name}=A,B,C")
    points = math.prod(len(entry["Values"]) for entry in chosen["CategoricalParameterRanges"])
    if arguments.jobs not in (None, points):
        raise UsageError(f"got --jobs {arguments.jobs}; this grid has {points} points and tries all: leave --jobs out")
    return {"MaxParallelTrainingJobs": min(arguments.parallel, points)}


def _check_strategy(arguments: argparse.Namespace, fixed: dict[str, str]) -> None:
    if arguments.strategy == "Hyperband":
        if arguments.early_stopping:
            raise UsageError("Hyperband ends jobs early by itself; leave --early-stopping out")
        if "epochs" not in fixed:
            raise UsageError("Hyperband deals out epochs, and the recipe sets no `epochs`; use another --strategy")
