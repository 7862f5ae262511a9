"""application/x-npy: one dense array, in numpy's own format. Nothing pickled is read."""

from __future__ import annotations

import io
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._dense import DenseFile, Sliced, real
from polyadic.formats._format import Examples, Form, Format

MAGIC = b"\x93NUMPY"
# What numpy raises over a header that is none.
_BROKEN = (ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TokenError, BadZipFile)


def decode(data: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes."""
    return _load(io.BytesIO(data), "the body", None)


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


def _load(source: Path | io.BytesIO, name: str, mmap_mode: Literal["r"] | None) -> NDArray[Any]:
    try:
        array = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except _BROKEN as error:
        head = _head(source)
        if head.startswith(b"\x80") or any(words in str(error) for words in ("Python objects", "Object arrays")):
            raise UserError(
                f"{name} is pickled, or holds Python objects, which are never read: write an array of numbers, such as "
                "numpy.save(file, array.astype(float))"
            ) from None
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if "pickled" in reason:  # As numpy takes whatever does not begin as its own files do.
            reason = f"it begins with {shorten(head)}, and not with {MAGIC!r}"
        raise UserError(f"{name} is not a readable .npy array: {reason}. Write it with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} is an archive of arrays (.npz): give one .npy array, written with numpy.save")
    real(array.dtype, name)
    return array


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
    examples=_examples,
    open_tensor=open_tensor,
    begins=lambda head: head.startswith(MAGIC),
)
