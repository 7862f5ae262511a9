"""`python -m scripts.tune RECIPE.yaml`: search for a recipe's best hyperparameters, end with the best artifact."""

import argparse
from pathlib import Path
from typing import Any

from scripts.aws import (
    CommandError,
    Invalid,
    UsageError,
    client,
    examples,
    main,
    poll_argument,
    role_arn,
    say,
    shared_arguments,
    shorten,
    stamp,
)
from scripts.endpoint import failure
from scripts.recipe import Recipe, read_recipe
from scripts.schema import Specification, check_channels, check_hyperparameters, training_specification
from scripts.tuning.follow import choices, follow_tuning
from scripts.tuning.ranges import tuned
from scripts.tuning.request import DEFAULT_JOBS, STRATEGIES, tuning_request

# SageMaker allows 32 characters, of which the stamp and its hyphen take 18.
NAME_CHARACTERS = 14


def whole(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not text.isdecimal():
        raise Invalid(f"got {text!r}; allowed is a whole number of 0 or more")
    return int(text)


def count(text: str) -> int:
    """Read a number of jobs."""
    if not text.isdecimal() or int(text) < 1:
        raise Invalid(f"got {text!r}; allowed is a whole number of 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.tune",
        description="Search for a recipe's best hyperparameters by many training jobs; "
        "the last line is the best job's artifact's address.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "tune scripts/recipes/cp.yaml --tune rank=2:40 --tune restarts=1,2,4 --jobs 20 --parallel 4",
            "tune scripts/recipes/cp.yaml --tune rank=4,8,16 --strategy Grid",
        ),
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml", help="examples are in scripts/recipes/")
    parser.add_argument("--image", help="image URI, in place of the recipe's")
    parser.add_argument("--role", type=role_arn, help="role ARN, in place of the recipe's")
    parser.add_argument(
        "--tune",
        type=tuned,
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="search between LOW and HIGH, by orders of magnitude with LOW:HIGH:log, or among values: NAME=A,B,C",
    )
    parser.add_argument("--objective", metavar="METRIC", help="what to tune for; default: the only one of the schema")
    parser.add_argument("--strategy", choices=STRATEGIES, default="Bayesian")
    parser.add_argument("--jobs", type=count, metavar="N", help=f"training jobs in all; default: {DEFAULT_JOBS}")
    parser.add_argument("--parallel", type=count, default=2, metavar="N", help="of them at the same time")
    parser.add_argument("--early-stopping", action="store_true", help="end jobs that fall behind")
    parser.add_argument("--seed", type=whole, metavar="N", help="the same choices again")
    return parser


def tune(arguments: argparse.Namespace) -> int:
    """Start the tuning job of a recipe, follow it to its end, and end with the best job's artifact."""
    overrides = {key: getattr(arguments, key) for key in ("image", "role") if getattr(arguments, key)}
    recipe = read_recipe(arguments.recipe, overrides)
    specification = _specification(recipe, {entry.name for entry in arguments.tune})
    name = f"{shorten(recipe.name, NAME_CHARACTERS)}-{stamp()}"
    request = tuning_request(arguments, recipe, name, specification)
    sagemaker = client("sagemaker", arguments, {})
    sagemaker.create_hyper_parameter_tuning_job(**request)
    if arguments.dry_run:
        return 0
    say(f"tuning job {name}: created")
    print(_best(sagemaker, follow_tuning(sagemaker, name, arguments.poll)))
    return 0


def _specification(recipe: Recipe, tuned_names: set[str]) -> Specification:
    """The algorithm's schema, which the recipe has been checked against."""
    given = recipe.hyperparameter_strings()
    if "algorithm" not in given:
        raise UsageError("hyperparameter 'algorithm' is required: what can be tuned comes from its schema")
    specification = training_specification(given["algorithm"])
    check_hyperparameters(given | dict.fromkeys(tuned_names & _names(specification), ""), specification)
    check_channels({name: channel.input_mode for name, channel in recipe.channels.items()}, specification)
    return specification


def _names(specification: Specification) -> set[str]:
    return {entry["Name"] for entry in specification["SupportedHyperParameters"]}


def _best(sagemaker: Any, description: dict[str, Any]) -> str:
    """The S3 address of the best job's artifact; a CommandError where the tuning did not complete."""
    name, status = description["HyperParameterTuningJobName"], description["HyperParameterTuningJobStatus"]
    best = description.get("BestTrainingJob")
    artifact = _artifact(sagemaker, best["TrainingJobName"]) if best else ""
    left = f"its best job is {best['TrainingJobName']}, with {artifact}" if best else "no job has told its objective"
    if status == "Stopped":
        raise CommandError(f"tuning job {name} was stopped; {left}")
    if status != "Completed" or not best:
        raise CommandError(f"tuning job {name} failed: {failure(description)}; {left}")
    reached = best["FinalHyperParameterTuningJobObjectiveMetric"]
    say(f"best job {best['TrainingJobName']}: {reached['MetricName']} {reached['Value']:g} with {choices(best)}")
    return artifact


def _artifact(sagemaker: Any, job: str) -> str:
    description = sagemaker.describe_training_job(TrainingJobName=job)
    return str(description.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""))


if __name__ == "__main__":
    main(tune, parser())
