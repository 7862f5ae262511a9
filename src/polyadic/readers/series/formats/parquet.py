"""Series in Parquet: one row per series, and a column for each of DeepAR's fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyadic.errors import UserError, shorten
from polyadic.forecasting.calendar import Frequency
from polyadic.formats import parquet, refusing
from polyadic.readers.series.formats._series_format import SeriesFormat
from polyadic.readers.series.records import NamedSeries, read_named_series

FIELDS = ("start", "target", "cat", "dynamic_feat")
BATCH_SERIES, BATCH_VALUES = 1024, 2**18
"""How many series are read together at most, and about how many values."""
BUFFER_BYTES = 2**20
"""How much of a column is read together. Without it Parquet reads a whole row group of the column."""


def read(path: Path, frequency: Frequency) -> Iterator[NamedSeries]:
    """The series of a file, read a few at a time; UserError that names the file, and the column or the series."""
    return read_named_series(path.name, _records(path), frequency)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """One record per row, with NaN for null in arrays of float64, and how a message calls it."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with refusing(path.name, "Parquet file"), pa.OSFile(str(path)) as source:
        file = ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False)
        present = file.schema_arrow.names
        names = [name for name in FIELDS if name in present]
        if names[:2] != ["start", "target"]:
            raise UserError(
                f"{path.name} has the columns {shorten(present)}: a table of series has start and target, and may have "
                "cat and dynamic_feat"
            )
        done = 0
        for batch in file.iter_batches(_batch_rows(file.metadata), columns=names):
            columns = [_values(batch.column(name), name, path.name) for name in names]
            for number, row in enumerate(zip(*columns, strict=True), done + 1):
                yield f"series {number}", dict(zip(names, row, strict=True))
            done += len(batch)


def _batch_rows(metadata: Any) -> int:
    """How many series are read together: fewer where they are long."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    values = sum(group.column(number).num_values for group in groups for number in range(group.num_columns))
    fitting: int = BATCH_VALUES * metadata.num_rows // max(values, 1)
    return max(1, min(BATCH_SERIES, fitting))


def _values(column: Any, name: str, file: str) -> list[Any]:
    """The values of a column; those of `cat` as they are, for it is checked as in JSON."""
    if name == "start":
        return _starts(column, file)
    return column.to_pylist() if name == "cat" else _numbers(column, name, file)


def _starts(column: Any, file: str) -> list[Any]:
    """Time stamps as text, those of UTC without their zone."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz not in (None, "UTC", "Etc/UTC", "+00:00"):
            raise UserError(f"{file}: column start has the time zone {kind.tz}: give local time without a zone, or UTC")
        column = column.cast(pa.timestamp("us"), safe=False)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        raise UserError(f"{file}: column start holds {kind}: it must hold time stamps, or text YYYY-MM-DD HH:MM:SS")
    starts: list[Any] = column.cast(pa.string()).to_pylist()
    return starts


def _numbers(column: Any, name: str, file: str) -> list[Any]:
    """One array per series, or lists of arrays for lists of lists; None for null."""
    import pyarrow as pa

    depth = 2 if name == "dynamic_feat" else 1
    wanted, inner = pa.float64(), column.type
    for _ in range(depth):
        wanted, inner = pa.list_(wanted), _inside(inner)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if inner is None or not any(test(inner) for test in tests):
        rule = "lists of numbers" if depth == 1 else "lists of lists of numbers"
        raise UserError(f"{file}: column {name} holds {column.type}: it must hold {rule}")
    return [_arrays(row, depth) for row in column.cast(wanted, safe=False)]


def _inside(kind: Any) -> Any:
    """The type of the entries of lists, null where they have no entries; None for a type that is no list."""
    import pyarrow as pa

    if kind is None or pa.types.is_null(kind):
        return kind
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return kind.value_type if any(test(kind) for test in tests) else None


def _arrays(row: Any, depth: int) -> Any:
    if not row.is_valid:
        return None
    return row.values.to_numpy(zero_copy_only=False) if depth == 1 else [_arrays(inner, depth - 1) for inner in row]


SERIES_FORMAT = SeriesFormat(
    name="parquet",
    suffixes=parquet.FORMAT.suffixes,
    content_types=(*parquet.FORMAT.content_types, "parquet"),
    read=read,
    begins=lambda head: head.startswith(b"PAR1"),
)
