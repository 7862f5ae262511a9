"""Series in Parquet: the same as in JSON Lines, a few at a time, and what is refused."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.readers.series.formats import parquet as series_parquet
from tests.helpers.series_files import (
    assert_same,
    columns_of,
    flat_records,
    json_lines_of,
    parquet_of,
    read_series_files,
    record_of,
    series_records,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(series_records(), st.sampled_from(["snappy", "gzip", "none"]))
def test_parquet_gives_what_json_lines_do(records: list[dict[str, Any]], compression: str) -> None:
    expected = read_series_files({"a.json": json_lines_of(records)})
    assert_same(read_series_files({"a.parquet": parquet_of(records, compression=compression)}), expected)
    assert_same(read_series_files({"a.json.gz": gzip.compress(json_lines_of(records))}), expected)


@pytest.mark.parametrize("most", [1, 40, 10**9])
def test_long_series_of_parquet_are_read_a_few_at_a_time(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_parquet, "BATCH_VALUES", most)
    made = [{**record, "dynamic_feat": [[1.0] * 24]} for record in flat_records(8)]
    assert_same(
        read_series_files({"a.parquet": parquet_of(made, row_group_size=5)}),
        read_series_files({"a.json": json_lines_of(made)}),
    )


@pytest.mark.parametrize(
    "start",
    [
        pa.array(["2021-01-01 03:00:00"]),
        pa.array(["2021-01-01 03:00:00"]).dictionary_encode(),
        *[pa.array([np.datetime64("2021-01-01T03:00:00", unit)]) for unit in ("s", "ms", "us", "ns")],
        pa.array([np.datetime64("2021-01-01T03:00:00", "us")]).cast(pa.timestamp("us", "UTC")),
    ],
    ids=lambda start: str(start.type),
)
@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.int8()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 3), pa.list_(pa.decimal128(5))],
    ids=str,
)
def test_the_types_of_parquet(start: Any, kind: Any) -> None:
    (series,) = read_series_files(
        {"a.parquet": columns_of(start=start, other=pa.array(["x"]), target=pa.array([[1, None, 3]], kind))}
    )
    assert_same(
        [series],
        read_series_files({"a.json": json_lines_of([{"start": "2021-01-01 03:00:00", "target": [1, None, 3]}])}),
    )


def test_series_count_through_the_batches_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_parquet, "BATCH_SERIES", 1)
    with pytest.raises(UserError, match=r"channel train, a\.parquet, series 3: target is None"):
        read_series_files({"a.parquet": parquet_of([record_of(), record_of(), record_of(target=None)])})


PARQUET: dict[str, tuple[bytes, str]] = {
    "no parquet": (b"PAR1 but no more", r"channel train, a\.parquet is not a readable Parquet file: "),
    "empty": (b"", r"channel train, a\.parquet is not a readable Parquet file: "),
    "cut short": (parquet_of([record_of()])[:-20], r"a\.parquet is not a readable Parquet file: "),
    "damaged": (
        parquet_of([record_of()])[:40] + b"\0" * 60 + parquet_of([record_of()])[100:],
        r"a\.parquet is not a readable Parquet",
    ),
    "other columns": (
        columns_of(start=["2021-01-01"], values=[[1.0]]),
        r"a\.parquet has the columns \['start', 'values'\]: a table of series has start and target",
    ),
    "a number a row": (
        columns_of(start=["2021-01-01"], target=[1.0]),
        r"a\.parquet: column target holds double: it must hold lists of numbers",
    ),
    "lists of text": (
        columns_of(start=["2021-01-01"], target=[["1"]]),
        r"column target holds list<\w+: string>: it must",
    ),
    "lists of truths": (columns_of(start=["2021-01-01"], target=[[True]]), "column target holds .*bool"),
    "lists of lists": (
        columns_of(start=["2021-01-01"], target=[[[1.0]]]),
        "column target holds .*: it must hold lists of",
    ),
    "features of one": (
        columns_of(start=["2021-01-01"], target=[[1.0]], dynamic_feat=[[1.0]]),
        r"a\.parquet: column dynamic_feat holds .*: it must hold lists of lists of numbers",
    ),
    "start of numbers": (
        columns_of(start=[1], target=[[1.0]]),
        r"a\.parquet: column start holds int64: it must hold time stamps, or text YYYY-MM-DD HH:MM:SS",
    ),
    "a time zone": (
        columns_of(start=pa.array([1], pa.timestamp("us", "Europe/Rome")), target=[[1.0]]),
        r"a\.parquet: column start has the time zone Europe/Rome: give local time without a zone, or UTC",
    ),
}


@pytest.mark.parametrize("what", sorted(PARQUET))
def test_a_bad_parquet_file_is_refused(what: str) -> None:
    data, message = PARQUET[what]
    with pytest.raises(UserError, match=message):
        read_series_files({"a.parquet": data})
