"""What a deployment wants: what is given, else what is, else a default."""

import argparse
from typing import Any

import pytest

from scripts.aws import UsageError
from scripts.hosting.fleet import Fleet, Served
from scripts.hosting.plan import plan
from scripts.hosting.source import Model
from scripts.variants import Variant, variant

CAPTURE = {
    "InitialSamplingPercentage": 10,
    "DestinationS3Uri": "s3://bucket/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
NOW = Fleet(
    {"A": Served("A", 0.7, "ml.c5.xlarge", 3, "old", "s3://b/old", {"VolumeSizeInGB": 9})},
    Served("S", 0.35, "ml.c5.large", 2, "old", "s3://b/old"),
    CAPTURE,
    {"KmsKeyId": "key"},
)


def given(*variants: str, shadow: str | None = None, **more: Any) -> argparse.Namespace:
    """The arguments of a deployment."""
    unsaid = {"instance_type": None, "instance_count": None, "capture": None, "capture_percentage": None}
    shadows = [variant(shadow)] if shadow else []
    return argparse.Namespace(variants=[variant(text) for text in variants], shadows=shadows, **(unsaid | more))


def planned(arguments: argparse.Namespace, now: Fleet | None) -> Fleet:
    """The plan, each model being `new`."""
    entries: list[Variant] = [*arguments.variants, *arguments.shadows]
    return plan(arguments, {entry.name: Model("new", "s3://b/new") for entry in entries}, now, ())


def test_a_new_endpoint_has_the_defaults() -> None:
    fleet = planned(given("A=job:j", "B=job:k:0.5"), None)
    assert fleet.variants["A"] == Served("A", 1.0, "ml.m5.large", 1, "new", "s3://b/new")
    assert fleet.variants["B"].weight == 0.5
    assert (fleet.shadow, fleet.capture, fleet.more) == (None, None, {})


def test_what_is_not_given_stays() -> None:
    fleet = planned(given("A=job:j", shadow="S=job:k"), NOW)
    assert fleet.variants["A"] == Served("A", 0.7, "ml.c5.xlarge", 3, "new", "s3://b/new", {"VolumeSizeInGB": 9})
    assert fleet.shadow == Served("S", 0.35, "ml.c5.large", 2, "new", "s3://b/new")
    assert (fleet.capture, fleet.more) == (CAPTURE, {"KmsKeyId": "key"})


def test_what_is_given_holds() -> None:
    fleet = planned(given("A=job:j:2", shadow="S=job:k:0.25", instance_type="ml.m5.xlarge", instance_count=1), NOW)
    assert fleet.variants["A"] == Served("A", 2.0, "ml.m5.xlarge", 1, "new", "s3://b/new", {"VolumeSizeInGB": 9})
    assert fleet.shadow and fleet.shadow.weight == 0.5


def test_a_shadow_of_another_name_is_a_new_one() -> None:
    fleet = planned(given("A=job:j", shadow="T=job:k"), NOW)
    assert fleet.shadow == Served("T", 0.7, "ml.m5.large", 1, "new", "s3://b/new")


def test_a_shadow_keeps_its_share_where_the_variant_s_weight_changes() -> None:
    fleet = planned(given("A=job:j:1.4", shadow="S=job:k"), NOW)
    assert fleet.shadow_share() == 0.5


def test_capture_is_changed_by_halves_and_put_off_by_name() -> None:
    moved = planned(given("A=job:j", capture="s3://b/else"), NOW).capture
    assert moved == CAPTURE | {"DestinationS3Uri": "s3://b/else"}
    assert planned(given("A=job:j", capture_percentage=5), NOW).capture == CAPTURE | {"InitialSamplingPercentage": 5}
    assert planned(given("A=job:j", capture=False), NOW).capture is None


def test_capture_that_only_the_endpoint_tells_of_gets_our_options() -> None:
    told = {"InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://bucket/c"}
    capture = planned(given("A=job:j"), Fleet({}, capture=told)).capture
    assert capture and capture["CaptureOptions"] == [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]
    assert capture["InitialSamplingPercentage"] == 10


def test_all_weights_of_0_are_refused() -> None:
    with pytest.raises(UsageError, match="all weights are 0"):
        planned(given("A=job:j:0"), NOW)


def test_a_percentage_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--capture-percentage is given, and nothing is captured"):
        planned(given("A=job:j", capture_percentage=5), None)
