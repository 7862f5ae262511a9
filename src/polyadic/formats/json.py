"""application/json: one value. A number that is not finite is written as null, and read as Python's json writes it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import orjson

from polyadic.errors import UserError
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._gzip import BYTE_ORDER_MARK


def decode(data: bytes) -> Any:
    """The value of one JSON document."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if b"NaN" in data or b"Infinity" in data or "infinity" in error.msg:
            # As Python's json writes what is not finite, and whole numbers of any length.
            with suppress(ValueError, RecursionError):
                return json.loads(data)
        more = ". Values of a line each are application/jsonlines" if "after document" in error.msg else ""
        raise UserError(
            _fault(data) or f"broken JSON at line {error.lineno}, column {error.colno}: {error.msg}{more}"
        ) from None


def _fault(data: bytes) -> str | None:
    """What bytes are that are no JSON in UTF-8; None where nothing tells."""
    if data.startswith(b"\x1f\x8b"):
        return "broken JSON: it is gzipped. Unpack it (in a request, say so with Content-Encoding: gzip)"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        return "broken JSON: it is UTF-16 or UTF-32. Write it in UTF-8"
    return None


def encode(value: Any) -> bytes:
    """One JSON document; numpy arrays are lists."""
    return orjson.dumps(value, default=_contiguous, option=orjson.OPT_SERIALIZE_NUMPY)


def _contiguous(value: Any) -> Any:
    """An array in the memory order that orjson reads."""
    if isinstance(value, np.ndarray) and not value.flags.c_contiguous:
        return np.ascontiguousarray(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _examples() -> Examples:
    values: tuple[Any, ...] = (None, True, 2.5, "ä\n", [], {"a": [1, {"b": None}]}, [2**63 - 1, -(2**63)])
    return Examples(values, (b"", b"{", b"[1,]", b"{'a': 1}", b"\xff\xfe", b"[1] [2]", b"[" * 10_000))


FORMAT = Format(
    name="json",
    suffixes=(),
    content_types=("application/json",),
    form=Form.DOCUMENT,
    decode=decode,
    encode=encode,
    examples=_examples,
)
