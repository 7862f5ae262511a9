"""One contract over every format of sparse files: the parts are the whole, and every error says where."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as arrow_parquet

from polyadic.formats import Coordinates, npz, parquet, tns
from tests.helpers.sparse_values import read, refusal

pytestmark = pytest.mark.usefixtures("small_blocks")
COUNT = 200


def values(labels: bool = False) -> Coordinates:
    """200 records of a 30 x 5 x 1000 tensor, some of one place."""
    random = np.random.default_rng(0)
    indices = np.stack([random.integers(0, rows, COUNT) for rows in (30, 5, 1000)]).astype(np.int32)
    indices[:, :3] = [[29, 29, 0], [4, 4, 0], [999, 999, 0]]
    names = tuple(f"row {n:02d}, é" for n in range(30)) if labels else None
    return Coordinates(indices, random.normal(size=COUNT), None, (names, None, None))


def table(found: Coordinates, lines: str = "\n", header: bool = False) -> bytes:
    """The text of a .csv file."""
    rows = []
    for index, value in zip(found.indices.T.tolist(), found.values.tolist(), strict=True):
        cells = [row if words is None else f'"{words[row]}"' for row, words in zip(index, found.labels, strict=True)]
        rows.append(",".join(map(str, [*cells, value])) + lines)
    return ((f"i,j,k,v{lines}" if header else "") + "".join(rows)).encode()


def archive(order: Any, compressed: bool, shape: bool = True) -> bytes:
    out = io.BytesIO()
    coords = np.asarray(values().indices.T, np.int64, order=order)
    arrays: dict[str, Any] = {"coords": coords, "values": values().values} | ({"shape": [30, 5, 1000]} if shape else {})
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def grouped(found: Coordinates, rows: int) -> bytes:
    """A .parquet file of row groups."""
    out = io.BytesIO()
    arrow_parquet.write_table(
        arrow_parquet.read_table(pa.BufferReader(parquet.encode(found))), out, row_group_size=rows
    )
    return out.getvalue()


FILES: dict[str, bytes] = {
    "a.tns": tns.encode(values()),
    "b.tns": b"# of our own\n\n" + tns.encode(values()).replace(b" ", b"\t  ").replace(b"\n", b" # so\r\n\n")[:-2],
    "a.tns.gz": gzip.compress(tns.encode(values())),
    "a.csv": table(values()),
    "b.csv": table(values(), "\r\n", header=True),
    "c.csv": b"\xef\xbb\xbf" + table(values()) + b"\n\n",
    "a.csv.gz": gzip.compress(table(values(), header=True)),
    "a.npz": archive("C", compressed=False),
    "b.npz": archive("F", compressed=False, shape=False),
    "c.npz": archive("C", compressed=True),
    "d.npz": archive("F", compressed=True),
    "a.parquet": parquet.encode(values()),
    "b.parquet": grouped(values(), 7),
}
LABELLED: dict[str, bytes] = {
    "a.csv": table(values(labels=True)),
    "b.csv": table(values(labels=True), "\r\n", header=True),
    "a.csv.gz": gzip.compress(table(values(labels=True), header=True)),
    "a.parquet": parquet.encode(values(labels=True)),
    "b.parquet": grouped(values(labels=True), 7),
}
parts_of = pytest.mark.parametrize("parts", [1, 2, 3, 7])


def records(found: Coordinates) -> list[tuple[Any, ...]]:
    """The records, rows by their labels where they have any."""
    columns = [
        index.tolist() if words is None else [words[n] for n in index]
        for index, words in zip(found.indices, found.labels, strict=True)
    ]
    return list(zip(*columns, found.values.tolist(), strict=True))


@parts_of
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_parts_are_the_whole(name: str, parts: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    found = [read(tmp_path / name, part, parts) for part in range(parts)]
    assert sum((Counter(records(one)) for one in found), Counter()) == Counter(records(values()))
    assert all(one.indices.dtype == np.int32 and one.labels == (None, None, None) for one in found)
    if parts == 1:
        assert records(found[0]) == records(values()) and found[0].rows == (30, 5, 1000)
    elif ".gz" not in name:
        assert all(0 < len(one.values) < COUNT for one in found)


@parts_of
@pytest.mark.parametrize("name", sorted(LABELLED))
def test_labels_are_those_of_the_part_in_sorted_order(name: str, parts: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(LABELLED[name])
    found = [read(tmp_path / name, part, parts) for part in range(parts)]
    assert sum((Counter(records(one)) for one in found), Counter()) == Counter(records(values(labels=True)))
    for one in found:
        words = one.labels[0]
        assert words is not None and one.labels[1:] == (None, None) and one.rows[0] == len(words)
        assert list(words) == sorted(set(words)) and np.unique(one.indices[0]).tolist() == list(range(len(words)))


@parts_of
@pytest.mark.parametrize("name", ["a.csv", "b.csv", "a.csv.gz", "a.parquet", "b.parquet"])
def test_numbers_are_labels_where_they_are_told_to_be(name: str, parts: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    found = [read(tmp_path / name, part, parts, frozenset({1})) for part in range(parts)]
    expected = Counter((i, str(j), k, value) for i, j, k, value in records(values()))
    assert sum((Counter(records(one)) for one in found), Counter()) == expected


def test_a_part_may_be_empty(tmp_path: Path) -> None:
    for name, data in {"a.tns": b"1 2 5\n", "a.csv": b"a,1,5\n"}.items():
        (tmp_path / name).write_bytes(data)
        found = [read(tmp_path / name, part, 4) for part in range(4)]
        assert [len(one.values) for one in found] == [1, 0, 0, 0]
        assert all(one.order == 2 for one in found) and found[1].rows == (0, 0)


EMPTY = {
    "a.tns": [b"", b"\n\n", b"# a comment\n   \n"],
    "a.csv": [b"", b"\n", b"i,j,value\n", b"i,j,value\r\n\r\n"],
    "a.tns.gz": [gzip.compress(b"")],
    "a.npz": [npz.encode(Coordinates(np.zeros((2, 0), np.int32), np.zeros(0), (3, 3), (None, None)))],
    "a.parquet": [parquet.encode(Coordinates(np.zeros((2, 0), np.int32), np.zeros(0), None, (None, None)))],
}


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_a_file_without_records_is_refused(name: str, tmp_path: Path) -> None:
    for data in EMPTY[name]:
        assert f"{name} holds no records" in refusal(tmp_path / name, data)


@pytest.mark.parametrize("name", ["a.tns.gz", "a.csv.gz", "c.npz", "a.parquet"])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.98])
def test_a_file_that_was_cut_short_is_refused(name: str, left: float, tmp_path: Path) -> None:
    data = FILES[name][: int(len(FILES[name]) * left)]
    assert f"{name} is not a readable " in refusal(tmp_path / name, data)


@pytest.mark.parametrize("name", ["a.tns.gz", "a.csv.gz"])
def test_a_damaged_gzip_file_is_refused(name: str, tmp_path: Path) -> None:
    data = bytearray(FILES[name])
    data[len(data) // 2] ^= 0xFF
    assert name in refusal(tmp_path / name, bytes(data))


@pytest.mark.parametrize("name", ["a.tns", "a.csv"])
def test_a_file_is_gzipped_where_it_begins_so_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(FILES[name]))
    (tmp_path / f"{name}.gz").write_bytes(FILES[name])
    assert records(read(tmp_path / name)) == records(read(tmp_path / f"{name}.gz")) == records(values())


@pytest.mark.parametrize("name", ["a.tns", "a.csv", "a.npz", "a.parquet", "a.csv.gz"])
def test_a_file_that_is_not_there_is_the_platforms_fault(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / name)
