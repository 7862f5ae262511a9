"""application/x-npy: one dense array, in numpy's own format. Nothing pickled is read.

Documents are a matrix of counts, documents x terms.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._archive import array_head
from polyadic.formats._dense import DenseFile, Sliced, real
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._matrix_rows import dense_rows, matrix_shape
from polyadic.formats._rows import Dealer, Rows
from polyadic.room import refuse_large

MAGIC = b"\x93NUMPY"
WHOLE_COPIES = 3
"""What an array takes that is read whole from a stream, in units of its bytes."""
# What numpy raises over a header that is none.
_BROKEN = (ValueError, TypeError, EOFError, OverflowError, MemoryError, SyntaxError, TokenError, BadZipFile)


def decode(data: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes."""
    return _load(io.BytesIO(data), "the body", None)


def pieces(body: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """A large body in arrays of some of its rows each; whole, where its rows do not lie one after the other."""
    try:
        shape, fortran, dtype = array_head(body, "the body")
        row = dtype.itemsize * math.prod(shape[1:])
        whole = fortran or dtype.hasobject or dtype.subdtype is not None or len(shape) < 2 or min(shape) < 1
    except (*_BROKEN, UserError):
        whole = True
    if whole or not row:
        refuse_large(WHOLE_COPIES * body.seek(0, os.SEEK_END), "the body")
        body.seek(0)
        yield body.read()
        return
    rows = max(1, most_bytes // row)
    for first in range(0, shape[0], rows):
        count = min(rows, shape[0] - first)
        yield encode(_next(body, dtype, count * math.prod(shape[1:]), "the body").reshape(count, *shape[1:]))


def head(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What stands before the entries of an array."""
    out = io.BytesIO()
    told = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, told)
    return out.getvalue()


def encode(value: Any) -> bytes:
    """An .npy file's bytes."""
    out = io.BytesIO()
    np.save(out, np.asarray(value), allow_pickle=False)
    return out.getvalue()


def open_array(path: Path) -> NDArray[Any]:
    """The array of a file, its entries left on disk until they are read."""
    return _load(path, path.name, "r")


def open_tensor(path: Path) -> DenseFile:
    """The tensor of a file, its entries left on disk until they are read."""
    array = open_array(path)
    slowest = array.ndim - 1 if array.flags.f_contiguous and not array.flags.c_contiguous else 0
    return Sliced(array.shape, lambda box: open_array(path)[box], slowest)


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a matrix, one batch at a time; UserError for what is none."""
    try:
        stated, fortran, dtype = array_head(file, name)
    except _BROKEN as error:
        raise _refusal(error, MAGIC, name) from None
    if dtype.hasobject:
        raise _refusal(ValueError("Object arrays"), MAGIC, name)
    real(dtype, name)
    shape = matrix_shape(stated, name)
    if fortran:
        whole = _next(file, dtype, math.prod(shape), name).reshape(shape[::-1]).T.ravel()
        yield from dense_rows(shape, lambda first, count: whole[first : first + count], dealer)
    else:
        yield from dense_rows(shape, lambda _, count: _next(file, dtype, count, name), dealer)


def _next(file: IO[bytes], dtype: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    """The next entries of a stream; UserError where it ends before them."""
    refuse_large(count * dtype.itemsize, name)
    try:
        data = file.read(count * dtype.itemsize)
    except (MemoryError, OverflowError):  # More than any file has: its first bytes state a shape that it cannot hold.
        data = b""
    if len(data) < count * dtype.itemsize:
        raise UserError(f"{name} ends in mid-record: the file may have been cut short")
    return np.frombuffer(data, dtype)


def _load(source: Path | io.BytesIO, name: str, mmap_mode: Literal["r"] | None) -> NDArray[Any]:
    try:
        array = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except _BROKEN as error:
        raise _refusal(error, _head(source), name) from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} is an archive of arrays (.npz): give one .npy array, written with numpy.save")
    real(array.dtype, name)
    return array


def _refusal(error: Exception, head: bytes, name: str) -> UserError:
    """Why an array whose file begins with some bytes cannot be read."""
    if head.startswith(b"\x80") or any(words in str(error) for words in ("Python objects", "Object arrays")):
        return UserError(
            f"{name} is pickled, or holds Python objects, which are never read: write an array of numbers, such as "
            "numpy.save(file, array.astype(float))"
        )
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    if "pickled" in reason:  # As numpy takes whatever does not begin as its own files do.
        reason = f"it begins with {shorten(head)}, and not with {MAGIC!r}"
    return UserError(f"{name} is not a readable .npy array: {reason}. Write it with numpy.save")


def _head(source: Path | io.BytesIO) -> bytes:
    """The first bytes of a file or of a body."""
    if isinstance(source, io.BytesIO):
        return source.getvalue()[: len(MAGIC)]
    with source.open("rb") as file:
        return file.read(len(MAGIC))


def _examples() -> Examples:
    values = (np.arange(6.0).reshape(2, 3), np.zeros((0, 4), np.int8), np.array(True), np.arange(4, dtype=">f4"))
    broken = (b"", b"hello, this is text", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00nonsense")
    return Examples(values, broken)


FORMAT = Format(
    name="npy",
    suffixes=(".npy",),
    content_types=("application/x-npy",),
    form=Form.ARRAY,
    decode=decode,
    encode=encode,
    pieces=pieces,
    examples=_examples,
    open_tensor=open_tensor,
    read_rows=read_rows,
    unit="row",
    begins=lambda head: head.startswith(MAGIC),
)
