"""Documents as a matrix: what numpy and scipy save is read as it was, in parts; what is none is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats import FORMATS, _matrix_rows
from tests.helpers.row_values import dense, part_of

matrices = npst.arrays(
    st.sampled_from(["f8", "f4", ">f4", "i8", "u1", "<i2"]),
    st.tuples(st.integers(0, 9), st.integers(1, 5)),
    elements=st.integers(0, 3),
)
WAYS = ("npy", "fortran npy", "npz", "fortran npz", "csr", "csr packed")


def saved(matrix: NDArray[Any], way: str) -> tuple[str, bytes]:
    """The name of the format, and the bytes of a matrix in it."""
    out = io.BytesIO()
    array = np.asfortranarray(matrix) if "fortran" in way else matrix
    if way.endswith("npy"):
        np.save(out, array)
        return "npy", out.getvalue()
    if way.endswith("npz"):
        np.savez(out, array)
    else:
        native = matrix.astype(matrix.dtype.newbyteorder("="))
        scipy.sparse.save_npz(out, scipy.sparse.csr_matrix(native), compressed="packed" in way)
    return "npz", out.getvalue()


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40, deadline=None)
@given(matrix=matrices, batch=st.integers(1, 20), parts=st.integers(1, 3))
def test_a_matrix_is_read_as_it_was_saved(way: str, matrix: NDArray[Any], batch: int, parts: int) -> None:
    name, data = saved(matrix, way)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_matrix_rows, "BATCH_ENTRIES", batch)
        for part in range(parts):
            rows = part_of(FORMATS[name], data, part, parts)
            mine = matrix[part::parts]
            assert dense(rows, matrix.shape[1]) == mine.astype(float).tolist()
            assert rows.numbers.tolist() == list(range(1, len(matrix) + 1))[part::parts]
            assert (rows.widths == matrix.shape[1]).all() and rows.values.all()


@pytest.mark.parametrize("kind", ["csc", "coo", "dia", "bsr"])
def test_other_sparse_formats_are_refused_by_name(kind: str) -> None:
    out = io.BytesIO()
    scipy.sparse.save_npz(out, scipy.sparse.random(4, 4, 0.5, kind))
    with pytest.raises(UserError, match=rf"the file is a sparse matrix in the format {kind}.*tocsr"):
        part_of(FORMATS["npz"], out.getvalue())


CSR = {"indices": [0, 1], "indptr": [0, 1, 2], "format": b"csr", "shape": [2, 3], "data": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [3, 3]}, "damaged: 3 row pointers"),
        ({"shape": [2, 3, 4]}, r"has the shape \(2, 3, 4\): documents are a matrix"),
        ({"indptr": [0, 2, 1]}, "damaged"),
        ({"indptr": [0, 1, 3]}, "damaged"),
        ({"indptr": [1, 1, 2]}, "damaged"),
        ({"indptr": [[0, 1, 2]]}, "indptr is 2-dimensional"),
        ({"indices": [0]}, "damaged"),
        ({"indices": [0.5, 1.0]}, "damaged"),
        ({"data": [1.0]}, "damaged"),
        ({"data": [1j, 2]}, "must hold real numbers"),
        ({"format": "csr"}, "in the format csr"),
        ({"format": [1, 2]}, "in the format"),
    ],
)
def test_a_matrix_whose_parts_do_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    out = io.BytesIO()
    arrays: dict[str, Any] = {name: np.array(value) for name, value in {**CSR, **changes}.items()}
    np.savez(out, **arrays)
    if changes.get("format") == "csr":
        assert len(part_of(FORMATS["npz"], out.getvalue())) == 2
    else:
        with pytest.raises(UserError, match=message):
            part_of(FORMATS["npz"], out.getvalue())


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
@pytest.mark.parametrize("way", ["npy", "npz"])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...], way: str) -> None:
    name, data = saved(np.ones(shape), way)
    with pytest.raises(UserError, match="documents are a matrix of documents x terms"):
        part_of(FORMATS[name], data)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_broken_bytes_are_refused_and_nothing_else(way: str, data: st.DataObject) -> None:
    name, whole = saved(np.arange(12.0).reshape(4, 3), way)
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = data.draw(
        st.sampled_from(
            [whole[:place], whole[:place] + data.draw(st.binary(min_size=1, max_size=4)) + whole[place + 1 :]]
        )
    )
    try:
        part_of(FORMATS[name], broken)
    except UserError as refused:
        assert "the file" in str(refused)
