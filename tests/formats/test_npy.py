"""application/x-npy: arrays of every type, read in place, and what is refused."""

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
from polyadic.formats import npy
from tests.helpers.format_checks import check_damaged, check_round_trip

arrays = npst.arrays(
    st.one_of(npst.floating_dtypes(endianness="<"), npst.integer_dtypes(endianness="<"), npst.boolean_dtypes()),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)


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
    "objects": (
        saved(np.array([{"a": 1}, None]), allow_pickle=True),
        "is pickled, or holds Python objects, which are never read",
    ),
    "numbers in text": (b"1,2,3", r"it begins with b'1,2,3', and not with b'\\x93NUMPY'\. Write it with numpy\.save"),
    "a pickle": (pickle.dumps([1, 2]), "is pickled, or holds Python objects, which are never read"),
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


@pytest.mark.slow
@settings(deadline=None)
@given(value=arrays, data=st.data())
def test_any_array_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(npy.FORMAT, value)
    check_damaged(npy.FORMAT, value, data)
