"""A text, plain or gzipped, of which a rank reads its part of the lines, a block at a time."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from polyadic.errors import UserError
from polyadic.formats._refusal import refusing

AT_ONCE = 2**20
LONGEST_LINE = 2**20


@dataclass(frozen=True)
class Lines:
    """The lines of a file, or of a request's body; offsets are bytes of the text, unpacked."""

    source: Path | bytes

    @property
    def name(self) -> str:
        """How a message calls it."""
        return "the body" if isinstance(self.source, bytes) else self.source.name

    @property
    def _packed(self) -> bool:
        return isinstance(self.source, Path) and self.source.name.lower().endswith(".gz")

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Each line from the first: its number from 1, the offset after it, its bytes."""
        offset = 0
        with self._open() as file:
            for count, line in enumerate(iter(lambda: self._line(file), b""), 1):
                offset += len(line)
                yield count, offset, line

    def blocks(self, begin: int, part: int, parts: int) -> Iterator[tuple[int, bytes]]:
        """The `part`-th of `parts` of the lines after offset `begin`: blocks of whole lines, each with its offset.

        A plain text is cut into byte ranges that end where lines do; a packed one is read through, and its blocks go
        round the parts.
        """
        with self._open() as file:
            yield from self._dealt(file, begin, part, parts) if self._packed else self._cut(file, begin, part, parts)

    def _cut(self, file: io.BufferedIOBase, begin: int, part: int, parts: int) -> Iterator[tuple[int, bytes]]:
        size = file.seek(0, os.SEEK_END) - begin
        offset, stop = (self._line_start(file, begin, begin + size * k // parts) for k in (part, part + 1))
        file.seek(offset)
        while offset < stop and (block := file.read(min(AT_ONCE, stop - offset))):
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
        while block := file.read(AT_ONCE):
            if not block.endswith(b"\n"):
                block += self._line(file)
            if turn % parts == part:
                yield offset, block
            offset, turn = offset + len(block), turn + 1

    def number(self, offset: int) -> int:
        """The number of the line that starts at an offset, from 1."""
        count = 1
        with self._open() as file:
            while offset > 0 and (block := file.read(min(AT_ONCE, offset))):
                count, offset = count + block.count(b"\n"), offset - len(block)
        return count

    def _line(self, file: io.BufferedIOBase) -> bytes:
        line = file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            raise UserError(f"{self.name} has a line of more than {LONGEST_LINE} bytes: it is not a text of records")
        return line

    @contextmanager
    def _open(self) -> Iterator[io.BufferedIOBase]:
        if isinstance(self.source, bytes):
            yield io.BytesIO(self.source)
        elif self._packed:
            with (
                refusing(self.name, "gzip file", (EOFError, zlib.error, gzip.BadGzipFile)),
                gzip.open(self.source) as file,
            ):
                yield file
        else:
            with self.source.open("rb") as file:
                yield file
