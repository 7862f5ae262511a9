"""What an endpoint serves: its variants, its shadow and its capture, as it is now and as a deployment wants it."""

from dataclasses import dataclass, field
from typing import Any

from scripts.aws import answer_or_none

PRODUCTION, SHADOW, CAPTURE = "ProductionVariants", "ShadowProductionVariants", "DataCaptureConfig"
METRICS = "MetricsConfig"
REPLACED = {"VariantName", "ModelName", "InstanceType", "InitialInstanceCount", "InitialVariantWeight"}
KEPT = (
    METRICS,
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "KmsKeyId",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
)


@dataclass(frozen=True)
class Served:
    """One variant: its weight, its instances, its model, and whatever else its configuration says."""

    name: str
    weight: float
    instance_type: str
    instance_count: int
    image: str
    artifact: str
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """variants: in their order. capture: a DataCaptureConfig that captures, or None. more: kept as it is."""

    variants: dict[str, Served]
    shadow: Served | None = None
    capture: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()

    def weights(self) -> dict[str, float]:
        """Each variant's weight."""
        return {name: served.weight for name, served in self.variants.items()}

    def shadow_share(self) -> float:
        """The share of the requests that the shadow gets a copy of: its weight against the variant's."""
        total = sum(self.weights().values())
        return min(1.0, self.shadow.weight / total) if self.shadow and total else 0.0


def read_fleet(sagemaker: Any, description: dict[str, Any]) -> Fleet:
    """What an endpoint serves, of DescribeEndpoint's answer, its configuration and its models."""
    name = description["EndpointConfigName"]
    configuration = answer_or_none(sagemaker.describe_endpoint_config, EndpointConfigName=name) or {}
    production, shadows = (_served(sagemaker, description, configuration, kind) for kind in (PRODUCTION, SHADOW))
    rollback = (description.get("LastDeploymentConfig") or {}).get("AutoRollbackConfiguration") or {}
    return Fleet(
        production,
        next(iter(shadows.values()), None),
        _capture(description, configuration),
        {member: configuration[member] for member in KEPT if configuration.get(member)},
        tuple(alarm["AlarmName"] for alarm in rollback.get("Alarms", [])),
    )


def _capture(description: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any] | None:
    """The configuration's capture, or where the configuration is no longer there what the endpoint tells of it."""
    told = description.get(CAPTURE) or {}
    summary = {
        "InitialSamplingPercentage": told.get("CurrentSamplingPercentage"),
        "DestinationS3Uri": told.get("DestinationS3Uri"),
    }
    capture = configuration.get(CAPTURE) or (summary if told and not configuration else {})
    is_on = capture.get("EnableCapture", told.get("EnableCapture")) is not False
    return capture if capture and is_on else None


def _served(sagemaker: Any, description: dict[str, Any], configuration: dict[str, Any], kind: str) -> dict[str, Served]:
    configured = {variant["VariantName"]: variant for variant in configuration.get(kind) or []}
    return {
        variant["VariantName"]: _variant(sagemaker, variant, configured.get(variant["VariantName"], {}))
        for variant in description.get(kind) or []
    }


def _variant(sagemaker: Any, now: dict[str, Any], configured: dict[str, Any]) -> Served:
    # Of a number or a weight that was changed since, the configuration knows nothing; AWS leaves out a weight of 0.
    container = _container(sagemaker, configured)
    images = [image.get("SpecifiedImage", "") for image in now.get("DeployedImages", [])]
    return Served(
        now["VariantName"],
        float(now.get("CurrentWeight", 0.0)),
        configured.get("InstanceType", ""),
        int(now.get("CurrentInstanceCount") or configured.get("InitialInstanceCount") or 1),
        container.get("Image") or next(iter(images), ""),
        container.get("ModelDataUrl", ""),
        {member: value for member, value in configured.items() if member not in REPLACED},
    )


def _container(sagemaker: Any, configured: dict[str, Any]) -> dict[str, Any]:
    """The model's container, with its package's image and artifact; empty where it is no longer there."""
    name = configured.get("ModelName")
    model = (answer_or_none(sagemaker.describe_model, ModelName=name) if name else None) or {}
    container: dict[str, Any] = model.get("PrimaryContainer") or next(iter(model.get("Containers", [])), {})
    package = container.get("ModelPackageName")
    if package:
        specification = sagemaker.describe_model_package(ModelPackageName=package).get("InferenceSpecification", {})
        container = next(iter(specification.get("Containers", [])), {})
    return container
