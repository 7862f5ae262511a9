"""The rows of a matrix of counts: dense as numpy saves it, or by compressed rows as scipy.sparse.save_npz does."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats._archive import Member, NamedBytes, Take, array_head, names
from polyadic.formats._refusal import refusing
from polyadic.formats._rows import Dealer, Rows, offsets_of

BATCH_ENTRIES = 2**20
"""About how many numbers of a file become one batch of rows."""
LONGEST_KIND = 64
"""Bytes of the name of a sparse format that are looked at."""


def matrix_shape(shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """The shape itself; UserError for what is no matrix."""
    if len(shape) != 2:
        raise UserError(f"{name} has the shape {shape}: documents are a matrix of documents x terms")
    return shape


def dense_rows(shape: tuple[int, int], take: Take, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a dense matrix, one batch at a time. take: its entries, by their place in C's order."""
    rows, width = shape
    step = max(1, BATCH_ENTRIES // max(1, width))
    for first in range(0, rows, step):
        count = min(step, rows - first)
        block = take(first * width, count * width).reshape(count, width)
        lengths = np.count_nonzero(block, axis=1)
        _, columns = np.nonzero(block)
        values = block[block != 0].astype(np.float64)
        yield _rows(lengths, columns, values, width, first).take(dealer.mine(count))


def compressed_rows(source: NamedBytes, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of an archive of scipy's format csr, one batch at a time.

    Raises UserError for another format, and for parts that do not fit together.
    """
    if (kind := _kind(source)) != "csr" or not {"indptr", "indices", "data", "shape"} <= set(names(source)):
        raise UserError(
            f"{source.name} is a sparse matrix in the format {kind}: save documents x terms with "
            "scipy.sparse.save_npz(file, matrix.tocsr())"
        )
    offsets, shape = (_whole(Member.find(source, part)) for part in ("indptr", "shape"))
    columns, counts = (Member.find(source, part) for part in ("indices", "data"))
    rows, width = matrix_shape(tuple(shape.tolist()), source.name)
    entries = math.prod(counts.shape)
    fits = len(offsets) == rows + 1 and columns.shape == counts.shape == (entries,) and columns.dtype.kind in "iu"
    if not fits or offsets[0] != 0 or offsets[-1] != entries or (np.diff(offsets) < 0).any():
        raise UserError(
            f"{source.name} is damaged: {len(offsets)} row pointers, columns of shape {columns.shape} and counts of "
            f"{counts.shape} make no matrix of {rows} x {width}: save it anew with scipy.sparse.save_npz"
        )
    with columns.opened() as take_columns, counts.opened() as take_counts:
        first = 0
        while first < rows:
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BATCH_ENTRIES, "right")) - 1)
            begin, count = int(offsets[first]), int(offsets[last] - offsets[first])
            lengths = np.diff(offsets[first : last + 1])
            batch = _rows(lengths, take_columns(begin, count), take_counts(begin, count), width, first)
            yield batch.take(dealer.mine(last - first))
            first = last


def _kind(source: NamedBytes) -> str:
    """The format that scipy says it is in: csr, csc, coo, ..."""
    with (
        refusing(source.name, ".npz archive"),
        ZipFile(io.BytesIO(source)) as archive,
        archive.open("format.npy") as file,
    ):
        _, _, dtype = array_head(file, f"{source.name}: format")
        word = file.read(min(dtype.itemsize, LONGEST_KIND))
    return word.decode("utf-32" if dtype.kind == "U" else "ascii", "replace").rstrip("\0")


def _whole(member: Member) -> NDArray[np.int64]:
    """A list of whole numbers; UserError for anything else."""
    array = member.whole()
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UserError(f"{member.title} is {array.ndim}-dimensional, of {array.dtype}: it must be a list of integers")
    return array.astype(np.int64)


def _rows(lengths: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], width: int, first: int) -> Rows:
    numbers = np.arange(first + 1, first + len(lengths) + 1, dtype=np.int64)
    widths = np.full(len(lengths), width, np.int64)
    return Rows(offsets_of(lengths), columns.astype(np.int64), values.astype(np.float64), widths, numbers)
