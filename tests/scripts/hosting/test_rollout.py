"""How an update moves traffic: what can be said, what it means for UpdateEndpoint, and what one instance cannot do."""

import pytest

from scripts.aws import Invalid, UsageError
from scripts.hosting.rollout import Rollout, check_instances, deployment_config, rollout


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("all-at-once", Rollout()),
        ("all-at-once:30", Rollout(wait=30)),
        ("canary:50", Rollout("canary", 50)),
        ("canary:1:0", Rollout("canary", 1, 0)),
        ("linear:10:3600", Rollout("linear", 10, 3600)),
    ],
)
def test_what_can_be_said(text: str, read: Rollout) -> None:
    assert rollout(text) == read


FORMS = "allowed is all-at-once[:SECONDS], canary:PERCENT[:SECONDS] or linear:PERCENT[:SECONDS]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rolling:10", f"got 'rolling:10'; {FORMS}"),
        ("canary", f"got 'canary'; {FORMS}"),
        ("canary:ten", f"got 'canary:ten'; {FORMS}"),
        ("canary:10:1:1", f"got 'canary:10:1:1'; {FORMS}"),
        ("all-at-once:1:1", f"got 'all-at-once:1:1'; {FORMS}"),
        ("canary:0", "got 0 % for canary; allowed are 1 to 50 %"),
        ("canary:51", "got 51 % for canary; allowed are 1 to 50 %"),
        ("linear:9", "got 9 % for linear; allowed are 10 to 50 %"),
        ("linear:10:3601", "got a wait of 3601 seconds; allowed are 0 to 3600"),
    ],
)
def test_what_cannot_be_said(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refusal:
        rollout(text)
    assert str(refusal.value) == sentence


def test_each_variant_needs_two_instances_for_steps() -> None:
    check_instances(Rollout("canary", 10), {"A": 2, "B": 3})
    check_instances(Rollout(), {"A": 1})
    with pytest.raises(UsageError, match="variant 'B' has 1 instance, of which no part can go first"):
        check_instances(Rollout("linear", 10), {"A": 2, "B": 1})


def test_linear_steps_are_watched() -> None:
    assert deployment_config(Rollout("linear", 20, 5), []) == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 5,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 20},
            },
            "TerminationWaitInSeconds": 5,
        }
    }


def test_alarms_are_waited_for_even_all_at_once() -> None:
    config = deployment_config(None, ["slow"])
    assert config == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300},
            "TerminationWaitInSeconds": 300,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "slow"}]},
    }


def test_nothing_said_is_nothing_asked() -> None:
    assert deployment_config(None, []) is None
