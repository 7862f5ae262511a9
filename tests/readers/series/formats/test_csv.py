"""Series in CSV, long and wide: the same as in JSON Lines, and what is wrong with a table is told with its place."""

from __future__ import annotations

import gzip
import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.forecasting.calendar import FORM_OF_STAMPS, Frequency
from tests.helpers.series_files import (
    LONG,
    WIDE,
    assert_same,
    csv_of,
    frequencies,
    json_lines_of,
    read_series_files,
    series_records,
    stamps_of,
)


def long_rows(records: list[dict[str, Any]], frequency: Frequency) -> list[list[Any]]:
    return [
        [f"item {number}", stamp, target, *(feature[step] for feature in record["dynamic_feat"])]
        for number, record in enumerate(records)
        for step, (stamp, target) in enumerate(zip(stamps_of(record, frequency), record["target"], strict=True))
    ]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(series_records(), frequencies, st.randoms(use_true_random=False))
def test_a_long_table_gives_what_json_lines_do(
    records: list[dict[str, Any]], frequency: Frequency, random: Any
) -> None:
    """Its rows in any order; without features, steps inside a series may lack their row where nothing was observed."""
    records = [{**record, "cat": []} for record in records]
    rows = long_rows(records, frequency)
    names = [f"feature {number}" for number in range(len(rows[0]) - 3)]
    ends = {
        (f"item {number}", stamps_of(record, frequency)[at]) for number, record in enumerate(records) for at in (0, -1)
    }
    inner = [row for row in rows if row[2] is None and (row[0], row[1]) not in ends and not names]
    rows = [row for row in rows if row not in inner or random.random() < 0.5]
    random.shuffle(rows)
    order = sorted(range(len(records)), key=lambda number: [row[0] for row in rows].index(f"item {number}"))
    expected = read_series_files({"a.json": json_lines_of([records[number] for number in order])}, frequency)
    header = ["item_id", "timestamp", "target", *names]
    assert_same(read_series_files({"a.csv": csv_of([header, *rows])}, frequency), expected)
    assert_same(read_series_files({"a.csv.gz": gzip.compress(csv_of([header, *rows]))}, frequency), expected)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20).flatmap(lambda length: series_records(length, 0)),
    frequencies,
    st.sampled_from(["date", "Timestamp"]),
)
def test_a_wide_table_gives_what_json_lines_do(records: list[dict[str, Any]], frequency: Frequency, time: str) -> None:
    records = [{**record, "cat": []} for record in records]
    targets = zip(*(record["target"] for record in records), strict=True)
    rows = [[stamp, *cells] for stamp, cells in zip(stamps_of(records[0], frequency), targets, strict=True)]
    header = [time, *(f"series {number}" for number in range(len(records)))]
    expected = read_series_files({"a.json": json_lines_of(records)}, frequency)
    assert_same(read_series_files({"a.csv": csv_of([header, *rows])}, frequency), expected)
    assert_same(read_series_files({"a.csv": csv_of([header, *reversed(rows)])}, frequency), expected)


def test_steps_without_a_row_are_missing() -> None:
    text = (
        b"item_id,timestamp,target\nb,2021-01-01 05:00,5\na,2021-01-01,1\nb,2021-01-01 02:00,\nb,2021-01-01 03:00,3\n"
    )
    b, a = read_series_files({"a.csv": text})
    np.testing.assert_array_equal(b.target, np.array([np.nan, 3, np.nan, 5], np.float32))
    assert b.minutes[0] == a.minutes[0] + 120
    assert a.target.tolist() == [1]
    (wide,) = read_series_files({"a.csv": b"date,x\n2021-01-03,3\n2021-01-01,nan\n"}, Frequency.parse("D"))
    np.testing.assert_array_equal(wide.target, np.array([np.nan, np.nan, 3], np.float32))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfitem_id,timestamp,target\r\n\r\na,2021-01-01T00:00:00,1\r\na,2021-01-01T01:00:00,2\r\n",
        b'"item_id","timestamp","target"\n"a","2021-01-01 00:00",1\n\n"a","2021-01-01 01:00"," 2 "',
        b"Target, Date ,item_id\n1,2021-01-01,a\n2,2021-01-01 01:00:00.000,a\n",
        b"unique_id,ds,y\na,2021-01-01,1\na,2021-01-01 01:00:00,2\n",
        b"ds,y\n2021-01-01,1\n2021-01-01 01:00:00,2\n",
    ],
)
def test_the_same_table_as_programs_write_it(text: bytes) -> None:
    (series,) = read_series_files({"a.csv": text})
    assert series.target.tolist() == [1, 2]


def test_months_may_be_stamped_by_any_of_their_days() -> None:
    (series,) = read_series_files(
        {"a.csv": b"date,x\n2021-01-31,1\n2021-02-28,2\n2021-04-30,4\n"}, Frequency.parse("M")
    )
    np.testing.assert_array_equal(series.target, np.array([1, 2, np.nan, 4], np.float32))
    assert series.minutes[1].astype("datetime64[m]") == np.datetime64("2021-02-01T00:00")


@pytest.mark.parametrize("text", [b"", b"\n", b"date,x\n", b"item_id,timestamp,target\n\r\n"])
def test_a_table_without_rows_has_no_series(text: bytes) -> None:
    assert read_series_files({"a.csv": text}) == []


def test_a_table_of_many_blocks_and_items() -> None:
    """Items come and go from one block of text to the next."""
    hours = np.arange(np.datetime64("2001-01-01T00:00:00"), np.datetime64("2001-08-01T00:00:00"), 3600)
    text = io.StringIO("item_id,timestamp,target,f\n")
    text.seek(0, io.SEEK_END)
    text.writelines(f"{name},{hour},{k + 0.5},{-k}\n" for k, hour in enumerate(hours.tolist()) for name in "qwertyui")
    series = read_series_files({"a.csv": text.getvalue().encode()})
    assert len(series) == 8
    for each in series:
        assert each.dynamic is not None
        assert np.array_equal(each.target, np.arange(len(hours)) + 0.5)
        assert np.array_equal(each.dynamic, -np.arange(len(hours))[None])


STAMP = re.escape(FORM_OF_STAMPS)
CSV: dict[str, tuple[bytes, str]] = {
    "no header": (b"1,2\n3,4\n", r"channel train, a\.csv has the header '1,2': it must be item_id, timestamp, target"),
    "no target": (b"item_id,timestamp\n", r"has the header 'item_id,timestamp': it must be item_id"),
    "half long": (b"date,item_id,value\n", r"has the header 'date,item_id,value': it must be item_id"),
    "no series": (b"date\n2021-01-01\n", "has the header 'date': it must be"),
    "no name": (b",item_id,timestamp,target\n", "column 1 has no name in the header: name it, or leave it out"),
    "one name twice": (b"date,x,x\n", "2 columns are called 'x': give each a name of its own"),
    "broken header": (b'date,"x\n', r"a\.csv, line 1: .*A row is a line of UTF-8 with commas"),
    "no text": (b"\xff\xfe\n", r"a\.csv, line 1: .*A row is a line of UTF-8 with commas"),
    "no text below": (LONG + b"a\xff,2021-01-01,1,1\n", r"a\.csv, line 3: .*A row is a line of UTF-8"),
    "too few cells": (LONG + b"\na,2021-01-01 01:00,1\n", r"a\.csv, line 4: 3 cells where the header has 4: complete"),
    "too many cells": (WIDE + b"2021-01-02,1,2,3\n", r"a\.csv, line 3: 4 cells where the header has 3"),
    "no item": (LONG + b",2021-01-01 01:00,1,1\n", r"a\.csv, line 3: item_id is empty: name the item"),
    "semicolons": (
        b"unique_id;ds;y\na;2021-01-01;3\n",
        "commas separate the cells of a CSV file, not semicolons",
    ),
    "tabs": (b"unique_id\tds\ty\na\t2021-01-01\t3\n", "commas separate the cells of a CSV file, not tabs"),
    "columns of other names": (b"store,date,sales\na,2021-01-01,3\n", r"unique_id, ds, y.*: rename the columns"),
    "no date": (WIDE + b"01/02/2021,1,2\n", rf"a\.csv, line 3: date is '01/02/2021': {STAMP}"),
    "no date at all": (LONG + b"a,,1,1\n", rf"a\.csv, line 3: timestamp is '': {STAMP}"),
    "no such date": (WIDE + b"2021-02-30,1,2\n", rf"line 3: date is '2021-02-30': {STAMP}"),
    "a time zone": (WIDE + b"2021-01-02 00:00:00+02:00,1,2\n", rf"is '2021-01-02 00:00:00\+02:00': {STAMP}"),
    "the year 0": (WIDE + b"0000-01-01,1,2\n", rf"line 3: date is '0000-01-01': {STAMP}"),
    "a text": (WIDE + b"2021-01-02,1,two\n", r"line 3: y is 'two': it must be a number, 1\.0e\+16 at most, or empty"),
    "infinite": (WIDE + b"2021-01-02,-inf,2\n", "line 3: x is '-inf': it must be a number"),
    "beyond float32": (WIDE + b"2021-01-02,1e39,2\n", "line 3: x is '1e39': it must be a number"),
    "beyond float64": (WIDE + b"2021-01-02,1e390,2\n", "line 3: x is '1e390': it must be a number"),
    "no feature": (
        LONG + b"a,2021-01-01 01:00,1,\n",
        "line 3: f is '': a dynamic feature must be a number at every time",
    ),
    "feature nan": (LONG + b"a,2021-01-01 01:00,1,nan\n", "line 3: f is 'nan': a dynamic feature must be a number"),
    "feature text": (LONG + b"a,2021-01-01 01:00,1,red\n", "line 3: f is 'red': a dynamic feature must be a number"),
    "off the grid": (
        b"item_id,timestamp,target\nb,2021-01-01 00:07,1\n\n"
        b"a,2021-01-01 05:00,1\na,2021-01-01 00:07,1\nb,2021-01-01 03:07,1",
        r"channel train, a\.csv, line 4, item 'a': 2021-01-01 05:00:00 is no whole number of steps of time_freq H "
        "after 2021-01-01 00:07:00, the first time stamp: mend it, or set time_freq",
    ),
    "seconds off the grid": (WIDE + b"2021-01-01 01:00:30,1,2\n", r"a\.csv, line 3: 2021-01-01 01:00:30 is no whole"),
    "twice": (
        LONG + b"b,2021-01-01,1,1\n\na,2021-01-01,2,1\n",
        r"a\.csv, line 5, item 'a': 2021-01-01 00:00:00 is in a step of time_freq H that has a row already: keep one",
    ),
    "wide twice": (WIDE + b"2021-01-01,1,2\n", r"a\.csv, line 3: 2021-01-01 00:00:00 is in a step of .* row already"),
    "features with a gap": (
        LONG + b"a,2021-01-01 02:00,1,1\n",
        r"a\.csv, line 2, item 'a': the step of time_freq H after 2021-01-01 00:00:00 has no row, and dynamic features "
        "must be known at every step: add the row, its target empty",
    ),
    "endless": (
        WIDE + b"9021-01-01,1,2\n",
        r"a\.csv, line 3: from 2021-01-01 00:00:00 to 9021-01-01 00:00:00 are 61,\d+,\d+ steps of time_freq H: a "
        "series has 20,000,000 at most",
    ),
}


@pytest.mark.parametrize("what", sorted(CSV))
def test_a_bad_table_is_refused(what: str) -> None:
    data, message = CSV[what]
    with pytest.raises(UserError, match=message):
        read_series_files({"a.csv": data})
    with pytest.raises(UserError, match=message.replace(r"\.csv", r"\.csv\.gz")):
        read_series_files({"a.csv.gz": gzip.compress(data)})


@pytest.mark.parametrize(
    ("frequency", "second", "message"),
    [
        ("M", "2021-01-31", "2021-01-31 00:00:00 is in a step of time_freq M that has a row already"),
        (
            "2M",
            "2021-02-01",
            "2021-02-01 00:00:00 is no whole number of steps of time_freq 2M after 2021-01-01 00:00:00",
        ),
        ("W", "2021-01-07", "2021-01-07 00:00:00 is no whole number of steps of time_freq W after"),
        ("15min", "2021-01-01 00:40", "2021-01-01 00:40:00 is no whole number of steps of time_freq 15min after"),
    ],
)
def test_the_step_is_time_freq(frequency: str, second: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"a\.csv, line 3: {message}"):
        read_series_files({"a.csv": f"date,x\n2021-01-01,1\n{second},2\n".encode()}, Frequency.parse(frequency))


def test_a_broken_gzip_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"channel train, a\.csv\.gz is not a readable gzip file"):
        read_series_files({"a.csv.gz": gzip.compress(WIDE)[:-5]})


@pytest.mark.slow
def test_a_fault_far_down_is_told_with_its_line() -> None:
    hours = np.arange(np.datetime64("1901-01-01T00:00:00"), np.datetime64("1907-01-01T00:00:00"), 3600)
    rows = [f"{hour},1,2" for hour in hours.tolist()]
    for bad, message in (("2021-01-01,1,x", "y is 'x'"), ("1905-01-01,1,2", "1905-01-01 00:00:00 is in a step")):
        text = "\n".join(["date,x,y", *rows[:50_000], bad, *rows[50_000:]]).encode()
        with pytest.raises(UserError, match=rf"a\.csv, line 50002: {message}"):
            read_series_files({"a.csv": text})
