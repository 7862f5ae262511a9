"""application/x-npy: one dense array, in numpy's own format. Nothing pickled is read."""

from __future__ import annotations

import io
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError

SUFFIXES: tuple[str, ...] = (".npy",)
CONTENT_TYPES: tuple[str, ...] = ("application/x-npy",)

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


def _load(source: Path | io.BytesIO, name: str, mmap_mode: Literal["r"] | None) -> NDArray[Any]:
    try:
        array = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except _BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{name} is not a readable .npy array: {reason}. Write it with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} is an archive of arrays (.npz): give one .npy array, written with numpy.save")
    return _numeric(array, name)


def _numeric(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} holds {array.dtype}: it must hold real numbers (float, integer or bool)")
    return array
