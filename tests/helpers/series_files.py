"""Series for tests: records, the files that hold them in every format, and what is read of these."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Series
from polyadic.formats import jsonlines
from polyadic.readers.series.files import read_files
from polyadic.readers.series.formats import SERIES_FORMATS, SeriesFormat

HOUR = Frequency.parse("H")


def read_series_files(files: dict[str, bytes], frequency: Frequency = HOUR) -> list[Series]:
    """The series of files of these names and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        paths = with_formats(Path(folder) / name for name in files)
        return list(read_files(paths, "train", frequency, lambda target: None).series)


def with_formats(paths: Iterable[Path]) -> dict[Path, SeriesFormat]:
    """Files with their formats, by their names."""
    return {path: next(format_ for format_ in SERIES_FORMATS.values() if format_.has_file(path.name)) for path in paths}


def json_lines_of(records: list[dict[str, Any]]) -> bytes:
    """A file of JSON Lines with one line per record."""
    return jsonlines.encode(records)


def parquet_of(records: list[dict[str, Any]], **settings: Any) -> bytes:
    """A Parquet file with one row per record."""
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(records), out, **settings)
    return out.getvalue()


def columns_of(**named: Any) -> bytes:
    """A Parquet file of these columns."""
    out = io.BytesIO()
    parquet.write_table(pa.table(named), out)
    return out.getvalue()


def csv_of(rows: list[list[Any]]) -> bytes:
    """A CSV file of these rows; None is an empty cell."""
    return "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows).encode()


def assert_same(series: list[Series], expected: list[Series]) -> None:
    """That two lists hold the same series, of the same types."""
    assert len(series) == len(expected)
    for left, right in zip(series, expected, strict=True):
        np.testing.assert_array_equal(left.target, right.target)
        np.testing.assert_array_equal(left.minutes, right.minutes)
        assert left.target.dtype == right.target.dtype == np.float32
        assert left.cat == right.cat
        assert (left.dynamic is None) == (right.dynamic is None)
        if left.dynamic is not None and right.dynamic is not None:
            assert left.dynamic.dtype == right.dynamic.dtype == np.float32
            np.testing.assert_array_equal(left.dynamic, right.dynamic)


def stamps_of(record: dict[str, Any], frequency: Frequency) -> list[str]:
    """The time stamps of a record's target, as text."""
    start = np.datetime64(record["start"], "m").item()
    minutes = frequency.minutes(start, len(record["target"])).astype("datetime64[m]")
    return [str(minute).replace("T", " ") + ":00" for minute in minutes]


_floats = st.floats(-1e6, 1e6, width=32)


def _has_a_value(target: tuple[float | None, ...]) -> bool:
    return set(target) != {None}


@st.composite
def series_records(draw: st.DrawFn, length: int | None = None, features: int | None = None) -> list[dict[str, Any]]:
    """Records, with the same start and the same length where a length is given."""
    cats = draw(st.integers(0, 2))
    features = draw(st.integers(0, 2)) if features is None else features
    days = st.integers(0, 12_000).map(lambda day: str(np.datetime64("1995-01-01") + day) + " 07:00:00")
    start = draw(days)
    made = []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 20)) if length is None else length
        values = [_floats] * steps
        made.append(
            {
                "start": draw(days) if length is None else start,
                "target": list(draw(st.tuples(*(_floats | st.none() for _ in values)).filter(_has_a_value))),
                "cat": [draw(st.integers(0, 9)) for _ in range(cats)],
                "dynamic_feat": [list(draw(st.tuples(*values))) for _ in range(features)],
            }
        )
    return made


frequencies = st.sampled_from(["H", "15min", "D", "2D", "W", "M", "3M"]).map(Frequency.parse)


def record_of(**changes: Any) -> dict[str, Any]:
    """A record of three hours, with these changes."""
    return {"start": "2021-01-01 00:00:00", "target": [1, 2, None], **changes}


def flat_records(count: int, length: int = 24) -> list[dict[str, Any]]:
    """Records of constant targets, each of its own value."""
    return [record_of(target=[float(number)] * length) for number in range(count)]


LONG = b"item_id,timestamp,target,f\na,2021-01-01,1,1\n"
WIDE = b"date,x,y\n2021-01-01,1,2\n"
