"""A request that is too large to be held: its body is read from the disk in pieces, and its answer is written there."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from numpy.typing import NDArray

from polyadic.formats import Form, Format, json, npy
from polyadic.room import room, size
from polyadic.serving import content
from polyadic.serving.instances import Refusal, arrange
from polyadic.serving.settings import MIB
from polyadic.serving.spool import MOST_IN_MEMORY, Spool

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
    text, cuts = asked.form in content.TEXTS, asked.form not in TABLES or wanted.form in TABLES
    if cuts and asked.pieces is not None and not (text and content.is_wide(charset)):
        for piece in asked.pieces(body, PIECE_BYTES):
            if not text or piece.removeprefix(codecs.BOM_UTF8).strip(b"\r\n"):
                yield piece
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
        self._spool, self._rows = Spool(), 0
        self._like: NDArray[Any] | None = None

    def add(self, predictions: list[dict[str, Any]]) -> None:
        """The answers to the next piece."""
        match self.wanted.form:
            case Form.DOCUMENT:
                begin = b"," if self._spool.size else b'{"predictions":['
                self._write(begin + json.encode(predictions)[1:-1])
            case Form.ARRAY:
                self._add_rows(arrange(self.wanted, predictions, self.model))
            case _:
                self._write(self.wanted.encode(arrange(self.wanted, predictions, self.model)))

    def _add_rows(self, array: NDArray[Any]) -> None:
        like = self._like = array[:0] if self._like is None else self._like
        if array.shape[1:] != like.shape[1:]:
            raise Refusal(406, "the answers differ in length and make no array: ask for application/jsonlines")
        self._rows += len(array)
        self._write(array.astype(like.dtype).tobytes())

    def data(self) -> bytes | Iterator[bytes]:
        """All of it; one that is large part by part."""
        if self.wanted.form is Form.DOCUMENT:
            self._write(b"]}")
        head = b"" if self._like is None else npy.head((self._rows, *self._like.shape[1:]), self._like.dtype)
        length = self._spool.size - (self.ends_bare and self.wanted.ends_lines)
        if length <= MOST_IN_MEMORY:
            try:
                return head + self._spool.take(length)
            finally:
                self.close()
        return self._parts(head, length)

    def close(self) -> None:
        """Nothing of it is wanted."""
        self._spool.close()

    def _parts(self, head: bytes, length: int) -> Iterator[bytes]:
        try:
            yield head
            while length:
                data = self._spool.take(min(length, SENT_BYTES))
                length -= len(data)
                yield data
        finally:
            self.close()

    def _write(self, data: bytes) -> None:
        with content.on_disk("answer"):
            self._spool.append(data)
