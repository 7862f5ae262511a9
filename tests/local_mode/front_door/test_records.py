"""The records of a transform: requests hold all of them in their order, paths select as SageMaker does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_mode.front_door.jobs import records
from local_mode.front_door.jobs.records import RecordError
from local_mode.front_door.shapes import Fault

ROW = ["7", "a", "b", "c"]
OBJECT = {"id": 7, "features": [1, 2], "SageMakerOutput": {"score": 0.5}}


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda line: line.replace(b"\n", b"x"))), st.booleans())
def test_requests_hold_all_records_in_their_order(lines: list[bytes], single: bool) -> None:
    found = records.batches(lines, single, 40)
    assert [line for batch in found for line in batch] == lines
    assert all(len(b"\n".join(batch)) + 1 <= 40 for batch in found)
    assert not single or all(len(batch) == 1 for batch in found)


def test_a_record_that_is_too_large_is_named() -> None:
    with pytest.raises(RecordError, match="record 2 has 9 bytes, and a request 8 at most: raise MaxPayloadInMB"):
        records.batches([b"1", b"123456789"], False, 8)


@pytest.mark.parametrize(
    ("path", "value", "selected"),
    [
        ("$", ROW, ROW),
        ("$[1:]", ROW, ["a", "b", "c"]),
        ("$[0,2:]", ROW, ["7", "b", "c"]),
        ("$[-1]", ROW, "c"),
        ("$.features", OBJECT, [1, 2]),
        ("$['id','SageMakerOutput']", OBJECT, {"id": 7, "SageMakerOutput": {"score": 0.5}}),
        ("$.SageMakerOutput.score", OBJECT, 0.5),
    ],
)
def test_a_path_selects_as_sagemaker_does(path: str, value: Any, selected: Any) -> None:
    assert records.select(records.path(path, "InputFilter"), value) == selected


def test_a_path_that_is_none_or_selects_nothing_is_named() -> None:
    with pytest.raises(Fault, match=r"DataProcessing.InputFilter is '\$\[', which is no JSONPath"):
        records.path("$[", "InputFilter")
    with pytest.raises(RecordError, match="selects nothing of a record"):
        records.select(records.path("$.zzz", "InputFilter"), OBJECT)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0")), min_size=1))
def test_csv_round_trips(row: list[str]) -> None:
    line = records.written(row, "csv")
    if line:  # A single empty field is an empty line.
        assert records.parsed(line, "csv") == row


def test_answers_are_joined_as_sagemaker_does() -> None:
    assert records.joined(ROW, ["1"], "csv") == [*ROW, "1"]
    assert records.joined({"id": 7}, 0.5, "json") == {"id": 7, "SageMakerOutput": 0.5}
    assert records.joined([1, 2], 0.5, "json") == {"SageMakerInput": [1, 2], "SageMakerOutput": 0.5}
    assert records.answers(b'{"a": 1}\n{"a": 2}\n', 2, "json") == [{"a": 1}, {"a": 2}]
    with pytest.raises(RecordError, match="2 records were answered by 1 lines: they cannot be joined"):
        records.answers(json.dumps({"predictions": [1, 2]}).encode(), 2, "json")


def test_what_is_no_record_is_said() -> None:
    with pytest.raises(RecordError, match="a record is no JSON"):
        records.parsed(b"{", "json")
