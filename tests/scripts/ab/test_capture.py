"""Lines of capture as SageMaker and others write them; what is broken is counted and stops nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

import boto3
import pytest

from polyadic.variants import Shares
from scripts.ab.capture import Captured, CaptureReader, Part, read_line, require_captured, write_line
from scripts.aws import CommandError
from tests.scripts.captured import START, entry, put_capture


def told(**changes: Any) -> bytes:
    """A captured line, with some of its metadata changed."""
    document = json.loads(entry("r", START, 1.0))
    document["eventMetadata"] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "moment",
    ["2026-11-28T12:00:00Z", "2026-11-28T12:00:00.987Z", "2026-11-28T13:00:00+01:00", "2026-11-28T12:00:00",
     "2026-11-28T12:00:00.5+00:00"],
)  # fmt: skip
def test_times_are_whole_seconds_of_utc(moment: str) -> None:
    """A fraction would tell who answers faster, and order by it."""
    assert read_line(told(inferenceTime=moment), "A").seconds == START


def test_the_event_is_the_id_where_the_client_gave_none() -> None:
    document = json.loads(told())
    del document["eventMetadata"]["inferenceId"]
    captured = read_line(json.dumps(document).encode(), "A")
    assert captured.identity == document["eventMetadata"]["eventId"]


def test_base64_and_missing_parts_and_headers_without_a_content_type() -> None:
    document = json.loads(told())
    document["captureData"] = {"endpointInput": {"data": base64.b64encode(b"\xff{}").decode(), "encoding": "BASE64"}}
    captured = read_line(json.dumps(document).encode(), "A")
    assert captured.request == Part("", b"\xff{}") and captured.answer is None


def test_the_assignment_is_that_of_the_attributes_that_are_ours() -> None:
    assignment = Shares({"B": 0.25, "A": 0.75}, "salt").assign("user")
    captured = read_line(told(customAttributes=["trace=1", assignment.custom_attributes()]), "A")
    assert captured.assignment == assignment
    assert read_line(told(customAttributes=["[]", '{"polyadic": 1}']), "A").assignment is None


def test_what_replay_writes_is_read_as_a_replay() -> None:
    request, answer = Part("application/json", b"{}"), Part("application/x-recordio", b"\xff\x00")
    line = write_line(Captured("r", "B", START, request, answer, None), "event", "2026-11-28T12:00:00Z")
    captured = read_line(line, "B", replayed=True)
    assert (captured.identity, captured.seconds, captured.request, captured.answer) == ("r", START, request, answer)
    assert captured.replayed is not None and captured.replayed > 1.7e9
    assert read_line(line, "B").replayed is None and read_line(told(), "B", replayed=True).replayed == 0.0


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{", b"7", b"\xff", b'{"captureData": {}, "eventMetadata": {}}', b"[" * 100_000,
     told(inferenceTime="soon"), told(inferenceTime=None), told().replace(b'"data": "', b'"data": 7, "x": "')],
)  # fmt: skip
def test_a_broken_line_is_counted(line: bytes) -> None:
    boto3.client("s3").create_bucket(Bucket="bucket")
    put_capture("A", [entry("a", START, 1.0), line + b"\n", b"\n", entry("b", START, 1.0)])
    reader = CaptureReader(boto3.client("s3"), "s3://bucket/capture/", "ab")
    assert [each.identity for each in reader.read()] == ["a", "b"] and reader.broken == 1
    assert len(reader.read()) == 2 and reader.broken == 1


def test_the_order_knows_nothing_of_who_answered() -> None:
    boto3.client("s3").create_bucket(Bucket="bucket")
    put_capture("B", [entry("b", START, 1.0), entry("c", START, 1.0)])
    put_capture("A", [entry("d", START, 1.0), entry("a", START, 1.0), entry("z", START - 1, 1.0)])
    put_capture("A", [entry("other", START, 1.0)], endpoint="ab-2")
    reader = CaptureReader(boto3.client("s3"), "s3://bucket/capture", "ab")
    assert [each.identity for each in reader.read()] == ["z", "a", "b", "c", "d"]


def test_nothing_captured_is_said() -> None:
    with pytest.raises(CommandError, match=r"nothing is captured under s3://b/c/ab yet; .* a share of 0 %"):
        require_captured([], "s3://b/c", "ab")
