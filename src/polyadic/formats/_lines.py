"""A text, plain or gzipped, of which a rank reads its part of the lines, one block at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from polyadic.errors import UserError
from polyadic.formats._gzip import BYTE_ORDER_MARK, is_gzipped, opened

BLOCK_BYTES = 2**20
LONGEST_LINE_BYTES = 2**20


@dataclass(frozen=True)
class Lines:
    """The lines of a file, or of a request's body. Offsets are bytes of the unpacked text."""

    source: Path | bytes

    @property
    def name(self) -> str:
        """How a message calls it."""
        return "the body" if isinstance(self.source, bytes) else self.source.name

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Each line from the first: its number from 1, the offset after it, its bytes."""
        with self._open() as file:
            offset = file.tell()
            for number, line in enumerate(iter(lambda: self._line(file), b""), 1):
                offset += len(line)
                yield number, offset, line

    def blocks(self, begin: int, part: int, parts: int) -> Iterator[tuple[int, bytes]]:
        """The `part`-th of `parts` of the lines after offset `begin`: blocks of whole lines, each with its offset.

        A plain text is cut into ranges of bytes that end where lines do. A gzipped one is read from end to end by every
        part, and its blocks are dealt to the parts in turn.
        """
        gzipped = isinstance(self.source, Path) and is_gzipped(self.source)
        with self._open() as file:
            begin = max(begin, file.tell())
            yield from self._dealt(file, begin, part, parts) if gzipped else self._cut(file, begin, part, parts)

    def _cut(self, file: io.BufferedIOBase, begin: int, part: int, parts: int) -> Iterator[tuple[int, bytes]]:
        size = file.seek(0, os.SEEK_END) - begin
        offset, stop = (self._line_start(file, begin, begin + size * k // parts) for k in (part, part + 1))
        file.seek(offset)
        while offset < stop and (block := file.read(min(BLOCK_BYTES, stop - offset))):
            if offset + len(block) < stop:
                block += self._line(file)
            yield offset, block
            offset += len(block)

    def _line_start(self, file: io.BufferedIOBase, begin: int, offset: int) -> int:
        """The first start of a line from `offset` on."""
        if offset <= begin:
            return begin
        file.seek(offset - 1)
        self._line(file)
        return file.tell()

    def _dealt(self, file: io.BufferedIOBase, begin: int, part: int, parts: int) -> Iterator[tuple[int, bytes]]:
        offset, turn = file.seek(begin), 0
        while block := file.read(BLOCK_BYTES):
            if not block.endswith(b"\n"):
                block += self._line(file)
            if turn % parts == part:
                yield offset, block
            offset, turn = offset + len(block), turn + 1

    def number(self, offset: int) -> int:
        """The number of the line that starts at an offset, from 1."""
        number = 1
        with self._open() as file:
            file.seek(0)
            while offset > 0 and (block := file.read(min(BLOCK_BYTES, offset))):
                number, offset = number + block.count(b"\n"), offset - len(block)
        return number

    def refusal(self, offset: int, block: bytes, content: str, line_fault: Callable[[bytes], str | None]) -> UserError:
        """The error that tells what is wrong with a block: its first line with a fault, by its number.

        `line_fault` returns why a line cannot be taken, or raises it as a UserError; `content` is what the text is
        no text of, for a block whose lines are all good one by one.
        """
        first = self.number(offset)
        for number, line in enumerate(block.split(b"\n"), first):
            try:
                fault = line_fault(line.rstrip(b"\r"))
            except UserError as error:
                fault = str(error)
            if fault:
                return UserError(f"{self.name}, line {number}: {fault}")
        return UserError(f"{self.name} is not {content} near line {first}")

    def _line(self, file: io.BufferedIOBase) -> bytes:
        line = file.readline(LONGEST_LINE_BYTES)
        if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            raise UserError(
                f"{self.name} has a line of more than {LONGEST_LINE_BYTES} bytes: it is not a text of records"
            )
        return line

    def _open(self) -> AbstractContextManager[io.BufferedIOBase]:
        """The text, past a byte order mark."""
        if not isinstance(self.source, bytes):
            return opened(self.source)
        body = io.BytesIO(self.source)
        body.seek(len(BYTE_ORDER_MARK) if self.source.startswith(BYTE_ORDER_MARK) else 0)
        return nullcontext(body)
