"""What a deployment is to make of an endpoint: what was given, and for the rest what the endpoint has now."""

import argparse
from typing import Any

from scripts.aws import UsageError
from scripts.hosting.fleet import Fleet, Served
from scripts.hosting.source import Model
from scripts.variants import Variant

NOTHING = Fleet({})
INSTANCE_TYPE = "ml.m5.large"
CAPTURED = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json", "application/jsonlines"]},
}


def plan(arguments: argparse.Namespace, models: dict[str, Model], now: Fleet | None, alarms: tuple[str, ...]) -> Fleet:
    """The fleet that the arguments ask for; what they leave open is as it is now, or a default."""
    before = now or NOTHING
    variants = {
        entry.name: _served(arguments, entry, models[entry.name], before.variants.get(entry.name))
        for entry in arguments.variants
    }
    total = sum(served.weight for served in variants.values())
    if not total:
        raise UsageError("all weights are 0; give at least one variant a weight above 0")
    shadow = None
    for entry in arguments.shadows:
        known = before.shadow if before.shadow and before.shadow.name == entry.name else None
        share = entry.weight if entry.weight is not None else before.shadow_share() if known else 1.0
        shadow = _served(arguments, Variant(entry.name, entry.source, share * total), models[entry.name], known)
    return Fleet(variants, shadow, _capture(arguments, before), before.more, alarms)


def _served(arguments: argparse.Namespace, entry: Variant, model: Model, now: Served | None) -> Served:
    kept_weight, kept_count, kept_type = (now.weight, now.instance_count, now.instance_type) if now else (1.0, 1, "")
    return Served(
        entry.name,
        kept_weight if entry.weight is None else entry.weight,
        arguments.instance_type or kept_type or INSTANCE_TYPE,
        arguments.instance_count or kept_count,
        model.image,
        model.artifact,
        now.more if now else {},
    )


def _capture(arguments: argparse.Namespace, before: Fleet) -> dict[str, Any] | None:
    if arguments.capture is False:
        return None
    now = before.capture or {}
    config = dict(now) if "CaptureOptions" in now else {**CAPTURED, **now}
    if arguments.capture:
        config["DestinationS3Uri"] = arguments.capture
    if arguments.capture_percentage is not None:
        config["InitialSamplingPercentage"] = arguments.capture_percentage
    if "DestinationS3Uri" in config:
        return config
    if arguments.capture_percentage is not None:
        raise UsageError("--capture-percentage is given, and nothing is captured; give --capture S3URI")
    return None
