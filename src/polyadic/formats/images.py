"""image/png, image/jpeg: a picture, height x width x channel, of bytes. Grey is one channel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats._dense import DenseFile
from polyadic.formats._format import Examples, Format
from polyadic.formats._refusal import refusing

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_CONVERSIONS = {"1": "L", "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "La": "LA", "RGBa": "RGBA"}
"""The modes of Pillow that are converted, and into which."""


def decode(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture's bytes: height x width x channel."""
    return _pixels(data, "the body")


def encode(value: Any) -> bytes:
    """A PNG of pixels, height x width (x channel, 1 to 4); UserError for what is no picture."""
    from PIL import Image

    pixels = np.asarray(value)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or not pixels.size:
        raise UserError(f"{pixels.dtype} of shape {pixels.shape} is no picture: give height x width x 1 to 4 bytes")
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Picture:
    """A picture in a file as a tensor of one row: 1 x height x width x channel."""

    path: Path
    shape: tuple[int, ...]

    def fill(self, out: NDArray[Any], mode: int, start: int, stop: int) -> None:
        """Writes rows [start, stop) of `mode`, all rows of the others, into `out`."""
        pixels = _pixels(self.path.read_bytes(), self.path.name)[None]
        out[...] = pixels[(slice(None),) * mode + (slice(start, stop),)]


def open_tensor(path: Path) -> DenseFile:
    """A picture of which the head alone is read."""
    with path.open("rb") as file, _opened(file, path.name) as image:
        return Picture(path, (1, image.height, image.width, _CHANNELS[_mode(image, path.name)]))


def _pixels(data: bytes, name: str) -> NDArray[np.uint8]:
    with _opened(io.BytesIO(data), name) as image:
        mode = _mode(image, name)
        pixels = np.array(image if image.mode == mode else image.convert(mode), np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


@contextmanager
def _opened(file: Any, name: str) -> Iterator[Any]:
    from PIL import Image  # Here, for a server that sees no picture need not load it.

    with refusing(name, "picture (PNG or JPEG)"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise UserError(f"{name} has more than {Image.MAX_IMAGE_PIXELS} pixels: give smaller pictures") from None


def _mode(image: Any, name: str) -> str:
    """The mode of pixels that a picture is read in; a palette with transparency has four channels."""
    if image.mode in _CHANNELS:
        return str(image.mode)
    if image.mode not in _CONVERSIONS:
        raise UserError(f"{name} has pixels of kind {shorten(image.mode)}: save it with 8 bits a channel")
    return "RGBA" if image.mode == "P" and "transparency" in image.info else _CONVERSIONS[image.mode]


def _examples() -> Examples:
    values = (
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.zeros((1, 1, 1), np.uint8),
        np.ones((5, 4, 3), np.uint8),
    )
    cut_short = encode(np.ones((9, 9), np.uint8))[:-20]
    return Examples(values, (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", cut_short))


FORMAT = Format(
    name="images",
    suffixes=(".png", ".jpg", ".jpeg"),
    content_types=("image/png", "image/jpeg"),
    form=None,
    decode=decode,
    encode=encode,
    examples=_examples,
    open_tensor=open_tensor,
    begins=lambda head: head.startswith((b"\x89PNG", b"\xff\xd8\xff")),
)
