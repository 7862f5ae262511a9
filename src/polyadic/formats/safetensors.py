"""application/x-safetensors: a dense tensor, the only one of the file or the one called `tensor`."""

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
from polyadic.formats._format import Examples, Format
from polyadic.formats._refusal import refusing

_TYPES = {
    "BOOL": "?",
    **{f"{letter.upper()}{8 * size}": f"<{letter}{size}" for letter in "iu" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}


def decode(data: bytes) -> NDArray[Any]:
    """The tensor of a file's bytes; bfloat16, which numpy has not, as float32."""
    with refusing("the body", "safetensors file"):
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]  # Its stub has no types.
    tensor = tensors[_only(tensors, "the body")]
    if tensor["dtype"] == "BF16":
        wide = np.frombuffer(tensor["data"], "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(tensor["shape"])
    return np.frombuffer(tensor["data"], _known(tensor["dtype"], "the body")).reshape(tensor["shape"])


def encode(value: Any) -> bytes:
    """A file's bytes: the tensor under the name `tensor`."""
    return save({"tensor": np.ascontiguousarray(value).reshape(np.shape(value))})


def open_tensor(path: Path) -> DenseFile:
    """The tensor of a file, its entries left on disk until they are read."""
    return _opened(path, every=False)[0][1]


def open_arrays(path: Path) -> dict[str, DenseFile]:
    """Every tensor of a file by its name."""
    return dict(_opened(path, every=True))


def _opened(path: Path, *, every: bool) -> list[tuple[str, DenseFile]]:
    """The tensors of a file with their names: every one, or the one that is meant."""
    with path.open("rb"):  # A file that cannot be read is no fault of its writer's.
        pass
    with refusing(path.name, "safetensors file"), safetensors.safe_open(path, "numpy") as file:
        names = list(file.keys()) if every else [_only(file.keys(), path.name)]
        heads = [(name, file.get_slice(name)) for name in names]
        kinds = [(name, tuple(piece.get_shape()), piece.get_dtype()) for name, piece in heads]
    return [(name, _sliced(path, name, shape, kind)) for name, shape, kind in kinds]


def _sliced(path: Path, name: str, shape: tuple[int, ...], kind: str) -> DenseFile:
    bfloat = kind == "BF16"
    if not bfloat:
        _known(kind, path.name)

    def read(box: tuple[slice, ...]) -> NDArray[Any]:
        with refusing(path.name, "safetensors file"), safetensors.safe_open(path, "pt" if bfloat else "numpy") as file:
            entries = file.get_slice(name)[box]
            array: NDArray[Any] = entries.float().numpy() if bfloat else entries
            return array

    return Sliced(shape, read)


def _only(names: Collection[str], file: str) -> str:
    if "tensor" in names:
        return "tensor"
    if len(names) != 1:
        listed = ", ".join(sorted(names)[:5]) or "none"
        raise UserError(f"{file} holds {len(names)} tensors ({listed}): give one, or name the one meant `tensor`")
    return next(iter(names))


def _known(kind: str, file: str) -> np.dtype[Any]:
    if kind not in _TYPES:
        raise UserError(f"{file} holds {kind}: it must hold BF16 or one of {', '.join(_TYPES)}")
    return np.dtype(_TYPES[kind])


def _examples() -> Examples:
    values = (np.arange(6.0).reshape(2, 3), np.zeros((0, 2), np.uint8), np.array(2, np.int64), np.ones(3, np.float16))
    broken = (b"", b"{}", bytes(8), b"\x02" + bytes(7) + b"{}", encode(np.ones(9))[:-1])
    return Examples(values, broken)


FORMAT = Format(
    name="safetensors",
    suffixes=(".safetensors",),
    content_types=("application/x-safetensors",),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    open_tensor=open_tensor,
    open_arrays=open_arrays,
    begins=lambda head: head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 2**32,
)
