"""application/x-safetensors: one dense tensor, or the one that is called `tensor` among several."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from polyadic.errors import UserError
from polyadic.formats._dense import DenseFile, Sliced
from polyadic.formats._refusal import refusing

SUFFIXES: tuple[str, ...] = (".safetensors",)
CONTENT_TYPES: tuple[str, ...] = ("application/x-safetensors",)

_TYPES = {
    "BOOL": "?",
    **{f"{letter.upper()}{8 * size}": f"<{letter}{size}" for letter in "iu" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}


def decode(data: bytes) -> NDArray[Any]:
    """The tensor of a file's bytes; bfloat16, which numpy has not, as float32."""
    with refusing("the body", "safetensors file"):
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]  # Its stub has no types.
    found = tensors[_only(tensors, "the body")]
    if found["dtype"] == "BF16":
        wide = np.frombuffer(found["data"], "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(found["shape"])
    return np.frombuffer(found["data"], _known(found["dtype"], "the body")).reshape(found["shape"])


def encode(value: Any) -> bytes:
    """A file's bytes: the tensor under the name `tensor`."""
    return save({"tensor": np.ascontiguousarray(value).reshape(np.shape(value))})


def open_tensor(path: Path) -> DenseFile:
    """The tensor of a file, its entries left on disk until they are read."""
    with path.open("rb"):  # A file that cannot be read is no fault of its writer's.
        pass
    with refusing(path.name, "safetensors file"), safetensors.safe_open(path, "numpy") as file:
        name = _only(file.keys(), path.name)
        piece = file.get_slice(name)
        shape, kind = tuple(piece.get_shape()), piece.get_dtype()
    bfloat = kind == "BF16"
    if not bfloat:
        _known(kind, path.name)

    def read(box: tuple[slice, ...]) -> NDArray[Any]:
        with refusing(path.name, "safetensors file"), safetensors.safe_open(path, "pt" if bfloat else "numpy") as file:
            found = file.get_slice(name)[box]
            array: NDArray[Any] = found.float().numpy() if bfloat else found
            return array

    return Sliced(shape, read)


def _only(names: Collection[str], file: str) -> str:
    if "tensor" in names:
        return "tensor"
    if len(names) != 1:
        found = ", ".join(sorted(names)[:5]) or "none"
        raise UserError(f"{file} holds {len(names)} tensors ({found}): give one, or name the one meant `tensor`")
    return next(iter(names))


def _known(kind: str, file: str) -> np.dtype[Any]:
    if kind not in _TYPES:
        raise UserError(f"{file} holds {kind}: it must hold BF16 or one of {', '.join(_TYPES)}")
    return np.dtype(_TYPES[kind])
