"""An endpoint as AWS describes it: waiting until its status no longer changes, and its weights."""

import time
from typing import Any

from scripts.aws import CommandError, answer_or_none, say

RESTING = {"InService", "OutOfService", "Failed", "UpdateRollbackFailed"}


def describe(client: Any, endpoint: str) -> dict[str, Any]:
    """The endpoint's description; a CommandError where there is no such endpoint."""
    description = answer_or_none(client.describe_endpoint, EndpointName=endpoint)
    if description is None:
        raise CommandError(f"there is no endpoint {endpoint!r} in this region; make it with scripts.deploy")
    return description


def settle(client: Any, endpoint: str, poll: float) -> dict[str, Any]:
    """Wait until the status is final, printing each on the way; a CommandError unless it is InService."""
    status = ""
    while True:
        description = describe(client, endpoint)
        if description["EndpointStatus"] != status:
            status = description["EndpointStatus"]
            say(f"endpoint {endpoint}: {status}")
        if status in RESTING:
            require_in_service(description)
            return description
        time.sleep(poll)


def require_in_service(description: dict[str, Any]) -> None:
    """A CommandError, with AWS's FailureReason, unless the endpoint is InService."""
    status = description["EndpointStatus"]
    if status == "InService":
        return
    name = description["EndpointName"]
    if status in RESTING:
        remedy = f"remove it with `python -m scripts.teardown {name}`"
        raise CommandError(f"endpoint {name} is {status}: {failure(description)}; {remedy}")
    raise CommandError(f"endpoint {name} is {status}; wait until it is InService and try again")


def failure(description: dict[str, Any]) -> str:
    """AWS's FailureReason, ready for the middle of a sentence."""
    return str(description.get("FailureReason") or "AWS gives no reason").rstrip(". ")


def weights(description: dict[str, Any]) -> dict[str, float]:
    """Each variant's weight now; AWS leaves a weight out where it is 0, and all of them where an endpoint failed."""
    return {
        variant["VariantName"]: float(variant.get("CurrentWeight", 0.0))
        for variant in description.get("ProductionVariants") or []
    }


def shares(weight: dict[str, float]) -> dict[str, float]:
    """The share of the traffic that each variant's weight gives."""
    total = sum(weight.values())
    return {name: value / total if total else 0.0 for name, value in weight.items()}


def summary(weight: dict[str, float]) -> str:
    """`A 0.9 (90.0 %), B 0.1 (10.0 %)`."""
    share = shares(weight)
    return ", ".join(f"{name} {value:g} ({share[name]:.1%})" for name, value in weight.items())
