"""The rows of tables by the names of their columns, and the arrays of files that hold several."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.numpy import save_file

from polyadic.errors import UserError
from polyadic.formats import FORMATS, DenseFile, by_file_name


def rows_of(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a table."""
    format_ = by_file_name(path.name)
    assert format_ is not None
    assert format_.read_table is not None
    return [(name, dict(row)) for name, row in format_.read_table(path)]


def whole(file: DenseFile) -> np.ndarray[Any, Any]:
    """All of an array in a file."""
    out = np.empty(file.shape)
    file.fill(out, 0, 0, file.shape[0])
    return out


def test_a_csv_has_numbers_texts_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbflabel, question ,x\n1,"is it\nred, or not?",2.5\n\nno,,7\n')
    assert rows_of(path) == [
        ("line 3", {"label": 1, "question": "is it\nred, or not?", "x": 2.5}),
        ("line 5", {"label": "no", "question": None, "x": 7}),
    ]
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert rows_of(packed) == rows_of(path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a;b\n1;2\n", "semicolons"),
        (b"a,a\n1,2\n", "each by another name"),
        (b"a,\n1,2\n", "each by another name"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells where the header has 2"),
        (b'a,b\n1,"2\n', "broken CSV"),
        (b"a,b\n1,\xff\n", "UTF-8"),
    ],
)
def test_a_broken_csv_is_told_with_its_line(tmp_path: Path, body: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(body)
    with pytest.raises(UserError, match=said) as refused:
        rows_of(path)
    assert "a.csv, line" in str(refused.value)


def test_an_empty_csv_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n")
    assert rows_of(path) == []


def test_json_lines_are_objects(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"label": "red", "x": [[1, 2]]}\n\n{"y": null}\n')
    assert rows_of(path) == [("line 1", {"label": "red", "x": [[1, 2]]}), ("line 3", {"y": None})]
    path.write_bytes(b'{"a": 1}\n[1, 2]\n')
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: .* is no object"):
        rows_of(path)
    path.write_bytes(b'{"a": 1}\n{"a"\n')
    with pytest.raises(UserError, match=r"a\.jsonl.*line 2"):
        rows_of(path)


def test_parquet_has_lists_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"x": [[1.0, 2.0], [3.0, 4.0]], "t": ["a", None], "__index_level_0__": [5, 6]})
    parquet.write_table(table, path)
    assert rows_of(path) == [("record 0", {"x": [1, 2], "t": "a"}), ("record 1", {"x": [3, 4], "t": None})]
    path.write_bytes(b"PAR1 cut")
    with pytest.raises(UserError, match=r"a\.parquet"):
        rows_of(path)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.text("ab,\"'\n é", min_size=1, max_size=9)), max_size=6))
def test_a_csv_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(FORMATS["csv"].encode([["n", "t"], *map(list, rows)]))
    expected = [{"n": number, "t": text if text.strip() else None} for number, text in rows]
    assert [row for _, row in rows_of(path)] == expected


def test_an_archive_and_safetensors_have_arrays_by_name(tmp_path: Path) -> None:
    arrays = {"text": np.arange(6.0).reshape(3, 2), "label": np.array([1, 0, 1])}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    save_file(arrays, tmp_path / "a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        format_ = by_file_name(name)
        assert format_ is not None
        assert format_.open_arrays is not None
        opened = format_.open_arrays(tmp_path / name)
        assert {key: whole(file).tolist() for key, file in opened.items()} == {k: v.tolist() for k, v in arrays.items()}


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(9))
    path.write_bytes(path.read_bytes()[:-30])
    opener = FORMATS["npz"].open_arrays
    assert opener is not None
    with pytest.raises(UserError, match=r"a\.npz"):
        opener(path)
