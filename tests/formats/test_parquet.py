"""Tables of columns: which is what, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as arrow_parquet

from polyadic.formats import parquet
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.sparse_values import coordinates, read, refusal


def written(**columns: Any) -> bytes:
    out = pa.BufferOutputStream()
    arrow_parquet.write_table(pa.table(columns), out, row_group_size=2)
    return bytes(out.getvalue())


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint32", "int64", "uint64", "float32", "float64"])
def test_indices_are_of_any_kind_of_number(kind: str, tmp_path: Path) -> None:
    index = pa.array([1, 0, 3], kind)
    (tmp_path / "a.parquet").write_bytes(written(i=index, j=index, v=[1.5, 2.5, 3.5]))
    found = read(tmp_path / "a.parquet")
    assert found.indices.tolist() == [[1, 0, 3]] * 2 and found.values.tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_labels_are_of_any_kind_of_text(kind: Any, tmp_path: Path) -> None:
    index = pa.array(["b", "a", "b"]).cast(kind)
    (tmp_path / "a.parquet").write_bytes(written(i=index, j=[0, 1, 2], v=[1, 2, 3]))
    found = read(tmp_path / "a.parquet")
    assert found.indices.tolist() == [[1, 0, 1], [0, 1, 2]] and found.labels == (("a", "b"), None)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "float64"),
        (pa.array([1.0, 2.0, 3.0], "float16"), "float32"),
        (pa.array([1.0, 2.0, 3.0], "float32"), "float32"),
        (pa.array([1, 2, 3], "int16"), "float32"),
        ([Decimal("1"), Decimal("2"), Decimal("3.0")], "float64"),
    ],
)
def test_values_are_of_any_kind_of_number(values: Any, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(written(i=[0, 1, 2], Value=values, j=[0, 1, 2]))
    found = read(tmp_path / "a.parquet")
    assert found.values.tolist() == [1, 2, 3] and found.values.dtype == kind
    assert found.indices.tolist() == [[0, 1, 2]] * 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a negative index": ({"i": [0, 1, -1]}, "record 2: i is -1: an index must be a whole number from 0 to 2147483646"),
    "a fractional index": ({"i": [0, 0.5, 1]}, "record 1: i is 0.5: an index must be a whole number"),
    "NaN for an index": ({"i": [0, float("nan"), 1]}, "record 1: i is nan: an index must be a whole number"),
    "an index beyond 32 bits": ({"i": [0, 2**31 - 1, 1]}, "record 1: i is 2147483647: an index must be"),
    "no index": ({"i": [0, 1, None]}, "record 2: i is null: take the record out, or complete it"),
    "no label": ({"i": ["a", None, "b"]}, "record 1: i is null"),
    "an empty label": ({"i": ["a", "b", ""]}, "record 2: i is an empty label"),
    "dates": ({"i": pa.array([0, 1, 2], "date32")}, "column i holds date32[day]: an index is an integer or a string"),
    "lists": ({"i": [[0], [1], [2]]}, "column i holds list"),
    "no value": ({"v": [1.0, None, 2.0]}, "record 1: v is null"),
    "NaN": ({"v": [1.0, float("nan"), 2.0]}, "record 1: v is nan: a value must be finite"),
    "infinite": ({"v": [1.0, 2.0, float("inf")]}, "record 2: v is inf: a value must be finite"),
    "text for values": ({"v": ["a", "b", "c"]}, "column v holds string: a value is a number"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_a_bad_record_is_refused(what: str, tmp_path: Path) -> None:
    changes, why = REFUSED[what]
    columns = {"i": [0, 1, 2], "j": [0, 1, 2], "v": [1.0, 2.0, 3.0]} | changes
    said = refusal(tmp_path / "a.parquet", written(**columns))
    assert said.startswith("a.parquet") and why in said


@pytest.mark.parametrize("columns", [{}, {"v": [1.0]}])
def test_a_value_alone_is_no_record(columns: dict[str, Any], tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.parquet", written(**columns))
    assert "a.parquet has no index in a record: a record is 1 or more indices, and a value after them" in said


@pytest.mark.slow
@settings(deadline=None)
@given(value=coordinates(labels=True), data=st.data())
def test_any_tensor_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(parquet.FORMAT, value)
    check_damaged(parquet.FORMAT, value, data)


def test_the_index_that_pandas_writes_is_no_mode(tmp_path: Path) -> None:
    """A table of which rows were left out has such a column."""
    table = pa.table({"user": [0, 1], "item": ["tea", "milk"], "rating": [2.0, 3.5], "__index_level_0__": [4, 9]})
    arrow_parquet.write_table(table, tmp_path / "a.parquet")
    assert parquet.heading(tmp_path / "a.parquet") == ["user", "item", "rating"]
    found = read(tmp_path / "a.parquet")
    assert found.indices.tolist() == [[0, 1], [1, 0]] and found.labels == (None, ("milk", "tea"))
    assert found.values.tolist() == [2.0, 3.5]
