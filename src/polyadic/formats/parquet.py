"""application/x-parquet: a sparse tensor as a table, one column per index and one of values.

The values are in the column called `value`, or else in the last. An index column holds integers, which count from 0,
or strings, which are labels.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats._coordinates import Coordinates, Gatherer, Labelled, check_order, finite, indices
from polyadic.formats._format import Examples, Format
from polyadic.formats._refusal import refusing

_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name, which it writes beside the columns: it numbers the rows of its table."""
BATCH_RECORDS = 2**17
"""Records that are read together."""
BATCH_ROWS = 256
"""Rows of any columns that are read together, for each may hold many numbers."""


def decode(data: bytes) -> Coordinates:
    """The records of a file's bytes."""
    import pyarrow as pa

    with pa.BufferReader(data) as source:
        return _read(source, "the body", 0, 1, frozenset())


def encode(value: Coordinates) -> bytes:
    """Columns mode_0, mode_1, ... and value. Rows without a record are not kept."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {}
    for mode, (index, words) in enumerate(zip(value.indices, value.labels, strict=True)):
        numbers = pa.array(index)
        columns[f"mode_{mode}"] = numbers if words is None else pa.array(words, pa.string()).take(numbers)
    columns["value"] = pa.array(value.values)
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def read_coordinates(path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """The `part`-th of `parts` of a file's records; UserError that names the record, counted from 0.

    Integers of the modes in `labelled` are read as labels.
    """
    import pyarrow as pa

    with pa.OSFile(str(path)) as source:
        return _read(source, path.name, part, parts, labelled)


def read_table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table, whatever its columns hold, each with its number from 0."""
    import pyarrow as pa
    from pyarrow import parquet

    with pa.OSFile(str(path)) as source, refusing(path.name, "Parquet file"):
        number = 0
        for batch in parquet.ParquetFile(source).iter_batches(BATCH_ROWS):
            names = [name for name in batch.schema.names if not _INDEX_OF_PANDAS.fullmatch(name)]
            for row in batch.select(names).to_pylist():
                yield f"record {number}", row
                number += 1


def heading(path: Path) -> list[str] | None:
    """The names of the columns of a file's records, that of the values last."""
    from pyarrow import parquet

    with refusing(path.name, "Parquet file"):
        names = list(parquet.read_schema(path).names)
    modes, value = _columns(names)
    return [names[column] for column in (*modes, value)] if names else None


def _columns(names: list[str]) -> tuple[list[int], int]:
    """The columns of the modes, and that of the values: the one of that name, or else the last."""
    kept = [column for column, name in enumerate(names) if not _INDEX_OF_PANDAS.fullmatch(name)]
    value = next((column for column in kept if names[column].lower() == "value"), kept[-1] if kept else 0)
    return [column for column in kept if column != value], value


def _read(source: Any, name: str, part: int, parts: int, labelled: frozenset[int]) -> Coordinates:
    from pyarrow import parquet

    with refusing(name, "Parquet file"):
        file = parquet.ParquetFile(source)
        records, schema = file.metadata.num_rows, file.schema_arrow
    modes, value = _columns(schema.names)
    check_order(len(modes), name)
    if not records:
        raise UserError(f"{name} holds no records: write a row for each entry that is not zero")
    labelled |= {mode for mode, column in enumerate(modes) if _is_text(schema.types[column])}
    gatherer = Gatherer(len(modes), labelled)
    with refusing(name, "Parquet file"):
        for first, batch in _batches(file, records * part // parts, records * (part + 1) // parts):
            columns = [_Column(name, first, schema.names[n], column) for n, column in enumerate(batch)]
            gatherer.add(
                [columns[n].labels() if mode in labelled else columns[n].indices() for mode, n in enumerate(modes)],
                columns[value].values(),
            )
    return gatherer.join()


def _batches(file: Any, start: int, stop: int) -> Iterator[tuple[int, list[Any]]]:
    """Records [start, stop), a few at a time: the number of the first, and the Arrow columns."""
    first = 0
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if first < stop and start < first + rows:
            record = first
            for batch in file.iter_batches(BATCH_RECORDS, row_groups=[group]):
                low, high = max(start - record, 0), min(stop - record, len(batch))
                if low < high:
                    yield record + low, batch.slice(low, high - low).columns
                record += len(batch)
        first += rows


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


@dataclass(frozen=True)
class _Column:
    """A column of a batch of records, whose first has the number `first`."""

    file: str
    first: int
    name: str
    column: Any

    def where(self, place: int) -> str:
        """How a message calls a cell."""
        return f"{self.file}, record {self.first + place}: {self.name}"

    def indices(self) -> NDArray[np.int32]:
        """The numbers of rows."""
        import pyarrow as pa

        if not (pa.types.is_integer(self.column.type) or pa.types.is_floating(self.column.type)):
            raise self._refusal("an index is an integer or a string")
        return indices(self._whole(), self.where)

    def labels(self) -> Labelled:
        """The labels of rows; an integer is the label of its digits."""
        import pyarrow as pa

        column = self.column if _is_text(self.column.type) else pa.array(self.indices())
        self._refuse_gaps()
        coded = column.cast(pa.string()).dictionary_encode()
        words = coded.dictionary.to_pylist()
        if "" in words:
            place = column.cast(pa.string()).to_pylist().index("")
            raise UserError(f"{self.where(place)} is an empty label: give it a name, or take the record out")
        return Labelled(words, coded.indices.to_numpy())

    def values(self) -> NDArray[np.floating[Any]]:
        """The values."""
        import pyarrow as pa

        kind = self.column.type
        if not any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)):
            if not pa.types.is_decimal(kind):
                raise self._refusal("a value is a number")
            return replace(self, column=self.column.cast(pa.float64())).values()
        return finite(self._whole(), self.where)

    def _whole(self) -> NDArray[Any]:
        self._refuse_gaps()
        array: NDArray[Any] = self.column.to_numpy(zero_copy_only=False)
        return array

    def _refuse_gaps(self) -> None:
        if self.column.null_count:
            place = self.column.is_null().to_pylist().index(True)
            raise UserError(f"{self.where(place)} is null: take the record out, or complete it")

    def _refusal(self, rule: str) -> UserError:
        return UserError(f"{self.file}: column {self.name} holds {self.column.type}: {rule}")


def _examples() -> Examples:
    indices, numbers = np.array([[0, 1, 1], [7, 2, 0]], np.int32), np.array([1.5, -2, 0])
    values = (
        Coordinates(indices, numbers, None, (None, None)),
        Coordinates(indices, numbers, None, (("a", "ü"), None)),
    )
    return Examples(values, (b"", b"PAR1", b"PAR1PAR1", b"PAR1\x00\x00\x00\x00PAR1"))


FORMAT = Format(
    name="parquet",
    suffixes=(".parquet",),
    content_types=("application/x-parquet",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    read_coordinates=read_coordinates,
    read_table=read_table,
    heading=heading,
    begins=lambda head: head.startswith(b"PAR1"),
)
