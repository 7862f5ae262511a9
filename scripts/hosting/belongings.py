"""What belongs to an endpoint: what scripts.deploy made for it, and what others use or made."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scripts.aws import STAMP_PATTERN, answer_or_none, pages
from scripts.hosting.fleet import PRODUCTION, SHADOW
from scripts.hosting.tags import OWNER, prefix


@dataclass(frozen=True)
class Belongings:
    """configurations, models: names to remove. left: a sentence for each that stays, and why."""

    configurations: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def is_own_endpoint(sagemaker: Any, description: dict[str, Any], endpoint: str) -> bool:
    """Whether scripts.deploy made the endpoint: by its tag, and without one by its configuration's name."""
    return _is_own(sagemaker, endpoint, description["EndpointConfigName"], description["EndpointArn"])


def read_belongings(sagemaker: Any, endpoint: str, description: dict[str, Any] | None) -> Belongings:
    """The configurations and models of an endpoint: what it names now, and what earlier deployments left."""
    listed = _own(sagemaker, endpoint, "endpoint_configs", "EndpointConfig")
    current = description["EndpointConfigName"] if description else None
    left = []
    if current is not None and current not in listed:
        left.append(f"endpoint configuration {current} stays: it was not made for this endpoint")
    elsewhere = _configurations_of_others(sagemaker, endpoint) if listed else {}
    for name in listed:
        if name in elsewhere:
            left.append(f"endpoint configuration {name} stays: endpoint {elsewhere[name]} uses it")
    configurations = [name for name in listed if name not in elsewhere]
    models, why = _models(sagemaker, endpoint, configurations, current)
    return Belongings(configurations, models, [*left, *why])


def _models(
    sagemaker: Any, endpoint: str, configurations: list[str], current: str | None
) -> tuple[list[str], list[str]]:
    """The models to remove, and sentences on those that the configurations name and that stay."""
    listed = _own(sagemaker, endpoint, "models", "Model")
    named = (
        model
        for name in dict.fromkeys([*configurations, *filter(None, [current])])
        for model in _names(sagemaker, name)
    )
    foreign = [model for model in dict.fromkeys(named) if model not in listed]
    left = [
        f"model {model} stays: it was not made for this endpoint"
        for model in foreign
        if answer_or_none(sagemaker.describe_model, ModelName=model)
    ]
    elsewhere = _models_of_others(sagemaker, configurations) if listed else {}
    left += [
        f"model {model} stays: endpoint configuration {elsewhere[model]} names it"
        for model in listed
        if model in elsewhere
    ]
    return [model for model in listed if model not in elsewhere], left


def _own(sagemaker: Any, endpoint: str, plural: str, kind: str) -> list[str]:
    """The names of the endpoint's own resources of a kind, by their names and tags."""
    call = getattr(sagemaker, f"list_{plural}")
    listed = pages(call, f"{kind}s", NameContains=prefix(endpoint))
    found = ((entry[f"{kind}Name"], entry[f"{kind}Arn"]) for entry in listed)
    return [
        name for name, arn in found if _pattern(endpoint).fullmatch(name) and _is_own(sagemaker, endpoint, name, arn)
    ]


def _is_own(sagemaker: Any, endpoint: str, name: str, arn: str) -> bool:
    # Deployments of before there were tags are known by their names alone.
    answer = answer_or_none(sagemaker.list_tags, ResourceArn=arn) or {}
    owner = {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}.get(OWNER)
    return owner == endpoint if owner else _pattern(endpoint).fullmatch(name) is not None


def _pattern(endpoint: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(prefix(endpoint))}-{STAMP_PATTERN}(-.+)?")


def _configurations_of_others(sagemaker: Any, endpoint: str) -> dict[str, str]:
    """The configurations that other endpoints have, and whose each is."""
    listed = [entry["EndpointName"] for entry in pages(sagemaker.list_endpoints, "Endpoints")]
    others = (answer_or_none(sagemaker.describe_endpoint, EndpointName=name) for name in listed if name != endpoint)
    return {other["EndpointConfigName"]: other["EndpointName"] for other in others if other}


def _models_of_others(sagemaker: Any, own: Iterable[str]) -> dict[str, str]:
    """The models that configurations name which are to stay, and which configuration each."""
    listed = [entry["EndpointConfigName"] for entry in pages(sagemaker.list_endpoint_configs, "EndpointConfigs")]
    return {model: name for name in listed if name not in own for model in _names(sagemaker, name)}


def _names(sagemaker: Any, configuration: str) -> list[str]:
    """The models that a configuration names."""
    content = answer_or_none(sagemaker.describe_endpoint_config, EndpointConfigName=configuration) or {}
    return [variant["ModelName"] for kind in (PRODUCTION, SHADOW) for variant in content.get(kind) or []]
