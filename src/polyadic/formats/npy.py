"""application/x-npy: one dense array, in numpy's own format. Nothing pickled is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError

SUFFIXES: tuple[str, ...] = (".npy",)
CONTENT_TYPES: tuple[str, ...] = ("application/x-npy",)


def decode(data: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"not a readable .npy array: {error}") from None
    return _numeric(array, "the array")


def encode(value: Any) -> bytes:
    """An .npy file's bytes."""
    out = io.BytesIO()
    np.save(out, np.asarray(value), allow_pickle=False)
    return out.getvalue()


def open_array(path: Path) -> NDArray[Any]:
    """The array of a file, its entries left on disk until they are read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path.name} is not a readable .npy array: {error}. Write it with numpy.save") from None
    return _numeric(array, path.name)


def _numeric(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} holds {array.dtype}: it must hold real numbers (float, integer or bool)")
    return array
