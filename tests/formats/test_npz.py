"""numpy's archives, dense and sparse."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import Coordinates, npz
from tests.helpers.format_checks import check_damaged, check_round_trip, plain_arrays
from tests.helpers.sparse_values import coordinates, read, refusal

pytestmark = pytest.mark.usefixtures("small_blocks")
COORDS, VALUES = [[0, 1], [2, 0], [1, 1]], [1.0, 2.0, 3.0]


def saved(compressed: bool = False, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def sparse(**changes: Any) -> bytes:
    arrays = {"coords": np.array(COORDS), "values": np.array(VALUES), "shape": np.array([3, 2])} | changes
    return saved(**{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", ">i4", "uint64", "float32", "float64"])
def test_coordinates_are_of_any_kind_of_number(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(sparse(coords=np.array(COORDS, kind), shape=np.array([4, 5], kind)))
    found = read(tmp_path / "a.npz")
    assert found.indices.T.tolist() == COORDS and found.values.tolist() == VALUES and found.rows == (4, 5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("float16", "float32"), (">f4", "float32"), ("int8", "float32"), ("bool", "float32"), ("int64", "float64")],
)
def test_values_are_of_any_kind_of_number(kind: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(sparse(values=np.array([1, 0, 1], kind)))
    found = read(tmp_path / "a.npz")
    assert found.values.tolist() == [1, 0, 1] and found.values.dtype == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no values": ({"values": None}, "a.npz holds `coords` but no `values`"),
    "too few values": ({"values": np.ones(2)}, "coords are (3, 2) and values (2,): coords must be records x order"),
    "coords on their side": ({"coords": np.zeros((2, 3), int)}, "coords are (2, 3) and values (3,)"),
    "a vector of coords": ({"coords": np.zeros(3, int)}, "coords are (3,) and values (3,)"),
    "no mode": ({"coords": np.zeros((3, 0), int), "shape": None}, "a.npz has no index in a record: a record is 1 or"),
    "a negative index": ({"coords": np.array([[0, 1], [2, -1], [0, 0]])}, "coords[1, 1] is -1: an index must be"),
    "a fraction": ({"coords": np.array([[0, 1], [2, 1], [0.5, 0]])}, "coords[2, 0] is 0.5: an index must be a whole"),
    "NaN": ({"coords": np.array([[0, 1], [2, 1], [np.nan, 0]])}, "coords[2, 0] is nan: an index must be a whole"),
    "beyond the shape": ({"shape": np.array([3, 1])}, "coords[0, 1] is 1: an index must be a whole number from 0 to 0"),
    "beyond 32 bits": (
        {"coords": np.array([[0, 1], [2**31 - 1, 1], [0, 0]]), "shape": None},
        "coords[1, 0] is 2147483647: an index must be a whole number from 0 to 2147483646",
    ),
    "a shape of another order": ({"shape": np.array([3, 2, 1])}, "shape is of shape (3,): it must be 2 whole numbers"),
    "a shape of nothing": ({"shape": np.array([3, 0])}, "shape is [3, 0]: it must be 2 whole numbers from 1 to"),
    "a shape of halves": ({"shape": np.array([3, 2.5])}, "shape is [3.0, 2.5]: it must be 2 whole numbers"),
    "too many rows": ({"shape": np.array([3, 2**31])}, "shape is [3, 2147483648]: it must be 2 whole numbers from 1"),
    "a value that is NaN": ({"values": np.array([1, np.nan, 3])}, "values[1] is nan: a value must be finite"),
    "infinite": ({"values": np.array([1, 2, -np.inf])}, "values[2] is -inf: a value must be finite"),
    "objects": ({"coords": np.array([[0, 1], [None, 1], [0, 0]])}, "coords is pickled, which is never read"),
    "text": ({"values": np.array(["a", "b", "c"])}, "a.npz: values holds <U1: it must hold real numbers"),
    "a fill": (
        {"data": np.ones(3), "fill_value": np.array(2.0), "coords": np.zeros((2, 3))},
        "a fill_value other than",
    ),
    "a matrix of scipy": (
        {"format": np.array(b"csr"), "data": np.ones(3)},
        "a.npz is a matrix of scipy.sparse, as documents may be: for a",
    ),
    "complex": ({"values": np.ones(3, complex)}, "a.npz: values holds complex128: it must hold real numbers"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_bad_coordinates_are_refused(what: str, tmp_path: Path) -> None:
    changes, why = REFUSED[what]
    said = refusal(tmp_path / "a.npz", sparse(**changes))
    assert said.startswith("a.npz") and why in said


def test_the_record_is_named_in_later_parts_too(tmp_path: Path) -> None:
    coords = np.zeros((500, 3), int)
    coords[400, 2] = -5
    orders: tuple[Literal["C", "F"], ...] = ("C", "F")
    for order in orders:
        data = saved(coords=np.asarray(coords, order=order), values=np.ones(500))
        assert "coords[400, 2] is -5" in refusal(tmp_path / "a.npz", data, 1, 2)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["float32", ">f8", "int16", "bool"])
@pytest.mark.parametrize("shape", [(7, 5, 40), (2, 3), (1, 300, 2), (300, 1, 2, 2)])
def test_rows_of_any_mode_are_read_alone(
    order: Any, compressed: bool, kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 100, shape), kind, order=order)
    (tmp_path / "a.npz").write_bytes(saved(compressed, anything=array))
    file = npz.open_tensor(tmp_path / "a.npz")
    assert file.shape == shape and not npz.is_sparse(tmp_path / "a.npz")
    for mode, rows in enumerate(shape):
        for start, stop in ((0, rows), (rows // 3, rows // 2 + 1), (rows, rows)):
            wanted = array[(slice(None),) * mode + (slice(start, stop),)]
            out = np.full(wanted.shape, np.nan)
            file.fill(out, mode, start, stop)
            assert np.array_equal(out, wanted)


def test_the_array_that_is_called_tensor_is_meant() -> None:
    array = npz.decode(saved(a=np.ones(3), tensor=np.eye(2)))
    assert isinstance(array, np.ndarray) and np.array_equal(array, np.eye(2))


ZIPPED = io.BytesIO()
with zipfile.ZipFile(ZIPPED, "w") as archive:
    archive.writestr("tensor.npy", saved(a=np.ones(3)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(), r"holds 0 arrays \(none\): give one, or call the one that is meant `tensor`"),
        (saved(a=np.ones(3), b=np.ones(3)), r"holds 2 arrays \(a, b\): give one"),
        (saved(tensor=np.array([{"a": 1}, None])), "tensor is pickled, which is never read"),
        (saved(tensor=np.array(["a"])), "tensor holds <U1: it must hold real numbers"),
        (ZIPPED.getvalue(), "is not a readable .npz archive: the magic string is not correct"),
        (saved(tensor=np.ones(300))[:-40], "is not a readable .npz archive: File is not a zip file"),
        (b"", "is not a readable .npz archive: File is not a zip file"),
    ],
)
def test_what_is_no_tensor_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the body.* {message}|the body: {message}"):
        npz.decode(data)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UserError, match=f"a.npz.* {message}|a.npz: {message}"):
        npz.open_tensor(tmp_path / "a.npz")


def test_an_array_shorter_than_its_head_says_is_refused() -> None:
    out, inner = io.BytesIO(), io.BytesIO()
    np.save(inner, np.ones((10, 10)))
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("tensor.npy", inner.getvalue()[:-8])
    with pytest.raises(UserError, match=r"tensor ends in mid-record: its shape is \(10, 10\), but it has 792 bytes"):
        npz.decode(out.getvalue())


def test_labels_have_no_place_in_an_archive() -> None:
    found = npz.decode(sparse())
    assert isinstance(found, Coordinates)
    with pytest.raises(UserError, match=r"no place for labels: write a \.parquet or \.csv table"):
        npz.encode(replace(found, shape=None, labels=(("a", "b", "c"), None)))


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=plain_arrays | coordinates(stated=True), data=st.data())
def test_any_tensor_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(npz.FORMAT, value)
    check_damaged(npz.FORMAT, value, data)


@settings(max_examples=60, deadline=None)
@given(value=coordinates(stated=True), packed=st.booleans(), parts=st.integers(1, 3))
def test_what_pydata_sparse_saves_is_taken(value: Coordinates, packed: bool, parts: int) -> None:
    """Its coords are order x records, its values are called data (sparse.save_npz of version 0.19)."""
    data = saved(
        packed, coords=value.indices.astype(np.int64), data=value.values, fill_value=np.array(0.0), shape=value.rows
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(data)
        assert npz.is_sparse(path)
        read = [npz.read_coordinates(path, part, parts) for part in range(parts)]
    np.testing.assert_array_equal(np.concatenate([part.indices for part in read], 1), value.indices)
    np.testing.assert_array_equal(np.concatenate([part.values for part in read]), value.values)
    assert all(part.shape == value.rows for part in read)
