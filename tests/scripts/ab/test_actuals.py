"""Ground truth in SageMaker's layout: what is written is read again, in the order in which it was said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.ab import actuals
from scripts.ab.actuals import ActualsReader, read_line, write_files

NOW = datetime(2026, 11, 29, 7, 5, tzinfo=UTC)
WHOLE = st.integers(-(2**63), 2**64 - 1)
CONTENT = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(WHOLE) | st.text()


@given(st.lists(st.tuples(st.text(min_size=1), CONTENT), min_size=1))
def test_what_is_written_is_read(rows: list[tuple[str, Any]]) -> None:
    ((key, body),) = write_files(rows, NOW)
    assert key == "2026/11/29/07/20261129T070500000000-0000.jsonl"
    read = [read_line(line, ("k", 0)) for line in body.splitlines()]
    assert [(each.inference_id, each.content) for each in read] == rows


def test_files_are_of_a_few_megabytes_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actuals, "FILE_BYTES", 300)
    files = list(write_files([(str(n), n) for n in range(10)], NOW))
    assert len(files) > 2 and [key for key, _ in files] == sorted(key for key, _ in files)
    lines = b"".join(body for _, body in files).splitlines()
    assert [read_line(line, ("k", 0)).content for line in lines] == list(range(10))


def test_sagemakers_csv_is_read() -> None:
    truth = {"data": "1, ,2.5", "encoding": "CSV"}
    document: dict[str, Any] = {"groundTruthData": truth, "eventMetadata": {"eventId": 7}}
    assert read_line(json.dumps(document).encode(), ("k", 0)).content == [1.0, None, 2.5]
    document["groundTruthData"]["data"] = "3"
    actual = read_line(json.dumps(document).encode(), ("k", 0))
    assert (actual.inference_id, actual.content) == ("7", 3.0)


def test_a_reader_reads_each_file_once_and_counts_what_is_broken() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    ((_, body),) = write_files([("a", 1)], NOW)
    s3.put_object(Bucket="bucket", Key="t/1.jsonl", Body=body + b"\nlabel\n[]\n" + b"[" * 100_000)
    reader = ActualsReader(s3, "s3://bucket/t")
    assert [each.content for each in reader.read()] == [1] and reader.broken == 3
    ((_, body),) = write_files([("a", 2)], NOW)
    s3.put_object(Bucket="bucket", Key="t/0.jsonl", Body=body)
    assert [each.content for each in sorted(reader.read(), key=lambda each: each.time)] == [2, 1]
    assert reader.broken == 3
