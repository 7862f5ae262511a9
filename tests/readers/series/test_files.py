"""Series from files: every format gives the same, and what is wrong with one is told with its place."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.store import SeriesStore
from polyadic.forecasting.windows import Series
from polyadic.readers.series import grid as _series_grid
from polyadic.readers.series import parquet as _series_parquet
from polyadic.readers.series.channel import read_seen, read_test, read_train
from polyadic.readers.series.files import Share, read_files
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import FORECASTER, job, lines, records

HOUR = Frequency.parse("H")


def read(files: dict[str, bytes], frequency: Frequency = HOUR, folder: Path | None = None) -> list[Series]:
    with tempfile.TemporaryDirectory() as made:
        paths = []
        for name, data in files.items():
            path = (folder or Path(made)) / name
            path.write_bytes(data)
            paths.append(path)
        return list(read_files(paths, "train", frequency, lambda target: None)[0])


def table(records: list[dict[str, Any]], **settings: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(records), out, **settings)
    return out.getvalue()


def columns(**named: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(named), out)
    return out.getvalue()


def csv_of(rows: list[list[Any]]) -> bytes:
    return "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows).encode()


def same(one: list[Series], other: list[Series]) -> None:
    assert len(one) == len(other)
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine.target, yours.target)
        np.testing.assert_array_equal(mine.minutes, yours.minutes)
        assert mine.target.dtype == yours.target.dtype == np.float32
        assert mine.cat == yours.cat
        assert (mine.dynamic is None) == (yours.dynamic is None)
        if mine.dynamic is not None and yours.dynamic is not None:
            assert mine.dynamic.dtype == yours.dynamic.dtype == np.float32
            np.testing.assert_array_equal(mine.dynamic, yours.dynamic)


def stamps(record: dict[str, Any], frequency: Frequency) -> list[str]:
    start = np.datetime64(record["start"], "m").item()
    minutes = frequency.minutes(start, len(record["target"])).astype("datetime64[m]")
    return [str(one).replace("T", " ") + ":00" for one in minutes]


def long_rows(records: list[dict[str, Any]], frequency: Frequency) -> list[list[Any]]:
    return [
        [f"item {number}", stamp, target, *(feature[at] for feature in record["dynamic_feat"])]
        for number, record in enumerate(records)
        for at, (stamp, target) in enumerate(zip(stamps(record, frequency), record["target"], strict=True))
    ]


FLOATS = st.floats(-1e6, 1e6, width=32)


def has_a_value(target: tuple[float | None, ...]) -> bool:
    return set(target) != {None}


@st.composite
def some_series(draw: st.DrawFn, length: int | None = None, features: int | None = None) -> list[dict[str, Any]]:
    """Records; of one start and one length where this is given."""
    cats = draw(st.integers(0, 2))
    features = draw(st.integers(0, 2)) if features is None else features
    days = st.integers(0, 12_000).map(lambda day: str(np.datetime64("1995-01-01") + day) + " 07:00:00")
    start = draw(days)
    made = []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 20)) if length is None else length
        values = [FLOATS] * steps
        made.append(
            {
                "start": draw(days) if length is None else start,
                "target": list(draw(st.tuples(*(FLOATS | st.none() for _ in values)).filter(has_a_value))),
                "cat": [draw(st.integers(0, 9)) for _ in range(cats)],
                "dynamic_feat": [list(draw(st.tuples(*values))) for _ in range(features)],
            }
        )
    return made


FREQUENCIES = st.sampled_from(["H", "15min", "D", "2D", "W", "M", "3M"]).map(Frequency.parse)


@settings(max_examples=60, deadline=None)
@given(some_series(), st.sampled_from(["snappy", "gzip", "none"]))
def test_parquet_gives_what_json_lines_do(records: list[dict[str, Any]], compression: str) -> None:
    expected = read({"a.json": lines(records)})
    same(read({"a.parquet": table(records, compression=compression)}), expected)
    same(read({"a.json.gz": gzip.compress(lines(records))}), expected)


@pytest.mark.parametrize("most", [1, 40, 10**9])
def test_long_series_of_parquet_are_read_a_few_at_a_time(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_series_parquet, "VALUES_AT_ONCE", most)
    made = [{**one, "dynamic_feat": [[1.0] * 24]} for one in records(8)]
    same(read({"a.parquet": table(made, row_group_size=5)}), read({"a.json": lines(made)}))


def test_a_share_is_every_so_many_series_of_all_files(tmp_path: Path) -> None:
    for name, some in (("a.json", records(4)), ("b.json", records(3, 30))):
        (tmp_path / name).write_bytes(lines(some))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    whole, extent = read_files(paths, "train", HOUR, lambda target: None)
    for part in range(3):
        found, same_extent = read_files(paths, "train", HOUR, lambda target: None, share=Share(part, 3))
        same(list(found), list(whole)[part::3])
        assert same_extent == extent


@settings(max_examples=60, deadline=None)
@given(some_series(), FREQUENCIES, st.randoms(use_true_random=False))
def test_a_long_table_gives_what_json_lines_do(
    records: list[dict[str, Any]], frequency: Frequency, random: Any
) -> None:
    """Its rows in any order; without features, steps inside a series may lack their row where nothing was observed."""
    records = [{**record, "cat": []} for record in records]
    rows = long_rows(records, frequency)
    names = [f"feature {number}" for number in range(len(rows[0]) - 3)]
    ends = {
        (f"item {number}", stamps(record, frequency)[at]) for number, record in enumerate(records) for at in (0, -1)
    }
    inner = [row for row in rows if row[2] is None and (row[0], row[1]) not in ends and not names]
    rows = [row for row in rows if row not in inner or random.random() < 0.5]
    random.shuffle(rows)
    order = sorted(range(len(records)), key=lambda number: [row[0] for row in rows].index(f"item {number}"))
    expected = read({"a.json": lines([records[number] for number in order])}, frequency)
    header = ["item_id", "timestamp", "target", *names]
    same(read({"a.csv": csv_of([header, *rows])}, frequency), expected)
    same(read({"a.csv.gz": gzip.compress(csv_of([header, *rows]))}, frequency), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20).flatmap(lambda length: some_series(length, 0)),
    FREQUENCIES,
    st.sampled_from(["date", "Timestamp"]),
)
def test_a_wide_table_gives_what_json_lines_do(records: list[dict[str, Any]], frequency: Frequency, time: str) -> None:
    records = [{**record, "cat": []} for record in records]
    targets = zip(*(record["target"] for record in records), strict=True)
    rows = [[stamp, *cells] for stamp, cells in zip(stamps(records[0], frequency), targets, strict=True)]
    header = [time, *(f"series {number}" for number in range(len(records)))]
    expected = read({"a.json": lines(records)}, frequency)
    same(read({"a.csv": csv_of([header, *rows])}, frequency), expected)
    same(read({"a.csv": csv_of([header, *reversed(rows)])}, frequency), expected)


def test_steps_without_a_row_are_missing() -> None:
    text = (
        b"item_id,timestamp,target\nb,2021-01-01 05:00,5\na,2021-01-01,1\nb,2021-01-01 02:00,\nb,2021-01-01 03:00,3\n"
    )
    b, a = read({"a.csv": text})
    np.testing.assert_array_equal(b.target, np.array([np.nan, 3, np.nan, 5], np.float32))
    assert b.minutes[0] == a.minutes[0] + 120
    assert a.target.tolist() == [1]
    (wide,) = read({"a.csv": b"date,x\n2021-01-03,3\n2021-01-01,nan\n"}, Frequency.parse("D"))
    np.testing.assert_array_equal(wide.target, np.array([np.nan, np.nan, 3], np.float32))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfitem_id,timestamp,target\r\n\r\na,2021-01-01T00:00:00,1\r\na,2021-01-01T01:00:00,2\r\n",
        b'"item_id","timestamp","target"\n"a","2021-01-01 00:00",1\n\n"a","2021-01-01 01:00"," 2 "',
        b"Target, Date ,item_id\n1,2021-01-01,a\n2,2021-01-01 01:00:00.000,a\n",
    ],
)
def test_the_same_table_as_programs_write_it(text: bytes) -> None:
    (one,) = read({"a.csv": text})
    assert one.target.tolist() == [1, 2]


def test_months_may_be_stamped_by_any_of_their_days() -> None:
    (one,) = read({"a.csv": b"date,x\n2021-01-31,1\n2021-02-28,2\n2021-04-30,4\n"}, Frequency.parse("M"))
    np.testing.assert_array_equal(one.target, np.array([1, 2, np.nan, 4], np.float32))
    assert one.minutes[1].astype("datetime64[m]") == np.datetime64("2021-02-01T00:00")


@pytest.mark.parametrize("text", [b"", b"\n", b"date,x\n", b"item_id,timestamp,target\n\r\n"])
def test_a_table_without_rows_has_no_series(text: bytes) -> None:
    assert read({"a.csv": text}) == []


def test_a_table_of_many_blocks_and_items() -> None:
    """Items come and go from one block of text to the next."""
    hours = np.arange(np.datetime64("2001-01-01T00:00:00"), np.datetime64("2001-08-01T00:00:00"), 3600)
    text = io.StringIO("item_id,timestamp,target,f\n")
    text.seek(0, io.SEEK_END)
    text.writelines(f"{name},{at},{k + 0.5},{-k}\n" for k, at in enumerate(hours.tolist()) for name in "qwertyui")
    series = read({"a.csv": text.getvalue().encode()})
    assert len(series) == 8
    for one in series:
        assert one.dynamic is not None
        assert np.array_equal(one.target, np.arange(len(hours)) + 0.5)
        assert np.array_equal(one.dynamic, -np.arange(len(hours))[None])


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
    (one,) = read({"a.parquet": columns(start=start, other=pa.array(["x"]), target=pa.array([[1, None, 3]], kind))})
    same([one], read({"a.json": lines([{"start": "2021-01-01 03:00:00", "target": [1, None, 3]}])}))


@pytest.mark.parametrize("nothing", [{}, {"cat": None, "dynamic_feat": None}, {"cat": [], "dynamic_feat": []}])
def test_no_features_are_written_in_many_ways(nothing: dict[str, Any]) -> None:
    record = {"start": "2021-01-01 03:00:00", "target": [1, 2], **nothing}
    for files in ({"a.json": lines([record])}, {"a.parquet": table([record])}):
        (one,) = read(files)
        assert one.cat == ()
        assert one.dynamic is None


def series(**changes: Any) -> dict[str, Any]:
    return {"start": "2021-01-01 00:00:00", "target": [1, 2, None], **changes}


LONG = b"item_id,timestamp,target,f\na,2021-01-01,1,1\n"
WIDE = b"date,x,y\n2021-01-01,1,2\n"
STAMP = "it must be a time stamp such as '2014-01-31 06:00:00', without a time zone"
RECORDS: dict[str, tuple[list[Any], str]] = {
    "cat of text": ([series(cat=["a"])], r"series 1: cat is \['a'\]: it must be a list of whole numbers from 0"),
    "cat below 0": ([series(cat=[0, -1])], r"cat is \[0, -1\]: it must be"),
    "cat of a fraction": ([series(cat=[0.5])], r"cat is \[0\.5\]: it must be"),
    "a null in cat": ([series(cat=[1]), series(cat=[None])], r"series 2: cat is \[None\]: it must be"),
    "cat is a number": ([series(cat=3)], "cat is 3: it must be"),
    "fewer cat": (
        [series(cat=[1, 2]), series(cat=[1])],
        "channel train, FILE, series 2: cat has 1 entries, and 2 in FILE, series 1: all series of a channel must",
    ),
    "no cat": ([series(cat=[1]), series(cat=None)], "series 2: cat has 0 entries, and 1 in FILE, series 1"),
    "fewer features": (
        [series(dynamic_feat=[[1, 2, 3]]), series(dynamic_feat=[])],
        "channel train, FILE, series 2: dynamic_feat has 0 entries, and 1 in FILE, series 1",
    ),
    "a missing value": (
        [series(dynamic_feat=[[1, 2, 3], [1, None, 3]])],
        r"channel train, FILE, series 1: dynamic_feat\[1\] has no number at place 2: only target may have missing",
    ),
    "no feature": (
        [series(dynamic_feat=[[1, 2, 3], None])],
        r"dynamic_feat\[1\] is None: it must be a list of numbers",
    ),
    "a short feature": (
        [series(dynamic_feat=[[1, 2]])],
        r"dynamic_feat\[0\] has 2 values: there must be 3, as many as",
    ),
    "a long feature": ([series(dynamic_feat=[[1, 2, 3, 4]])], r"dynamic_feat\[0\] has 4 values: there must be 3, as m"),
    "beyond float32": (
        [series(dynamic_feat=[[1, 2, 1e39]])],
        r"dynamic_feat\[0\] holds 1e\+39 at place 3, which is beyond",
    ),
    "target beyond float32": ([series(target=[-1e39])], r"target holds -1e\+39 at place 1, which is beyond 3\.4e"),
    "no target": ([series(target=[1]), series(target=None)], "series 2: target is None: it must be a list of numbers"),
    "no start": ([series(start=None)], "series 1: start is None: it must be a time stamp"),
    "no date": ([series(start="yesterday")], "series 1: start is 'yesterday': it must be a time stamp"),
}


@pytest.mark.parametrize("name", ["a.json", "a.parquet"])
@pytest.mark.parametrize("what", sorted(RECORDS))
def test_a_bad_record_is_refused(what: str, name: str) -> None:
    bad, message = RECORDS[what]
    message = message if name == "a.parquet" else message.replace("series ", "line ").replace("all line", "all series")
    with pytest.raises(UserError, match=message.replace("FILE", re.escape(name))):
        read({name: table(bad) if name == "a.parquet" else lines(bad)})


def test_blank_lines_count() -> None:
    with pytest.raises(UserError, match=r"channel train, a\.json, line 4: cat is 'a'"):
        read({"a.json": b"\n" + lines([series()]) + b"\n" + lines([series(cat="a")])})


def test_series_count_through_the_batches_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_series_parquet, "AT_ONCE", 1)
    with pytest.raises(UserError, match=r"channel train, a\.parquet, series 3: target is None"):
        read({"a.parquet": table([series(), series(), series(target=None)])})


def test_a_feature_that_is_no_list_is_refused() -> None:
    with pytest.raises(UserError, match=r"dynamic_feat is 5: it must be a list of features, each a list of numbers"):
        read({"a.json": lines([series(dynamic_feat=5)])})
    with pytest.raises(UserError, match=r"dynamic_feat\[0\] is 1: it must be a list of numbers, one a time stamp"):
        read({"a.json": lines([series(dynamic_feat=[1, 2, 3])])})


PARQUET: dict[str, tuple[bytes, str]] = {
    "no parquet": (b"PAR1 but no more", r"channel train, a\.parquet is not a readable Parquet file: "),
    "empty": (b"", r"channel train, a\.parquet is not a readable Parquet file: "),
    "cut short": (table([series()])[:-20], r"a\.parquet is not a readable Parquet file: "),
    "damaged": (table([series()])[:40] + b"\0" * 60 + table([series()])[100:], r"a\.parquet is not a readable Parquet"),
    "other columns": (
        columns(start=["2021-01-01"], values=[[1.0]]),
        r"a\.parquet has the columns \['start', 'values'\]: a table of series has start and target",
    ),
    "a number a row": (
        columns(start=["2021-01-01"], target=[1.0]),
        r"a\.parquet: column target holds double: it must hold lists of numbers",
    ),
    "lists of text": (columns(start=["2021-01-01"], target=[["1"]]), r"column target holds list<\w+: string>: it must"),
    "lists of truths": (columns(start=["2021-01-01"], target=[[True]]), "column target holds .*bool"),
    "lists of lists": (
        columns(start=["2021-01-01"], target=[[[1.0]]]),
        "column target holds .*: it must hold lists of",
    ),
    "features of one": (
        columns(start=["2021-01-01"], target=[[1.0]], dynamic_feat=[[1.0]]),
        r"a\.parquet: column dynamic_feat holds .*: it must hold lists of lists of numbers",
    ),
    "start of numbers": (
        columns(start=[1], target=[[1.0]]),
        r"a\.parquet: column start holds int64: it must hold time stamps, or text YYYY-MM-DD HH:MM:SS",
    ),
    "a time zone": (
        columns(start=pa.array([1], pa.timestamp("us", "Europe/Rome")), target=[[1.0]]),
        r"a\.parquet: column start has the time zone Europe/Rome: give local time without a zone, or UTC",
    ),
}


@pytest.mark.parametrize("what", sorted(PARQUET))
def test_a_bad_parquet_file_is_refused(what: str) -> None:
    data, message = PARQUET[what]
    with pytest.raises(UserError, match=message):
        read({"a.parquet": data})


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
    "no date": (WIDE + b"01/02/2021,1,2\n", rf"a\.csv, line 3: date is '01/02/2021': {STAMP}"),
    "no date at all": (LONG + b"a,,1,1\n", rf"a\.csv, line 3: timestamp is '': {STAMP}"),
    "no such date": (WIDE + b"2021-02-30,1,2\n", rf"line 3: date is '2021-02-30': {STAMP}"),
    "a time zone": (WIDE + b"2021-01-02 00:00:00+02:00,1,2\n", rf"is '2021-01-02 00:00:00\+02:00': {STAMP}"),
    "the year 0": (WIDE + b"0000-01-01,1,2\n", rf"line 3: date is '0000-01-01': {STAMP}"),
    "a text": (WIDE + b"2021-01-02,1,two\n", r"line 3: y is 'two': it must be a number, 3\.4e\+38 at most, or empty"),
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
        read({"a.csv": data})
    with pytest.raises(UserError, match=message.replace(r"\.csv", r"\.csv\.gz")):
        read({"a.csv.gz": gzip.compress(data)})


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
        read({"a.csv": f"date,x\n2021-01-01,1\n{second},2\n".encode()}, Frequency.parse(frequency))


def test_a_broken_gzip_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"channel train, a\.csv\.gz is not a readable gzip file"):
        read({"a.csv.gz": gzip.compress(WIDE)[:-5]})


def test_a_fault_far_down_is_told_with_its_line() -> None:
    hours = np.arange(np.datetime64("1901-01-01T00:00:00"), np.datetime64("1907-01-01T00:00:00"), 3600)
    rows = [f"{at},1,2" for at in hours.tolist()]
    for bad, message in (("2021-01-01,1,x", "y is 'x'"), ("1905-01-01,1,2", "1905-01-01 00:00:00 is in a step")):
        text = "\n".join(["date,x,y", *rows[:50_000], bad, *rows[50_000:]]).encode()
        with pytest.raises(UserError, match=rf"a\.csv, line 50002: {message}"):
            read({"a.csv": text})


def test_an_item_in_two_files_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"channel train, b\.csv, item 'a' is in a\.csv as well: put all rows of an item in one file"
    ):
        read({"a.csv": LONG, "b.csv": LONG})
    assert len(read({"a.csv": WIDE, "b.csv": WIDE})) == 4


def test_files_that_differ_in_their_features_are_refused() -> None:
    message = r"channel train, b\.csv, item 'a': dynamic_feat has 1 entries, and 0 in a\.json, line 1"
    with pytest.raises(UserError, match=message):
        read({"a.json": lines([series()]), "b.csv": LONG})


def test_a_target_that_is_refused_is_told_with_its_place(tmp_path: Path) -> None:
    def refuse(target: Any) -> None:
        if (target < 0).any():
            raise UserError("target is below 0")

    for name, data, place in (
        ("a.csv", LONG + b"b,2021-01-01,-1,1\n", "item 'b'"),
        ("b.csv", WIDE + b"2021-01-02,1,-2\n", "column 'y'"),
        ("a.json", lines([series(), series(target=[-1])]), "line 2"),
        ("a.parquet", table([series(), series(target=[-1])]), "series 2"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"channel test, {re.escape(name)}, {place}: target is below 0"):
            read_files([tmp_path / name], "test", HOUR, refuse)


def channel(folder: Path, files: dict[str, bytes], **changes: Any) -> SeriesStore:
    """The channel `train` as a job reads it."""
    _, prepared = job({**FORECASTER, **changes}, folder, {"train": files})
    return read_train(prepared)


def test_a_job_reads_all_formats_of_a_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hours = stamps({"start": "2021-01-01 00:00:00", "target": [0.0] * 60}, HOUR)
    wide = csv_of([["date", "x"], *([hour, at] for at, hour in enumerate(hours))])
    long = csv_of([["item_id", "timestamp", "target"], *(["a", hour, at] for at, hour in enumerate(hours))])
    files = {
        "a.json": lines(records()),
        "b.parquet": table(records()),
        "sub/c.csv": wide,
        "d.csv.gz": gzip.compress(long),
        "notes.txt": b"left alone",
    }
    assert len(channel(tmp_path, files)) == 10
    assert "warning" not in capsys.readouterr().err
    algorithm, prepared = job({**FORECASTER, "epochs": "1"}, tmp_path, {"train": files, "test": {"c.csv": wide}})
    assert np.isfinite(algorithm.fit(prepared).metrics["test:RMSE"])  # type: ignore[attr-defined]


def test_few_observations_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    channel(tmp_path, {"a.json": lines(records())})
    assert "warning: channel train has 92 observations: give 300 or more" in capsys.readouterr().err


def test_the_likelihood_refuses_a_target(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"channel train, a\.json, line 1: target holds 1 at place 1, but likelihood beta"
    ):
        channel(tmp_path, {"a.json": lines([series()])}, likelihood="beta")


def on_each_rank(world: World, folder: Path) -> tuple[list[str], dict[str, list[int]]]:
    """What is said where two hosts differ in their cat, and which series are read where two ranks share a host."""
    return _said(world, folder), _dealt(replace(world, local_rank=world.rank, local_size=2), folder / "dealt")


def _said(world: World, folder: Path) -> list[str]:
    """Of a channel that is divided between two hosts, where both have one cat, and where one has two."""
    said = []
    for case, cat in enumerate(([3], [0, 1])):
        data = lines([series(cat=cat if world.rank else [0])])
        files = {f"{'ab'[world.rank]}.json": data}
        _, prepared = job(FORECASTER, folder / f"{case}{world.rank}", {"train": files}, None, world)
        channels = {"train": replace(prepared.channels["train"], divided=True)}
        try:
            read_train(replace(prepared, channels=channels))
            said.append("taken")
        except UserError as error:
            said.append(str(error))
    return said


def _dealt(world: World, folder: Path) -> dict[str, list[int]]:
    """The first values of a rank's series, by what the channel is for and whether each host has its own."""
    data = [lines([series(target=[float(number)] * 9) for number in some]) for some in ([0, 1, 2], [3, 4])]
    files = dict(zip(("a.json", "b.json"), data, strict=True))
    channels = dict.fromkeys(("train", "validation", "test"), files)
    _, prepared = job(FORECASTER, folder / str(world.rank), channels, None, world)
    found = {}
    for kind, divided in itertools.product(channels, (False, True)):
        opened = {name: replace(one, divided=divided) for name, one in prepared.channels.items()}
        here = replace(prepared, channels=opened)
        read = {"train": read_train, "test": read_test}.get(kind, lambda each: read_seen(each, "validation"))
        found[f"{kind}, divided" if divided else kind] = [int(one.target[0]) for one in read(here)]
    return found


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return on_ranks(2, on_each_rank, tmp_path_factory.mktemp("ranks"), hosts=2)


def test_the_ranks_of_a_host_share_what_is_its_own_and_all_share_what_is_tested(two_ranks: list[Any]) -> None:
    for (_, dealt), part in zip(two_ranks, ([0, 2, 4], [1, 3]), strict=True):
        assert dealt.pop("train") == dealt.pop("validation") == [0, 1, 2, 3, 4]
        assert dealt == dict.fromkeys(("train, divided", "validation, divided", "test", "test, divided"), part)


def test_hosts_that_differ_in_their_features_are_refused(two_ranks: list[Any]) -> None:
    for (taken, refused), _ in two_ranks:
        assert taken == "taken"
        assert refused == (
            "channel train, b.json, line 1: cat has 2 entries, and 1 in a.json, line 1: all series of a channel "
            "must have the same number"
        )


def test_the_longest_series_is_taken() -> None:
    codes, at = np.zeros(2, np.int64), np.array([0, (_series_grid.LONGEST - 1) * 3_600_000_000])
    assert isinstance(_series_grid.lay(codes, at, HOUR, False), _series_grid.Grid)
    assert isinstance(_series_grid.lay(codes, at + 3_600_000_000 * codes.argsort(), HOUR, False), _series_grid.Misfit)
