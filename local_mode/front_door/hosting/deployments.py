"""DeploymentConfig: how the traffic moves to a new fleet, how long it is watched, and which alarms bring it back."""

from dataclasses import dataclass

from local_mode.front_door.resources import Document, refuse_not_honoured
from local_mode.front_door.shapes import invalid

POLICY = ("TrafficRoutingConfiguration", "TerminationWaitInSeconds", "MaximumExecutionTimeoutInSeconds")
LEAST_LINEAR_PERCENT, MOST_PERCENT = 10, 50


@dataclass(frozen=True)
class Deployment:
    """steps: the share of the requests that the new fleet gets, and the seconds that it is watched with them."""

    steps: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    alarms: tuple[str, ...] = ()


def deployment_of(config: Document | None, instances: int) -> Deployment:
    """A deployment to a fleet of so many instances; Fault for one that cannot be."""
    config = config or {}
    refuse_not_honoured(config, ("BlueGreenUpdatePolicy", "AutoRollbackConfiguration"), "DeploymentConfig.")
    alarms = tuple(each["AlarmName"] for each in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or [])
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return Deployment(alarms=alarms)
    refuse_not_honoured(policy, POLICY, "BlueGreenUpdatePolicy.")
    routing, last = policy["TrafficRoutingConfiguration"], float(policy.get("TerminationWaitInSeconds") or 0)
    wait = float(routing["WaitIntervalInSeconds"])
    if routing["Type"] == "ALL_AT_ONCE":
        return Deployment(((1.0, last),), alarms)
    member = "CanarySize" if routing["Type"] == "CANARY" else "LinearStepSize"
    size = _instances(routing, member, instances)
    moved = [size] if member == "CanarySize" else list(range(size, instances, size))
    return Deployment((*((count / instances, wait) for count in moved), (1.0, last)), alarms)


def _instances(routing: Document, member: str, instances: int) -> int:
    """The instances of a step; Fault outside of what SageMaker allows."""
    size = routing.get(member)
    if size is None:
        raise invalid(f"TrafficRoutingConfiguration {routing['Type']} lacks its {member}")
    if instances < 2:
        raise invalid(f"a fleet of one instance has no part for {routing['Type']}: give ALL_AT_ONCE, or more instances")
    value = int(size["Value"])
    count = value if size["Type"] == "INSTANCE_COUNT" else max(1, instances * value // 100)
    percent = 100 * count / instances
    least = LEAST_LINEAR_PERCENT if member == "LinearStepSize" else 0
    if not least <= percent <= MOST_PERCENT:
        raise invalid(
            f"{member} is {count} of {instances} instances, {percent:.0f} %: it must be {least} to {MOST_PERCENT} %"
        )
    return count
