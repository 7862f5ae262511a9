"""The requests that make what serves an endpoint: its models and its configuration."""

from typing import Any

from scripts.hosting.fleet import CAPTURE, METRICS, PRODUCTION, SHADOW, Fleet, Served
from scripts.hosting.source import Model
from scripts.hosting.tags import tags

SCRAPED = "EnableDetailedObservability"


def model_request(endpoint: str, variant: str, model: Model, name: str, role: str) -> dict[str, Any]:
    """The parameters of CreateModel; the container learns its variant's name from its environment."""
    origin = (
        {"ModelPackageName": model.package} if model.package else {"Image": model.image, "ModelDataUrl": model.artifact}
    )
    return {
        "ModelName": name,
        "ExecutionRoleArn": role,
        "PrimaryContainer": {**origin, "Environment": {"MODEL_VARIANT": variant}},
        "Tags": tags(endpoint),
    }


def configuration_request(endpoint: str, name: str, fleet: Fleet, models: dict[str, str]) -> dict[str, Any]:
    """The parameters of CreateEndpointConfig: the variants with their weights, the shadow, and data capture."""
    parameters: dict[str, Any] = {
        **fleet.more,
        "EndpointConfigName": name,
        PRODUCTION: [_variant_request(served, models) for served in fleet.variants.values()],
        "Tags": tags(endpoint),
    }
    if fleet.shadow is not None:
        parameters[SHADOW] = [_variant_request(fleet.shadow, models)]
    if fleet.capture is not None:
        parameters[CAPTURE] = fleet.capture
    return parameters


def metrics_request(sagemaker: Any, fleet: Fleet, scraped: bool) -> dict[str, Any]:
    """Whether SageMaker scrapes the container's /metrics for CloudWatch, with whatever else an endpoint says of them.

    Nothing where boto3 knows no such thing; SageMaker's own default is that of the day.
    """
    known = sagemaker.meta.service_model.operation_model("CreateEndpointConfig").input_shape.members.get(METRICS)
    if known is None or SCRAPED not in known.members:
        return {}
    return {METRICS: {**fleet.more.get(METRICS, {}), SCRAPED: scraped}}


def _variant_request(served: Served, models: dict[str, str]) -> dict[str, Any]:
    return {
        **served.more,
        "VariantName": served.name,
        "ModelName": models[served.name],
        "InstanceType": served.instance_type,
        "InitialInstanceCount": served.instance_count,
        "InitialVariantWeight": served.weight,
    }
