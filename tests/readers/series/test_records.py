"""DeepAR's records, whatever file they stand in: what they may leave out, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from polyadic.errors import UserError
from tests.helpers.series_files import json_lines_of, parquet_of, read_series_files, record_of


@pytest.mark.parametrize("nothing", [{}, {"cat": None, "dynamic_feat": None}, {"cat": [], "dynamic_feat": []}])
def test_no_features_are_written_in_many_ways(nothing: dict[str, Any]) -> None:
    record = {"start": "2021-01-01 03:00:00", "target": [1, 2], **nothing}
    for files in ({"a.json": json_lines_of([record])}, {"a.parquet": parquet_of([record])}):
        (series,) = read_series_files(files)
        assert series.cat == ()
        assert series.dynamic is None


RECORDS: dict[str, tuple[list[Any], str]] = {
    "cat of text": ([record_of(cat=["a"])], r"series 1: cat is \['a'\]: it must be a list of whole numbers from 0"),
    "cat below 0": ([record_of(cat=[0, -1])], r"cat is \[0, -1\]: it must be"),
    "cat of a fraction": ([record_of(cat=[0.5])], r"cat is \[0\.5\]: it must be"),
    "a null in cat": ([record_of(cat=[1]), record_of(cat=[None])], r"series 2: cat is \[None\]: it must be"),
    "cat is a number": ([record_of(cat=3)], "cat is 3: it must be"),
    "fewer cat": (
        [record_of(cat=[1, 2]), record_of(cat=[1])],
        "channel train, FILE, series 2: cat has 1 entries, and 2 in FILE, series 1: all series of a channel must",
    ),
    "no cat": ([record_of(cat=[1]), record_of(cat=None)], "series 2: cat has 0 entries, and 1 in FILE, series 1"),
    "fewer features": (
        [record_of(dynamic_feat=[[1, 2, 3]]), record_of(dynamic_feat=[])],
        "channel train, FILE, series 2: dynamic_feat has 0 entries, and 1 in FILE, series 1",
    ),
    "a missing value": (
        [record_of(dynamic_feat=[[1, 2, 3], [1, None, 3]])],
        r"channel train, FILE, series 1: dynamic_feat\[1\] has no number at place 2: only target may have missing",
    ),
    "no feature": (
        [record_of(dynamic_feat=[[1, 2, 3], None])],
        r"dynamic_feat\[1\] is None: it must be a list of numbers",
    ),
    "a short feature": (
        [record_of(dynamic_feat=[[1, 2]])],
        r"dynamic_feat\[0\] has 2 values: there must be 3, as many as",
    ),
    "a long feature": (
        [record_of(dynamic_feat=[[1, 2, 3, 4]])],
        r"dynamic_feat\[0\] has 4 values: there must be 3, as m",
    ),
    "beyond float32": (
        [record_of(dynamic_feat=[[1, 2, 1e39]])],
        r"dynamic_feat\[0\] holds 1e\+39 at place 3, which is beyond",
    ),
    "target beyond float32": ([record_of(target=[-1e39])], r"target holds -1e\+39 at place 1, which is beyond 1\.0e"),
    "no target": (
        [record_of(target=[1]), record_of(target=None)],
        "series 2: target is None: it must be a list of numbers",
    ),
    "no start": ([record_of(start=None)], "series 1: start is None: it must be a time stamp"),
    "no date": ([record_of(start="yesterday")], "series 1: start is 'yesterday': it must be a time stamp"),
}


@pytest.mark.parametrize("name", ["a.json", "a.parquet"])
@pytest.mark.parametrize("what", sorted(RECORDS))
def test_a_bad_record_is_refused(what: str, name: str) -> None:
    bad, message = RECORDS[what]
    message = message if name == "a.parquet" else message.replace("series ", "line ").replace("all line", "all series")
    with pytest.raises(UserError, match=message.replace("FILE", re.escape(name))):
        read_series_files({name: parquet_of(bad) if name == "a.parquet" else json_lines_of(bad)})


def test_a_feature_that_is_no_list_is_refused() -> None:
    with pytest.raises(UserError, match=r"dynamic_feat is 5: it must be a list of features, each a list of numbers"):
        read_series_files({"a.json": json_lines_of([record_of(dynamic_feat=5)])})
    with pytest.raises(UserError, match=r"dynamic_feat\[0\] is 1: it must be a list of numbers, one per time stamp"):
        read_series_files({"a.json": json_lines_of([record_of(dynamic_feat=[1, 2, 3])])})


def test_a_list_of_series_in_one_line_is_named() -> None:
    with pytest.raises(
        UserError, match=r"a\.json, line 1: got \[.*: a series is .*, each on a line of its own in a file"
    ):
        read_series_files({"a.json": b'[{"start": "2021-01-01 00:00:00", "target": [1, 2]}]\n'})
