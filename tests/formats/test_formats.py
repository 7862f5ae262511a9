"""One contract over every format: what is encoded is decoded again, what is broken is refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polyadic.errors import UserError
from polyadic.formats import (
    by_content_type,
    by_suffix,
    formats,
    images,
    json,
    jsonlines,
    npy,
    npz,
    recordio,
    safetensors,
)
from polyadic.formats._cells import number
from polyadic.formats._coordinates import Coordinates
from polyadic.formats._rows import Rows
from tests.helpers.row_values import rows, same_rows
from tests.helpers.sparse_values import coordinates, same

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
arrays = npst.arrays(
    st.one_of(npst.floating_dtypes(endianness="<"), npst.integer_dtypes(endianness="<"), npst.boolean_dtypes()),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)
kept = npst.arrays(
    st.sampled_from(["<f2", "<f4", "<f8", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "?"]),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)
pictures = npst.arrays("u1", st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4)))
cells = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")).filter(lambda text: number(text) is None)
)
tables = st.integers(1, 4).flatmap(lambda columns: st.lists(st.lists(cells, min_size=columns, max_size=columns)))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "csv": tables,
    "docword": rows(stated="alike"),
    "images": pictures,
    "json": plain,
    "jsonlines": st.lists(plain, max_size=5),
    "ldac": rows(stated="never"),
    "npy": arrays,
    "npz": kept | coordinates(stated=True),
    "parquet": coordinates(labels=True),
    "recordio": rows(stated="each"),
    "safetensors": kept,
    "tns": coordinates(),
}
BROKEN: dict[str, list[bytes]] = {
    "csv": [b"1,2\n1\n", b'"a,1\n', b'"a"b,1\n', b"\xff,1\n", b"1,2\n" + b"x" * 200_000],
    "docword": [
        b"",
        b"1\n2\n",
        b"1\nx\n0\n",
        b"1\n2\n-1\n",
        b"1\n2\n1\n",
        b"1\n2\n1\n1 1\n",
        b"1\n2\n1\n1 1 x\n",
        b"1\n2\n1\n1 3 1\n",
        b"1\n2\n1\n0 1 1\n",
        b"2\n2\n2\n2 1 1\n1 1 1\n",
        b"1\n2\n1\n1 1 1\n1 2 1\n",
        b"1\n2\n1\n\xff 1 1\n",
    ],
    "images": [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        images.encode(np.ones((9, 9), np.uint8))[:-20],
    ],
    "json": [b"", b"{", b"[1,]", b"{'a': 1}", b"[NaN]", b"\xff\xfe", b"[1] [2]", b"[" * 10_000],
    "jsonlines": [b"{", b"[1]\n{\n", b'{"a": 1} {"b": 2}', b"\xff"],
    "ldac": [b"x\n", b"2 0:1\n", b"1 0\n", b"1 0:x\n", b"1 0.5:1\n", b"2 0 1:5:2\n", b"1 0:nan\n", b"\xff", b"1 :1"],
    "npy": [b"", b"hello, this is text", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00nonsense"],
    "npz": [b"", b"PK\x05\x06", b"PK\x05\x06" + bytes(18), npz.encode(np.ones(9))[:-9], npy.encode(np.ones(9))],
    "parquet": [b"", b"PAR1", b"PAR1PAR1", b"PAR1\x00\x00\x00\x00PAR1"],
    "recordio": [b"x", b"1,2\n", recordio.MAGIC, recordio.MAGIC + bytes(4), recordio.MAGIC + b"\1\0\0\0\xff\0\0\0"],
    "safetensors": [b"", b"{}", bytes(8), b"\x02" + bytes(7) + b"{}", safetensors.encode(np.ones(9))[:-1]],
    "tns": [
        b"",
        b"\n# nothing\n",
        b"5\n",
        b"1 5\n",
        b"1 2 x\n",
        b"0 1 1\n",
        b"1 1 nan\n",
        b"1 1 1 1\n1 1 1\n",
        b"\xff 1 1",
    ],
}
each = pytest.mark.parametrize("name", sorted(formats()))


def test_every_format_has_values_to_try() -> None:
    assert VALUES.keys() == BROKEN.keys() == formats().keys()


@each
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_value_comes_back(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    found = formats()[name].decode(formats()[name].encode(value))
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype and found.shape == value.shape
        assert np.array_equal(found, value, equal_nan=value.dtype.kind == "f")
    elif isinstance(value, Coordinates):
        assert same(found, value)
    elif isinstance(value, Rows):
        assert same_rows(found, value)
    else:
        assert found == value


@each
def test_broken_bytes_are_the_users_fault(name: str) -> None:
    for data in BROKEN[name]:
        with pytest.raises(UserError):
            formats()[name].decode(data)


@each
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_bytes_whatever_raise_another_error(name: str, data: st.DataObject) -> None:
    """A good file with some of its bytes replaced, or cut short."""
    good = bytearray(formats()[name].encode(data.draw(VALUES[name])))
    for at in data.draw(st.lists(st.integers(0, max(0, len(good) - 1)), max_size=3)):
        good[at : at + 1] = data.draw(st.binary(max_size=2))
    broken = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        formats()[name].decode(broken)
    except UserError as error:
        assert str(error)


@each
def test_a_format_is_found_by_its_content_types(name: str) -> None:
    one = formats()[name]
    assert one.CONTENT_TYPES
    for content_type in one.CONTENT_TYPES:
        for spelling in (content_type, content_type.upper(), f"{content_type}; charset=utf-8", f" {content_type} "):
            assert by_content_type(spelling) is one


@each
def test_a_format_is_found_by_its_suffixes(name: str) -> None:
    for suffix in formats()[name].SUFFIXES:
        assert by_suffix(f"some.file{suffix}") is by_suffix(f"FILE{suffix.upper()}") is formats()[name]
    assert by_suffix("some.file") is by_suffix("csv") is None


def test_no_two_formats_share_a_content_type_or_a_suffix() -> None:
    for names in ("CONTENT_TYPES", "SUFFIXES"):
        all_of_them = [name for one in formats().values() for name in getattr(one, names)]
        assert len(all_of_them) == len(set(all_of_them))


@pytest.mark.parametrize("content_type", [None, "", "text/html", "application/jso", "json", "*/*"])
def test_an_unknown_content_type_is_refused_with_the_known_ones(content_type: str | None) -> None:
    with pytest.raises(UserError, match=r"content type .* is unknown here\. Known are application/json, application/"):
        by_content_type(content_type)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_writes_null_for_a_number_that_is_not_finite(value: float) -> None:
    assert json.encode([value, 1.5]) == b"[null,1.5]"
    assert json.encode({"mean": np.array([value, 1.5], np.float32)}) == b'{"mean":[null,1.5]}'
    assert jsonlines.encode([value]) == b"null\n"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_arrays_are_lists_in_json(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for one in (array, array.T, array[:, ::2], array[0, 0]):
        assert json.decode(json.encode(one)) == one.tolist()


def test_broken_json_is_located() -> None:
    with pytest.raises(UserError, match="broken JSON at line 2, column 7: "):
        json.decode(b'{"a": 1,\n "b": x}')


def test_a_broken_line_is_located() -> None:
    with pytest.raises(UserError, match="broken JSON at line 3, column 4"):
        jsonlines.decode(b"[1]\n\n[2,\n[3]\n")


def test_blank_lines_and_other_line_ends_do_no_harm() -> None:
    assert jsonlines.decode(b'\n{"a":1}\r\n\r\n  \n[2]') == [{"a": 1}, [2]]
    assert jsonlines.decode(b"") == []


def test_every_line_of_json_lines_is_ended() -> None:
    assert jsonlines.encode([{"a": 1}, None]) == b'{"a":1}\nnull\n'
    assert jsonlines.encode([]) == b""


def saved(array: Any, allow_pickle: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.ones(3))
    return out.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return out.getvalue()


REFUSED = {
    "objects": (saved(np.array([{"a": 1}, None]), allow_pickle=True), "not a readable .npy array"),
    "a pickle": (pickle.dumps([1, 2]), "not a readable .npy array"),
    "complex": (saved(np.ones(2, complex)), "holds complex128: it must hold real numbers"),
    "text": (saved(np.array(["a", "bc"])), "holds <U2: it must hold real numbers"),
    "dates": (saved(np.array(["2020-01-01"], "datetime64[D]")), "it must hold real numbers"),
    "records": (saved(np.zeros(2, [("a", "f4"), ("b", "i4")])), "it must hold real numbers"),
    "an archive": (archive(), "npy"),
    "cut short": (saved(np.ones(100))[:-20], "not a readable .npy array"),
    "a header that does not end": (b"\x93NUMPY\x01\x00\x01\x00{", "npy"),
    "a shape beyond memory": (header((10**14,)), "npy"),
    "a shape beyond integers": (header((10**30,)), "npy"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_npy_refuses(what: str) -> None:
    data, message = REFUSED[what]
    with pytest.raises(UserError, match=message):
        npy.decode(data)


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_an_npy_file_is_refused_by_name(what: str, tmp_path: Path) -> None:
    path = tmp_path / "tensor.npy"
    path.write_bytes(REFUSED[what][0])
    with pytest.raises(UserError, match=r"tensor\.npy"):
        npy.open_array(path)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint16", "int64", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_read_in_place(dtype: str, order: Any, tmp_path: Path) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)
    path = tmp_path / "tensor.npy"
    np.save(path, array)
    found = npy.open_array(path)
    assert isinstance(found, np.memmap)
    assert found.dtype == array.dtype and np.array_equal(found, array)
