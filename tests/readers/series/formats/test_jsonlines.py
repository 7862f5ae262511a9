"""Series in JSON Lines: how lines are counted, and what is refused."""

from __future__ import annotations

import gzip

import pytest

from polyadic.errors import UserError
from tests.helpers.series_files import assert_same, json_lines_of, read_series_files, record_of


def test_blank_lines_count() -> None:
    with pytest.raises(UserError, match=r"channel train, a\.json, line 4: cat is 'a'"):
        read_series_files(
            {"a.json": b"\n" + json_lines_of([record_of()]) + b"\n" + json_lines_of([record_of(cat="a")])}
        )


def test_a_broken_line_is_located() -> None:
    message = r"channel train, a\.json is not readable as JSON Lines: broken JSON at line 2, column 2"
    with pytest.raises(UserError, match=message):
        read_series_files({"a.json": json_lines_of([record_of()]) + b"{\n"})


def test_a_broken_gzip_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"channel train, a\.json\.gz is not a readable gzip file: "):
        read_series_files({"a.json.gz": gzip.compress(json_lines_of([record_of()] * 9))[:-5]})


def test_a_file_is_gzipped_where_it_begins_so_whatever_its_name() -> None:
    plain = json_lines_of([record_of(), record_of(target=[4, 5])])
    expected = read_series_files({"a.jsonl": plain})
    assert_same(read_series_files({"a.jsonl": gzip.compress(plain)}), expected)
    assert_same(read_series_files({"a.jsonl.gz": plain}), expected)
