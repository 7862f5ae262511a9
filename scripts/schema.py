"""What an algorithm accepts, as `python -m polyadic schema NAME` prints it."""

import json
import subprocess
import sys
from typing import Any

from scripts.aws import CommandError, UsageError, nearest

Specification = dict[str, Any]


def training_specification(algorithm: str) -> Specification:
    """The algorithm's CreateAlgorithm TrainingSpecification, asked of the package in a process of its own."""
    command = [sys.executable, "-m", "polyadic", "schema", algorithm]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        said = process.stderr.strip().splitlines() or ["nothing on stderr"]
        raise UsageError(f"`python -m polyadic schema {algorithm}` failed: {said[-1]}")
    try:
        specification: Specification = json.loads(process.stdout)["TrainingSpecification"]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"`python -m polyadic schema {algorithm}` printed no TrainingSpecification") from error
    return specification


def check_hyperparameters(given: dict[str, str], specification: Specification) -> None:
    """A UsageError for a name that the algorithm does not know, or a required one that is not given."""
    supported = {entry["Name"]: entry for entry in specification["SupportedHyperParameters"]}
    for name in given:
        # SageMaker and its SDKs add sagemaker_* and _* themselves; the container ignores them.
        if name not in supported and name != "algorithm" and not name.startswith(("_", "sagemaker_")):
            raise UsageError(f"unknown hyperparameter {name!r}; {nearest(name, supported)}")
    for name, entry in supported.items():
        if entry.get("IsRequired") and name not in given and name != "algorithm":
            raise UsageError(f"hyperparameter {name!r} is required and not given; add it under `hyperparameters`")


def check_channels(modes: dict[str, str], specification: Specification) -> None:
    """A UsageError for a channel, or an input mode of a channel, that the algorithm does not take."""
    supported = {entry["Name"]: entry for entry in specification["TrainingChannels"]}
    for name, mode in modes.items():
        if name not in supported:
            raise UsageError(f"unknown channel {name!r}; {nearest(name, supported)}")
        allowed = supported[name].get("SupportedInputModes", [mode])
        if mode not in allowed:
            raise UsageError(f"channel {name!r}: input_mode {mode} is not supported; use {' or '.join(allowed)}")
    for name, entry in supported.items():
        if entry.get("IsRequired") and name not in modes:
            raise UsageError(f"channel {name!r} is required and not given; add it under `channels`")
