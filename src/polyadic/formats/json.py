"""application/json: one value. A number that is not finite is written as null."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from polyadic.errors import UserError
from polyadic.formats._format import Examples, Form, Format


def decode(data: bytes) -> Any:
    """The value of one JSON document."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UserError(f"broken JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None


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
    return Examples(values, (b"", b"{", b"[1,]", b"{'a': 1}", b"[NaN]", b"\xff\xfe", b"[1] [2]", b"[" * 10_000))


FORMAT = Format(
    name="json",
    suffixes=(),
    content_types=("application/json",),
    form=Form.DOCUMENT,
    decode=decode,
    encode=encode,
    examples=_examples,
)
