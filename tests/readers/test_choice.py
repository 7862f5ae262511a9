"""Which files of a channel are read, and as what: by names, content types and first bytes."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyadic.errors import UserError
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.formats import FORMATS, Format
from polyadic.readers.choice import choose, format_of
from polyadic.readers.series.channel import read_train
from polyadic.readers.series.formats import SERIES_FORMATS
from tests.helpers.series_files import HOUR, csv_of, parquet_of, stamps_of
from tests.helpers.tiny_jobs import CP, FORECASTER, job, lines, npy_bytes, records

MARK = b"\xef\xbb\xbf"
TENSORS = [format_ for format_ in FORMATS.values() if format_.open_tensor or format_.read_coordinates]


def prepared(folder: Path, files: dict[str, bytes], content_type: str | None = None) -> Any:
    _, made = job(FORECASTER, folder, {"train": files})
    channel = replace(made.channels["train"], content_type=content_type)
    return replace(made, channels={"train": channel})


def series(folder: Path, files: dict[str, bytes], content_type: str | None = None) -> int:
    return len(read_train(prepared(folder, files, content_type), HOUR, LIKELIHOODS["gaussian"]))


HOURS = stamps_of({"start": "2021-01-01 00:00:00", "target": [0.0] * 60}, HOUR)
WIDE = csv_of([["date", "x"], *([hour, step] for step, hour in enumerate(HOURS))])


@pytest.mark.parametrize("name", ["part-00000", "train", "TRAIN.JSON", "data.txt", "train.gz", "a.JSON.GZ", "part.0"])
@pytest.mark.parametrize("content_type", [None, "json", "application/jsonlines; charset=utf-8", "JSON.GZ"])
@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_are_read_whatever_their_name(
    name: str, content_type: str | None, packed: bool, tmp_path: Path
) -> None:
    data = lines(records(3))
    assert series(tmp_path, {name: gzip.compress(data) if packed else data}, content_type) == 3


@pytest.mark.parametrize(
    ("data", "content_type", "count"),
    [
        (parquet_of(records(3)), "parquet", 3),
        (parquet_of(records(3)), "application/x-parquet", 3),
        (parquet_of(records(3)), None, 3),
        (WIDE, "text/csv", 1),
        (WIDE, "csv", 1),
        (WIDE, None, 1),
        (MARK + WIDE, None, 1),
        (MARK + lines(records(3)), None, 3),
        (MARK + lines(records(3)), "json", 3),
    ],
)
def test_other_series_without_a_suffix_are_read(
    data: bytes, content_type: str | None, count: int, tmp_path: Path
) -> None:
    assert series(tmp_path, {"part-00000": data}, content_type) == count


def test_the_name_is_followed_where_the_content_type_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert series(tmp_path, {"a.parquet": parquet_of(records(3)), "b": lines(records(2))}, "json") == 5
    said = capsys.readouterr().err
    assert (
        "channel train has the content type 'json', and 1 file (a.parquet) is named as files of another format" in said
    )


def test_a_file_of_the_same_kind_beside_others_is_read_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert series(tmp_path, {"a.json": lines(records(3)), "b": lines(records(2))}) == 5
    assert "not read" not in capsys.readouterr().err


def test_what_is_left_alone_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = {"README.md": b"# what this is", "b.bin": b"\0\1\2", "c.bin": b"", "d.x": b"-"}
    assert series(tmp_path, {"a.json": lines(records(3)), **others}) == 3
    said = capsys.readouterr().err
    assert "4 files (README.md, b.bin, c.bin and 1 more) are not read, being of no known format" in said


def test_no_data_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"channel train holds no file that can be read \(found: a\.bin\): Files are"):
        series(tmp_path, {"a.bin": b"\0"})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.tsv", "with commas, as .csv"),
        ("A.MTX", "scipy.io.mmread"),
        ("a.mat", "scipy.io.loadmat"),
        ("a.h5", "h5py"),
        ("a.pt", "torch.load"),
        ("a.pkl", "a pickle may run code and is not read"),
        ("a.xlsx", "save the sheet as .csv"),
        ("a.tar.gz", "unpack it"),
    ],
)
def test_what_users_have_and_is_not_read_is_told_how_to_convert(name: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"\(found: {re.escape(name)}\): .*{advice}.*Files are \."):
        series(tmp_path, {name: b"\0"})


@pytest.mark.parametrize("data", [b"", b"unique_id,ds,y\n"])
def test_a_channel_of_series_without_rows_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="channel train holds no series, for there is no row in a.csv"):
        series(tmp_path, {"a.csv": data})


@pytest.mark.parametrize("format_", TENSORS, ids=lambda format_: format_.name)
def test_a_tensor_s_first_bytes_tell_its_format(format_: Format, tmp_path: Path) -> None:
    path = tmp_path / "part-00000"
    for value in format_.examples().values:
        path.write_bytes(format_.encode(value))
        found = format_of(path, None, TENSORS)
        assert found is format_ or format_.name in ("csv", "images")
    assert format_of(path, format_, TENSORS) is format_


def test_a_tensor_without_a_suffix_trains(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((6, 5, 4))
    algorithm, made = job(CP, tmp_path, {"train": {"part-00000": npy_bytes(array)}})
    model: Any = algorithm.fit(made)
    assert model.modes[0].rows == 6


def test_a_text_of_records_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    algorithm, made = job(CP, tmp_path, {"train": {"a.tns": MARK + b"1 1 1 2.5\n2 2 2 1\n3 1 2 4\n"}})
    model: Any = algorithm.fit(made)
    assert [mode.rows for mode in model.modes] == [3, 2, 2]


def test_every_format_of_series_says_how_its_files_begin() -> None:
    assert all(format_.begins is not None for format_ in SERIES_FORMATS.values())
    assert choose.__doc__
