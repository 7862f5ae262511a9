"""Changes of weights as tags: they round-trip, the oldest go, and what is gone is known to be gone."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from scripts import weight_tags
from scripts.history import Change
from scripts.weight_tags import FORGOTTEN, MOST_TAGS, PREFIX
from tests.scripts.captured import make_endpoint

NAMES = st.sampled_from(["A", "B", "a-b--1", "7"])
WEIGHTS = st.dictionaries(NAMES, st.floats(0, 2**40, width=32), max_size=3)
MODELS = st.none() | st.dictionaries(NAMES, st.sampled_from(["01234567", "deadbeef"]), min_size=1, max_size=2)


def at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Kept:
    """A resource's tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def add_tags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> None:
        self.tags |= {entry["Key"]: entry["Value"] for entry in Tags}

    def delete_tags(self, ResourceArn: str, TagKeys: list[str]) -> None:
        for key in TagKeys:
            del self.tags[key]

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]}


@given(WEIGHTS, WEIGHTS.filter(bool), MODELS)
def test_a_change_round_trips(before: dict[str, float], after: dict[str, float], models: dict[str, str] | None) -> None:
    change = Change(at(1), "ab", "deploy", before, after, at(2), models=models)
    kept = Kept()
    weight_tags.tag(kept, "arn", change)
    (read,) = weight_tags.changes(kept.tags.items(), "ab")
    assert (read.time, read.settled, read.action, read.models) == (at(1), at(2), "deploy", models)
    assert read.before == pytest.approx(before, rel=1e-8) and read.after == pytest.approx(after, rel=1e-8)


def test_of_60_changes_the_newest_and_the_last_deployment_are_kept() -> None:
    arn = make_endpoint({"A": 1.0, "B": 1.0})
    sagemaker = boto3.client("sagemaker")
    for number in range(60):
        action: Any = "deploy" if number in (3, 7) else "split"
        models = {"A": "a", "B": f"b{number}"} if action == "deploy" else None
        change = Change(at(100 * number), "ab", action, {"A": 1.0}, {"A": 2.0}, at(100 * number + 10), models=models)
        weight_tags.tag(sagemaker, arn, change)
    tags = weight_tags.all_tags(sagemaker, arn)
    assert sorted(key for key in tags if key.startswith(PREFIX)) == [
        f"{PREFIX}{at(100 * number)}" for number in [7, *range(60 - MOST_TAGS, 60)]
    ]
    assert tags[FORGOTTEN] == at(100 * (59 - MOST_TAGS))
    known = weight_tags.known(tags, Path("absent.jsonl"), "ab")
    assert known.forgotten == at(100 * (59 - MOST_TAGS)) and known.changes[0].models == {"A": "a", "B": "b7"}


def test_what_the_history_file_has_is_not_forgotten() -> None:
    change = Change(at(1), "ab", "split", {"A": 1.0}, {"A": 2.0}, at(2))
    Path("weights.jsonl").write_text(json.dumps(asdict(change)) + "\n")
    known = weight_tags.known({FORGOTTEN: at(1)}, Path("weights.jsonl"), "ab")
    assert known.forgotten is None and known.changes == [change]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("somebody", f"split {at(2)} A=1 A=2"),
        (f"{PREFIX}{at(1)}", "split"),
        (f"{PREFIX}soon", f"split {at(2)} A=1 A=2"),
        (f"{PREFIX}{at(1)}", "split then A=1 A=2"),
        (f"{PREFIX}{at(1)}", f"split {at(2)} A=1 A=x"),
    ],
)
def test_somebody_elses_tags_are_passed_over(key: str, value: str) -> None:
    good = (f"{PREFIX}{at(5)}", f"split {at(6)} A=1 A=2")
    assert [each.time for each in weight_tags.changes([(key, value), good], "ab")] == [at(5)]


def test_a_change_that_is_too_long_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    weights = {f"{'v' * 60}{number}": 1.0 for number in range(4)}
    kept = Kept()
    weight_tags.tag(kept, "arn", Change(at(1), "ab", "split", weights, weights, at(2)))
    assert kept.tags == {} and "4 variants are too long for a tag" in capsys.readouterr().err


def test_a_role_without_tags_may_change_weights(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(Kept):
        def add_tags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AddTags")

    weight_tags.tag(Refusing(), "arn", Change(at(1), "ab", "split", {"A": 1.0}, {"A": 2.0}, at(2)))
    assert "AWS refused AddTags: no (AccessDenied); only the history file" in capsys.readouterr().err
