"""`python -m scripts.train RECIPE.yaml`: start a training job, follow it, end with its artifact."""

import argparse
from pathlib import Path
from typing import Any

from scripts.aws import (
    CommandError,
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
from scripts.follow import follow
from scripts.recipe import Recipe, read_recipe, request
from scripts.schema import check_channels, check_hyperparameters, training_specification


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.train",
        description="Start a training job from a YAML recipe; the last line is its artifact's address.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "train scripts/recipes/cp.yaml --image IMAGE-URI --role arn:aws:iam::123456789012:role/SageMakerExecution",
        ),
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml", help="examples are in scripts/recipes/")
    parser.add_argument("--image", help="image URI, in place of the recipe's")
    parser.add_argument("--role", type=role_arn, help="role ARN, in place of the recipe's")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print the status and the log until the job ends (the default)",
    )
    return parser


def train(arguments: argparse.Namespace) -> int:
    """Start the job of a recipe and, unless told otherwise, follow it to its end."""
    overrides = {key: getattr(arguments, key) for key in ("image", "role") if getattr(arguments, key)}
    recipe = read_recipe(arguments.recipe, overrides)
    metrics = _metric_definitions(recipe)
    job = f"{shorten(recipe.name, 45)}-{stamp()}"
    sagemaker = client("sagemaker", arguments, {})
    sagemaker.create_training_job(**request(recipe, job, metrics))
    if arguments.dry_run:
        return 0
    say(f"job {job}: created")
    if arguments.follow:
        logs = client("logs", arguments, {})
        print(_artifact(follow(sagemaker, logs, job, arguments.poll)))
    return 0


def _metric_definitions(recipe: Recipe) -> list[dict[str, str]]:
    given = recipe.hyperparameter_strings()
    if "sagemaker_program" in given:
        return []  # a user's own script: its hyperparameters, channels and metrics are its own affair
    if "algorithm" not in given:
        raise UsageError("hyperparameter 'algorithm' is required: the metrics come from its schema")
    specification = training_specification(given["algorithm"])
    check_hyperparameters(given, specification)
    check_channels({name: channel.input_mode for name, channel in recipe.channels.items()}, specification)
    metrics: list[dict[str, str]] = specification.get("MetricDefinitions", [])
    return metrics


def _artifact(description: dict[str, Any]) -> str:
    """The S3 address of what the job made; a CommandError where the job did not complete."""
    job, status = description["TrainingJobName"], description["TrainingJobStatus"]
    artifact = description.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    if status == "Completed":
        return str(artifact)
    if status == "Stopped":
        left = f"its model so far is {artifact}" if artifact else "it left no model"
        raise CommandError(f"job {job} was stopped ({description['SecondaryStatus']}); {left}")
    raise CommandError(f"job {job} failed: {failure(description)}")


if __name__ == "__main__":
    main(train, parser())
