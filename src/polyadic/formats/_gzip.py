"""Files as they are, or unpacked where they are gzipped: their first bytes say so, not their names."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyadic.formats._refusal import refusing

_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs begin a text of UTF-8 with."""


def is_gzipped(path: Path) -> bool:
    """Whether a file is gzipped. A FIFO, which can be read but once, must not be asked."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader[Any]]:
    """A file, or a FIFO, to be read from its beginning, past a byte order mark; unpacked where it is gzipped.

    Raises UserError, which names it, for gzip that is broken or ends early.
    """
    with (
        refusing(path.name, "gzip file", (EOFError, zlib.error, gzip.BadGzipFile)),
        path.open("rb") as file,
    ):
        if file.peek(len(_MAGIC)).startswith(_MAGIC):
            with gzip.GzipFile(fileobj=file) as packed, io.BufferedReader(packed) as unpacked:
                yield _past_mark(unpacked)
        else:
            yield _past_mark(file)


def _past_mark(file: io.BufferedReader[Any]) -> io.BufferedReader[Any]:
    if file.peek(len(BYTE_ORDER_MARK)).startswith(BYTE_ORDER_MARK):
        file.read(len(BYTE_ORDER_MARK))
    return file
