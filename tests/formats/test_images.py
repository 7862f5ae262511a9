"""Pictures as height x width x channel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from polyadic.errors import UserError
from polyadic.formats import images
from tests.helpers.format_checks import check_damaged, check_round_trip

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
SMOOTH = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(mode: str) -> Image.Image:
    """The pixels, as the mode has them."""
    return Image.fromarray(PIXELS[:, :, :3]).convert(mode)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4)])
def test_a_png_is_read_in_its_channels(mode: str, channels: int, tmp_path: Path) -> None:
    image = picture(mode)
    (tmp_path / "a.png").write_bytes(saved(image))
    found = images.decode((tmp_path / "a.png").read_bytes())
    assert found.dtype == np.uint8 and found.shape == (6, 5, channels)
    wanted = image.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    assert np.array_equal(found, np.asarray(wanted).reshape(found.shape))
    file = images.open_tensor(tmp_path / "a.png")
    assert file.shape == (1, 6, 5, channels)
    for axis, (start, stop) in enumerate([(0, 1), (2, 4), (1, 5), (0, channels)]):
        box = found[None][(slice(None),) * axis + (slice(start, stop),)]
        out = np.zeros(box.shape, np.float32)
        file.fill(out, axis, start, stop)
        assert np.array_equal(out, box)


def test_a_transparent_palette_has_four_channels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(picture("P"), transparency=0))
    assert images.decode((tmp_path / "a.png").read_bytes()).shape == (6, 5, 4)
    assert images.open_tensor(tmp_path / "a.png").shape == (1, 6, 5, 4)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
def test_a_jpeg_is_read(mode: str, channels: int) -> None:
    found = images.decode(saved(Image.fromarray(SMOOTH).convert(mode), "JPEG", quality=95))
    assert found.shape == (64, 48, channels)
    wanted = np.asarray(Image.fromarray(SMOOTH).convert("L" if channels == 1 else "RGB"), int).reshape(found.shape)
    assert np.abs(found.astype(int) - wanted).mean() < 8


def test_a_flat_array_is_a_grey_picture() -> None:
    assert np.array_equal(images.decode(images.encode(PIXELS[:, :, 0])), PIXELS[:, :, :1])


@pytest.mark.parametrize(
    "value", [PIXELS.astype(float), PIXELS[0, 0], np.zeros((2, 2, 5), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_what_is_no_picture_is_not_written(value: Any) -> None:
    with pytest.raises(UserError, match="is no picture: give height x width x 1 to 4 bytes"):
        images.encode(value)


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a readable picture"),
    "text": (b"hello", "is not a readable picture"),
    "another format": (saved(picture("RGB"), "GIF"), "is not a readable picture"),
    "a png cut short": (saved(Image.fromarray(SMOOTH))[:-300], "is not a readable picture"),
    "a jpeg cut short": (saved(Image.fromarray(SMOOTH), "JPEG")[:-300], "is not a readable picture"),
    "sixteen bits": (saved(Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 256)), "save it with 8 bits a channel"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_a_broken_picture_is_refused(what: str, tmp_path: Path) -> None:
    data, why = REFUSED[what]
    with pytest.raises(UserError, match=f"^the body .*{why}"):
        images.decode(data)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=rf"^a\.png .*{why}"):
        file = images.open_tensor(tmp_path / "a.png")
        file.fill(np.empty(file.shape), 0, 0, 1)


@pytest.mark.parametrize("limit", [20, 10])
def test_a_decompression_bomb_is_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=f"the body has more than {limit} pixels: give smaller pictures"):
        images.decode(images.encode(PIXELS))


@settings(deadline=None)
@given(value=npst.arrays("u1", st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))), data=st.data())
def test_any_picture_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(images.FORMAT, value)
    check_damaged(images.FORMAT, value, data)
