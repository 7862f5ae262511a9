"""Series from several files: shares of them, and what all files have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from polyadic.errors import UserError
from polyadic.readers.series.files import Share, read_files
from tests.helpers.series_files import (
    HOUR,
    LONG,
    WIDE,
    assert_same,
    flat_records,
    json_lines_of,
    parquet_of,
    read_series_files,
    record_of,
    with_formats,
)


def test_a_share_is_every_so_many_series_of_all_files(tmp_path: Path) -> None:
    for name, of_file in (("a.json", flat_records(4)), ("b.json", flat_records(3, 30))):
        (tmp_path / name).write_bytes(json_lines_of(of_file))
    paths = with_formats([tmp_path / "a.json", tmp_path / "b.json"])
    whole, extent, _ = read_files(paths, "train", HOUR, lambda target: None)
    for part in range(3):
        series, same_extent, _ = read_files(paths, "train", HOUR, lambda target: None, share=Share(part, 3))
        assert_same(list(series), list(whole)[part::3])
        assert same_extent == extent


def test_an_item_in_two_files_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"channel train, b\.csv, item 'a' is in a\.csv as well: put all rows of an item in one file"
    ):
        read_series_files({"a.csv": LONG, "b.csv": LONG})
    assert len(read_series_files({"a.csv": WIDE, "b.csv": WIDE})) == 4


def test_files_that_differ_in_their_features_are_refused() -> None:
    message = r"channel train, b\.csv, item 'a': dynamic_feat has 1 entries, and 0 in a\.json, line 1"
    with pytest.raises(UserError, match=message):
        read_series_files({"a.json": json_lines_of([record_of()]), "b.csv": LONG})


def test_a_target_that_is_refused_is_told_with_its_place(tmp_path: Path) -> None:
    def refuse(target: Any) -> None:
        if (target < 0).any():
            raise UserError("target is below 0")

    for name, data, place in (
        ("a.csv", LONG + b"b,2021-01-01,-1,1\n", "item 'b'"),
        ("b.csv", WIDE + b"2021-01-02,1,-2\n", "column 'y'"),
        ("a.json", json_lines_of([record_of(), record_of(target=[-1])]), "line 2"),
        ("a.parquet", parquet_of([record_of(), record_of(target=[-1])]), "series 2"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"channel test, {re.escape(name)}, {place}: target is below 0"):
            read_files(with_formats([tmp_path / name]), "test", HOUR, refuse)
