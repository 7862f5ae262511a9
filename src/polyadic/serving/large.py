"""A request that is too large to be held: its body is read from the disk in pieces, and its answer is written there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from polyadic.formats import Form, Format, json
from polyadic.room import room, size
from polyadic.serving import content
from polyadic.serving.instances import Refusal, arrange
from polyadic.serving.settings import MIB
from polyadic.serving.spool import MOST_IN_MEMORY

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

PIECE_BYTES, SENT_BYTES = 2**22, 2**18
"""Of a body, how much is parsed together; of an answer, how much is read together."""
TABLES = (Form.TABLE, Form.ARRAY)
WHOLE_COPIES = 10
"""What a body takes that is read whole, in units of its bytes."""


def pieces(body: IO[bytes], asked: Format, charset: str, wanted: Format) -> Iterator[bytes]:
    """A body in pieces that are bodies themselves; whole, where its format has none, or it is no UTF-8.

    Whole too is a table whose answer is none, since a model may answer several of its rows by one value.

    Refused with 413 where it must be read whole and would fill the memory.
    """
    text = asked.form in content.TEXTS
    cuts = asked.form not in TABLES or wanted.form in TABLES
    if cuts and asked.pieces is not None and not (text and charset.lower() not in content.UTF_8):
        yield from (piece for piece in asked.pieces(body, PIECE_BYTES) if not (text and piece.isspace()))
        return
    data = content.size_of(body)
    if data * WHOLE_COPIES > room().bytes:
        raise Refusal(
            413,
            f"{asked.content_types[0]} is read whole, and {size(room().bytes)} are too little for {data / MIB:.0f} "
            "MiB of it: send application/jsonlines in UTF-8, which is read line by line",
        )
    yield body.read()


class Answer:
    """The answer to a request, put together from those to its pieces, as its format has it.

    ends_bare: whether the last line has no end.
    """

    def __init__(self, wanted: Format, model: Model, ends_bare: bool) -> None:
        self.wanted, self.model, self.ends_bare = wanted, model, ends_bare
        self._arrays, self._empty = list[Any](), True
        self._file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 The answer is read later.

    def add(self, predictions: list[dict[str, Any]]) -> None:
        """The answers to the next piece."""
        match self.wanted.form:
            case Form.DOCUMENT:
                self._write((b'{"predictions":[' if self._empty else b",") + json.encode(predictions)[1:-1])
            case Form.ARRAY:
                self._arrays.append(arrange(self.wanted, predictions, self.model))
            case _:
                self._write(self.wanted.encode(arrange(self.wanted, predictions, self.model)))
        self._empty = False

    def data(self) -> bytes | Iterator[bytes]:
        """All of it; one that is large part by part."""
        if self.wanted.form is Form.DOCUMENT:
            self._write(b"]}")
        elif self.wanted.form is Form.ARRAY:
            self._write(self.wanted.encode(np.concatenate(self._arrays)))
        length = self._file.tell() - (self.ends_bare and self.wanted.ends_lines)
        self._file.seek(0)
        if length <= MOST_IN_MEMORY:
            with self._file:
                return self._file.read(length)
        return self._parts(length)

    def close(self) -> None:
        """Nothing of it is wanted."""
        self._file.close()

    def _parts(self, length: int) -> Iterator[bytes]:
        with self._file:
            while length:
                data = self._file.read(min(length, SENT_BYTES))
                length -= len(data)
                yield data

    def _write(self, data: bytes) -> None:
        with content.on_disk("answer"):
            self._file.write(data)
