"""Actuals from files as people have them: put into S3 whole, or refused with the place and nothing put."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.ab.actuals import ActualsReader
from tests.scripts.captured import make_endpoint

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]


def write(name: str, content: bytes | str | dict[str, Any]) -> str:
    if isinstance(content, dict):
        pq.write_table(pa.table(content), name)
    else:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def given(command: Command, name: str, *more: str) -> list[tuple[str, Any]]:
    """What a file's actuals are, read again from S3."""
    make_endpoint({"A": 1.0})
    code, out, err = command("feedback", "ab", name, *more)
    assert (code, err) == (0, ""), err
    assert "actuals are in s3://bucket/capture-actuals/ab" in out
    reader = ActualsReader(boto3.client("s3"), "s3://bucket/capture-actuals/ab")
    return [(each.inference_id, each.content) for each in sorted(reader.read(), key=lambda each: each.time)]


def test_csv_with_everything_that_people_write(command: Command) -> None:
    text = (
        '\ufeffactual , inference_id\n1.5,007\n"[1, null, 2]", 1e5 \n,empty\nNaN,nan\n"{""a"": 1}",object\n\ntext,t\n'
    )
    assert given(command, write("a.csv", text)) == [
        ("007", 1.5), ("1e5", [1, None, 2]), ("empty", None), ("nan", None), ("object", {"a": 1}), ("t", "text"),
    ]  # fmt: skip


def test_several_columns_are_kept_by_name_and_the_id_may_have_another(command: Command) -> None:
    text = "request,revenue,bought\nr,3.5,true\n"
    assert given(command, write("a.csv", text), "--id", "request") == [("r", {"revenue": 3.5, "bought": True})]


def test_a_long_list_and_an_index_that_pandas_wrote(command: Command) -> None:
    values = list(range(60_000))
    assert given(command, write("a.csv", f',inference_id,actual\n0,a,"{values}"\n')) == [
        ("a", {"": 0, "actual": values})
    ]


def test_parquet_with_lists_dates_decimals_and_whole_ids(command: Command) -> None:
    content = {
        "inference_id": [7],
        "actual": [[1.0, float("nan"), None]],
        "at": [datetime(2026, 1, 2, tzinfo=UTC)],
        "price": [Decimal("1.50")],
    }
    expected = {"actual": [1.0, None, None], "at": "2026-01-02T00:00:00+00:00", "price": 1.5}
    assert given(command, write("a.parquet", content)) == [("7", expected)]


def test_json_lines(command: Command) -> None:
    text = '\ufeff{"inference_id": "a", "actual": [1, NaN]}\n\n{"inference_id": 2, "actual": {"x": 1e400}}\n'
    assert given(command, write("a.jsonl", text)) == [("a", [1, None]), ("2", {"x": None})]


def test_ids_that_come_twice_are_said_and_the_last_counts(command: Command) -> None:
    make_endpoint({"A": 1.0})
    code, out, _ = command("feedback", "ab", write("a.csv", "inference_id,actual\na,1\nb,1\na,2\n"))
    assert code == 0 and "1 of them say again what an earlier row says: the last one counts" in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,actual\na,1\n", "has no column 'inference_id' in line 2; known are actual, id; or give --id"),
        ("a.csv", "inference_id\na\n", "has no column beside 'inference_id'"),
        ("a.csv", "inference_id,actual\na,1,2\n", "line 2 has not as many fields as the header; quote lists"),
        ("a.csv", "inference_id,actual\na\n", "line 2 has not as many fields as the header"),
        ("a.csv", "inference_id,x,x\na,1,2\n", "has the column 'x' twice"),
        ("a.csv", "inference_id,actual\n,1\n" + ",2\n" * 9, "line 2 has no inference_id, line 3"),
        ("a.csv", "", "a.csv holds no row"),
        ("a.csv", "inference_id,actual\n", "a.csv holds no row"),
        ("a.csv", 'inference_id,actual\n"a,1\n', "cannot read a.csv: unexpected end of data"),
        ("a.csv", "inference_id,actual\na,1\n".encode("utf-16"), "cannot read a.csv: 'utf-8' codec"),
        ("a.parquet", b"PK", "cannot read a.parquet: Parquet file size is 2 bytes"),
        ("a.parquet", {"inference_id": [1.5], "actual": [1]}, "row 1 has the inference_id '1.5', which is neither"),
        ("a.parquet", {"inference_id": ["a"], "actual": [b"x"]}, "holds what JSON cannot (Object of type bytes"),
        ("a.jsonl", "[1]\n", "line 1: got '[1]'; allowed is an object a line"),
        ("a.json", '[\n{"inference_id": 1}]', "line 1 is not JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON: it is nested too deeply"),
        ("a.jsonl", '{"inference_id": "a", "actual": ' + "[" * 1000 + "]" * 1000 + "}", "holds what JSON cannot"),
        ("a.jsonl", '{"inference_id": true, "actual": 1}', "the inference_id 'True', which is neither text nor"),
        ("a.xlsx", "", "ends with '.xlsx'; known are .csv, .json, .jsonl, .parquet"),
    ],
)  # fmt: skip
def test_what_is_refused_and_nothing_is_put(command: Command, name: str, content: Any, message: str) -> None:
    make_endpoint({"A": 1.0})
    code, out, err = command("feedback", "ab", write(name, content))
    assert (code, out) == (2, "") and message in err, err
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="bucket")


def test_a_file_that_is_not_there_or_is_a_folder(command: Command) -> None:
    make_endpoint({"A": 1.0})
    Path("folder.csv").mkdir()
    assert "cannot read absent.csv: No such file" in command("feedback", "ab", "absent.csv")[2]
    assert "cannot read folder.csv: Is a directory" in command("feedback", "ab", "folder.csv")[2]


def test_an_endpoint_that_captures_nothing_needs_an_address(command: Command) -> None:
    make_endpoint({"A": 1.0}, capture=False)
    name = write("a.csv", "inference_id,actual\na,1\n")
    code, _, err = command("feedback", "ab", name)
    assert code == 1 and "captures nothing" in err
    assert command("feedback", "ab", name, "--to", "s3://bucket/elsewhere")[0] == 0
    assert boto3.client("s3").list_objects_v2(Bucket="bucket", Prefix="elsewhere/")["KeyCount"] == 1


def test_a_dry_run_prints_the_calls(command: Command, calls: Calls, nowhere: None) -> None:
    code, out, err = command("feedback", "ab", write("a.csv", "inference_id,actual\na,1\n"), "--dry-run")
    assert (code, err) == (0, "")
    described, put = calls(out)
    assert described["operation"] == "DescribeEndpoint" and put["operation"] == "PutObject"
    assert json.loads(put["parameters"]["Body"])["eventMetadata"] == {"eventId": "a"}
