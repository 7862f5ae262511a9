"""A training job as a YAML recipe, and the CreateTrainingJob request that it stands for."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from scripts.aws import UsageError, nearest, resource_name, role_arn, s3_uri

S3Uri = Annotated[str, AfterValidator(s3_uri)]
DAYS_28 = 28 * 24 * 3600


class Channel(BaseModel):
    """Where a channel's data lies and how the hosts get it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: S3Uri
    content_type: str | None = None
    input_mode: Literal["File", "FastFile", "Pipe"] = "File"
    distribution: Literal["FullyReplicated", "ShardedByS3Key"] = "FullyReplicated"


class Recipe(BaseModel):
    """Everything that a training job needs; the keys of the YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: Annotated[str, AfterValidator(resource_name)]
    image: str
    role: Annotated[str, AfterValidator(role_arn)]
    instance_type: str
    instance_count: int = Field(1, ge=1)
    volume_gb: int = Field(30, ge=1)
    max_run_seconds: int = Field(24 * 3600, ge=1, le=DAYS_28)
    max_wait_seconds: int | None = Field(None, ge=1, le=DAYS_28)
    spot: bool = False
    checkpoints: S3Uri | None = None
    channels: dict[str, Channel]
    output: S3Uri
    hyperparameters: dict[str, Any]
    network_isolation: bool = False
    tags: dict[str, str] = {}

    @model_validator(mode="after")
    def _spot_is_whole(self) -> Self:
        if not self.spot:
            if self.max_wait_seconds is not None:
                raise ValueError("max_wait_seconds is for spot instances only; add `spot: true` or take it out")
        elif self.max_wait_seconds is None or self.max_wait_seconds < self.max_run_seconds:
            raise ValueError(f"spot needs max_wait_seconds of at least max_run_seconds ({self.max_run_seconds})")
        elif self.checkpoints is None:
            raise ValueError("spot needs checkpoints (an S3 address), or an interruption loses all the work")
        return self

    def hyperparameter_strings(self) -> dict[str, str]:
        """The hyperparameters as SageMaker takes them, all strings."""
        return {name: _as_string(name, value) for name, value in self.hyperparameters.items()}


def read_recipe(path: Path, overrides: dict[str, Any]) -> Recipe:
    """Read and check a recipe; what `overrides` gives takes the place of the file's."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold keys and values; {nearest('', Recipe.model_fields)}")
    try:
        return Recipe.model_validate(content | overrides)
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(_sentence(entry) for entry in error.errors())}") from error


def request(recipe: Recipe, job: str, metrics: list[dict[str, str]]) -> dict[str, Any]:
    """The parameters of CreateTrainingJob."""
    parameters: dict[str, Any] = {
        "TrainingJobName": job,
        "AlgorithmSpecification": {
            "TrainingImage": recipe.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": metrics,
        },
        "RoleArn": recipe.role,
        "HyperParameters": recipe.hyperparameter_strings(),
        "InputDataConfig": [_channel(name, channel) for name, channel in recipe.channels.items()],
        "OutputDataConfig": {"S3OutputPath": recipe.output},
        "ResourceConfig": {
            "InstanceType": recipe.instance_type,
            "InstanceCount": recipe.instance_count,
            "VolumeSizeInGB": recipe.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": recipe.max_run_seconds},
        "EnableNetworkIsolation": recipe.network_isolation,
        "EnableManagedSpotTraining": recipe.spot,
        "Tags": [{"Key": key, "Value": value} for key, value in recipe.tags.items()],
    }
    if recipe.max_wait_seconds is not None:
        parameters["StoppingCondition"]["MaxWaitTimeInSeconds"] = recipe.max_wait_seconds
    if recipe.checkpoints is not None:
        # Spot moves a job between machines; under its own name no other job resumes from these files.
        uri = f"{recipe.checkpoints.rstrip('/')}/{job}"
        parameters["CheckpointConfig"] = {"S3Uri": uri, "LocalPath": "/opt/ml/checkpoints"}
    return parameters


def _channel(name: str, channel: Channel) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": channel.uri,
        "S3DataDistributionType": channel.distribution,
    }
    entry = {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": channel.input_mode}
    return entry if channel.content_type is None else entry | {"ContentType": channel.content_type}


def _as_string(name: str, value: Any) -> str:
    if value is None:
        raise UsageError(f"hyperparameter {name!r} has no value; give one or take it out")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _sentence(entry: ErrorDetails) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    match entry["type"]:
        case "extra_forbidden":
            model = Channel if entry["loc"][0] == "channels" else Recipe
            return f"unknown key {place!r}; {nearest(str(entry['loc'][-1]), model.model_fields)}"
        case "missing":
            return f"the key {place!r} is required and not given"
        case "value_error":
            words = entry["msg"].removeprefix("Value error, ")
            return f"{place}: {words}" if place else words
    return f"{place}: got {entry['input']!r}; {entry['msg']}"
