"""An algorithm's declarations -> CreateAlgorithm's JSON, and tables for documents."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import ChannelSpec

LARGEST_INTEGER = 2**31 - 1
LARGEST_NUMBER = 1e38
INSTANCE_TYPES = (
    *("ml.m5.large", "ml.m5.xlarge", "ml.m5.4xlarge", "ml.c5.xlarge", "ml.c5.9xlarge"),
    *("ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g5.12xlarge", "ml.p3.2xlarge", "ml.p4d.24xlarge"),
)


def training_specification(algorithm: Algorithm, image: str = "IMAGE") -> dict[str, Any]:
    """The TrainingSpecification of CreateAlgorithm, which a job's recipe and a tuner read as well."""
    objectives = [
        {"Type": "Minimize" if metric.minimize else "Maximize", "MetricName": metric.definition["Name"]}
        for metric in algorithm.metrics
        if metric.objective
    ]
    fields = algorithm.hyperparameters.model_fields
    return {
        "TrainingSpecification": {
            "TrainingImage": image,
            "SupportedHyperParameters": [
                _the_algorithm(algorithm.name),
                *(_hyperparameter(name, field) for name, field in fields.items()),
            ],
            "SupportedTrainingInstanceTypes": list(INSTANCE_TYPES),
            "SupportsDistributedTraining": True,
            "MetricDefinitions": [metric.definition for metric in algorithm.metrics],
            "TrainingChannels": [_channel(spec) for spec in algorithm.channels],
            "SupportedTuningJobObjectiveMetrics": objectives,
        }
    }


def table(algorithm: Algorithm) -> str:
    """The hyperparameters as a Markdown table."""
    rows = ["| name | default | allowed | what it is |", "|---|---|---|---|"]
    for name, field in algorithm.hyperparameters.model_fields.items():
        default = "required" if field.is_required() else f"`{written(field.default)}`" if field.default != "" else ""
        rows.append(f"| `{name}` | {default} | {hyper.allowed(field)} | {field.description} |")
    return "\n".join(rows)


def written(value: object) -> str:
    """A default as a job would write it; None is an empty string."""
    value = list(value) if isinstance(value, tuple) else value
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _the_algorithm(name: str) -> dict[str, Any]:
    return {
        "Name": "algorithm",
        "Description": "which of the image's algorithms to run",
        "Type": "Categorical",
        "Range": {"CategoricalParameterRangeSpecification": {"Values": [name]}},
        "IsTunable": False,
        "IsRequired": False,
        "DefaultValue": name,
    }


def _hyperparameter(name: str, field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = {} if field.is_required() or field.default is None else {"DefaultValue": written(field.default)}
    return {
        "Name": name,
        "Description": f"{field.description}: {hyper.allowed(field)}",
        **_range(field),
        "IsTunable": "tunable" in extra,
        "IsRequired": field.is_required(),
        **default,
    }


def _range(field: FieldInfo) -> dict[str, Any]:
    kind, _ = hyper.shape(field)
    limits = hyper.bounds(field)
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if get_origin(kind) is Literal:
        values = {"Values": list(get_args(kind))}
        return {"Type": "Categorical", "Range": {"CategoricalParameterRangeSpecification": values}}
    if kind is int:
        ends = {
            "MinValue": str(low if low is not None else -LARGEST_INTEGER),
            "MaxValue": str(high if high is not None else LARGEST_INTEGER),
        }
        return {"Type": "Integer", "Range": {"IntegerParameterRangeSpecification": ends}}
    if kind is float:
        ends = {
            "MinValue": f"{low if low is not None else -LARGEST_NUMBER:g}",
            "MaxValue": f"{high if high is not None else LARGEST_NUMBER:g}",
        }
        return {"Type": "Continuous", "Range": {"ContinuousParameterRangeSpecification": ends}}
    return {"Type": "FreeText"}


def _channel(spec: ChannelSpec) -> dict[str, Any]:
    return {
        "Name": spec.name,
        "Description": spec.about,
        "IsRequired": spec.required,
        "SupportedContentTypes": list(spec.content_types),
        "SupportedCompressionTypes": ["None"],
        "SupportedInputModes": ["File", "FastFile", *(["Pipe"] if spec.pipes else [])],
    }
