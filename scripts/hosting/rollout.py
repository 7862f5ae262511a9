"""How an update moves an endpoint's traffic: at once, by a canary or step by step, as `--blue-green` says it."""

import re
from dataclasses import dataclass
from typing import Any

from scripts.aws import Invalid, UsageError

DEFAULT_WAIT_SECONDS = 300
MOST_WAIT_SECONDS = 3600
ALL_AT_ONCE, CANARY, LINEAR = "all-at-once", "canary", "linear"
PERCENTS = {CANARY: (1, 50), LINEAR: (10, 50)}
FORMS = "all-at-once[:SECONDS], canary:PERCENT[:SECONDS] or linear:PERCENT[:SECONDS]"


@dataclass(frozen=True)
class Rollout:
    """kind: all-at-once, canary or linear. percent: of a step. wait: seconds that each step is watched, None unsaid."""

    kind: str = ALL_AT_ONCE
    percent: int | None = None
    wait: int | None = None


def rollout(text: str) -> Rollout:
    """Read all-at-once[:WAIT], canary:PERCENT[:WAIT] or linear:PERCENT[:WAIT]."""
    kind, *numbers = text.split(":")
    most = 1 if kind == ALL_AT_ONCE else 2
    legal = all(re.fullmatch(r"\d{1,9}", number) for number in numbers) and len(numbers) in (most - 1, most)
    if kind not in (ALL_AT_ONCE, *PERCENTS) or not legal:
        raise Invalid(f"got {text!r}; allowed is {FORMS}")
    values = [int(number) for number in numbers]
    percent = None if kind == ALL_AT_ONCE else _percent(kind, values.pop(0))
    return Rollout(kind, percent, _wait(values[0]) if values else None)


def _percent(kind: str, value: int) -> int:
    least, most = PERCENTS[kind]
    if not least <= value <= most:
        raise Invalid(f"got {value} % for {kind}; allowed are {least} to {most} %")
    return value


def _wait(value: int) -> int:
    if value > MOST_WAIT_SECONDS:
        raise Invalid(f"got a wait of {value} seconds; allowed are 0 to {MOST_WAIT_SECONDS}")
    return value


def check_instances(chosen: Rollout, counts: dict[str, int]) -> None:
    """A UsageError where a variant has one instance, of which no part can go first."""
    for name, count in counts.items():
        if chosen.kind != ALL_AT_ONCE and count < 2:
            raise UsageError(
                f"variant {name!r} has {count} instance, of which no part can go first: "
                f"give --blue-green {ALL_AT_ONCE}, or --instance-count 2 or more"
            )


def deployment_config(chosen: Rollout | None, alarms: list[str]) -> dict[str, Any] | None:
    """UpdateEndpoint's DeploymentConfig; None where SageMaker's own (all at once, unwatched) is wanted."""
    if chosen is None and not alarms:
        return None
    config: dict[str, Any] = {"BlueGreenUpdatePolicy": _policy(chosen or Rollout(), bool(alarms))}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def _policy(chosen: Rollout, watched: bool) -> dict[str, Any]:
    # An alarm that nobody waits for brings nothing back.
    unsaid = DEFAULT_WAIT_SECONDS if watched or chosen.kind != ALL_AT_ONCE else 0
    wait = unsaid if chosen.wait is None else chosen.wait
    routing: dict[str, Any] = {"Type": chosen.kind.replace("-", "_").upper(), "WaitIntervalInSeconds": wait}
    if chosen.percent is not None:
        member = "CanarySize" if chosen.kind == CANARY else "LinearStepSize"
        routing[member] = {"Type": "CAPACITY_PERCENT", "Value": chosen.percent}
    return {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": wait}
