"""application/x-npz: numpy's archive. A dense tensor (its array, or that called `tensor`), or a sparse tensor.

Sparse: `coords` (records x order, counted from 0), `values` (records), and `shape` where it is stated; or what PyData's
sparse.save_npz writes (its `coords` are order x records). Documents: a matrix of counts, documents x terms, dense or as
scipy.sparse.save_npz writes one of the format csr. Nothing pickled is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats import _archive
from polyadic.formats._archive import Member, NamedBytes, names, title
from polyadic.formats._coordinates import LARGEST_MODE, Coordinates, Gatherer, check_order, finite, indices
from polyadic.formats._dense import DenseFile
from polyadic.formats._format import Examples, Format
from polyadic.formats._matrix_rows import compressed_rows, dense_rows, matrix_shape
from polyadic.formats._rows import Dealer, Rows


def decode(data: bytes) -> NDArray[Any] | Coordinates:
    """The tensor of an archive's bytes, dense or sparse."""
    return _read(data, 0, 1) if _is_sparse(data) else _dense(data).whole()


def encode(value: Any) -> bytes:
    """An archive's bytes; UserError for labels, which it has no place for."""
    out = io.BytesIO()
    if not isinstance(value, Coordinates):
        np.savez(out, allow_pickle=False, tensor=np.asarray(value))
        return out.getvalue()
    if any(words is not None for words in value.labels):
        raise UserError("an .npz archive has no place for labels: write a .parquet or .csv table")
    stated = {} if value.shape is None else {"shape": np.array(value.shape, np.int64)}
    np.savez(out, allow_pickle=False, coords=value.indices.T, values=value.values, **stated)
    return out.getvalue()


def is_sparse(path: Path) -> bool:
    """Whether a file holds coordinates rather than a dense array."""
    return _is_sparse(path)


def open_tensor(path: Path) -> DenseFile:
    """The dense tensor of a file, its entries left on disk until they are read."""
    return _dense(path)


def open_arrays(path: Path) -> dict[str, DenseFile]:
    """Every array of an archive by its name."""
    return {name: Member.find(path, name) for name in names(path)}


def read_coordinates(path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()) -> Coordinates:
    """The `part`-th of `parts` of a file's records; UserError that names the record. An archive has no labels."""
    return _read(path, part, parts)


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a matrix, one batch at a time; UserError for what is none."""
    data = NamedBytes.of(file, name)
    if _is_scipy(names(data)):
        yield from compressed_rows(data, dealer)
        return
    member = _dense(data)
    shape = matrix_shape(member.shape, name)
    if member.fortran:
        whole = member.whole().ravel()
        yield from dense_rows(shape, lambda first, count: whole[first : first + count], dealer)
    else:
        with member.opened() as take:
            yield from dense_rows(shape, take, dealer)


def _is_sparse(source: Path | bytes) -> bool:
    arrays = names(source)
    return "coords" in arrays or _is_scipy(arrays)


def _is_scipy(arrays: list[str]) -> bool:
    """Whether an archive of these arrays is what scipy.sparse.save_npz writes."""
    return {"format", "shape", "data"} <= set(arrays)


def _dense(source: Path | bytes) -> Member:
    arrays = names(source)
    if "tensor" not in arrays and len(arrays) != 1:
        listed = ", ".join(arrays[:5]) or "none"
        raise UserError(
            f"{title(source)} holds {len(arrays)} arrays ({listed}): give one, or call the one that is meant `tensor`, "
            "or for a sparse tensor give `coords`, `values` and `shape`"
        )
    return Member.find(source, "tensor" if "tensor" in arrays else arrays[0])


def _read(source: Path | bytes, part: int, parts: int) -> Coordinates:
    arrays = names(source)
    if _is_scipy(arrays):
        raise UserError(
            f"{title(source)} is a matrix of scipy.sparse, as documents may be: for a sparse tensor give `coords`, "
            "`values` and `shape`, of m = matrix.tocoo() by numpy.savez(file, coords=numpy.stack([m.row, m.col], 1), "
            "values=m.data, shape=m.shape)"
        )
    pydata = {"data", "fill_value"} <= set(arrays)
    if not pydata and "values" not in arrays:
        raise UserError(f"{title(source)} holds `coords` but no `values`: give a value for each of its rows")
    coords, values = Member.find(source, "coords"), Member.find(source, "data" if pydata else "values")
    if pydata:
        coords = coords.turned()
        if Member.find(source, "fill_value").whole().any():
            raise UserError(f"{title(source)} has a fill_value other than 0: what is not stored must be zero")
    _agree(coords, values)
    records, order = coords.shape
    shape = _shape(source, order)
    start, stop = records * part // parts, records * (part + 1) // parts
    gatherer = Gatherer(order)
    with values.opened() as take:
        for first, columns in _columns(coords, shape, start, stop):
            block = take(first, len(columns[0]))
            gatherer.add(columns, _values(values, block, first))
    return gatherer.join(shape)


def _agree(coords: Member, values: Member) -> None:
    """UserError unless there is a row of coordinates for each value."""
    if len(values.shape) != 1 or len(coords.shape) != 2 or coords.shape[0] != values.shape[0]:
        raise UserError(
            f"{title(coords.source)}: coords are {coords.shape} and values {values.shape}: coords must be records x "
            "order, and values as long as they are"
        )
    check_order(coords.shape[1], title(coords.source))
    if not values.shape[0]:
        raise UserError(f"{title(coords.source)} holds no records: coords are {coords.shape}")


def _shape(source: Path | bytes, order: int) -> tuple[int, ...] | None:
    if "shape" not in names(source):
        return None
    member = Member.find(source, "shape")
    shape = member.whole() if member.shape == (order,) else None
    if shape is None or not ((shape >= 1) & (shape <= LARGEST_MODE) & (shape == np.floor(shape))).all():
        got = f"of shape {member.shape}" if shape is None else shape.tolist()
        raise UserError(f"{member.title} is {got}: it must be {order} whole numbers from 1 to {LARGEST_MODE}")
    return tuple(int(rows) for rows in shape)


def _columns(
    coords: Member, shape: tuple[int, ...] | None, start: int, stop: int
) -> Iterator[tuple[int, list[NDArray[np.int32]]]]:
    """Records [start, stop), a few at a time: the number of the first, and one column of indices per mode."""
    records, order = coords.shape
    step = max(1, _archive.CHUNK_BYTES // (order * coords.dtype.itemsize))
    with ExitStack() as stack:
        # In Fortran's order each column is a run of the file: each has its own reader, which only goes forward.
        takes = [stack.enter_context(coords.opened()) for _ in range(order if coords.fortran else 1)]
        for first in range(start, stop, step):
            count = min(step, stop - first)
            if coords.fortran:
                columns = [take(mode * records + first, count) for mode, take in enumerate(takes)]
            else:
                columns = list(takes[0](first * order, count * order).reshape(count, order).T)
            yield first, [_indices(coords, column, first, mode, shape) for mode, column in enumerate(columns)]


def _indices(
    coords: Member, column: NDArray[Any], first: int, mode: int, shape: tuple[int, ...] | None
) -> NDArray[np.int32]:
    rows = None if shape is None else shape[mode]
    return indices(column, lambda place: f"{coords.title}[{first + place}, {mode}]", rows)


def _values(member: Member, block: NDArray[Any], first: int) -> NDArray[np.floating[Any]]:
    return finite(block, lambda place: f"{member.title}[{first + place}]")


def _examples() -> Examples:
    records = Coordinates(np.array([[0, 4], [7, 2]], np.int32), np.array([1.5, -2]), (5, 9), (None, None))
    values = (np.arange(6.0).reshape(2, 3), np.zeros((0, 2), np.uint8), records, replace(records, shape=None))
    archive, no_archive = encode(np.ones(9)), io.BytesIO()
    np.save(no_archive, np.ones(9))
    broken = (b"", b"PK\x05\x06", b"PK\x05\x06" + bytes(18), archive[:-9], no_archive.getvalue())
    return Examples(values, broken)


FORMAT = Format(
    name="npz",
    suffixes=(".npz",),
    content_types=("application/x-npz",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    open_tensor=open_tensor,
    open_arrays=open_arrays,
    read_coordinates=read_coordinates,
    is_sparse=is_sparse,
    read_rows=read_rows,
    unit="row",
    begins=lambda head: head.startswith(b"PK\x03\x04"),
)
