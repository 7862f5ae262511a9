"""Bytes that come little by little and are read in their order: in memory, or on the disk once they are many."""

from __future__ import annotations

import io
import os
import tempfile
from typing import IO

MOST_IN_MEMORY = 2**24
"""Bytes of a request that are held in memory."""


class Spool:
    """Bytes, each at the place where it came; those that were taken are read no more.

    size: how many have come. Raises OSError where the disk is full.
    """

    def __init__(self) -> None:
        self.size, self._taken, self._memory = 0, 0, bytearray()
        self._file: io.FileIO | None = None

    @property
    def left(self) -> int:
        """Bytes that were not taken."""
        return self.size - self._taken

    @property
    def in_memory(self) -> int:
        """Bytes that are held in memory."""
        return len(self._memory)

    def append(self, data: bytes) -> None:
        """More has come."""
        if self._file is None and self.size + len(data) > MOST_IN_MEMORY:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 It is read later.
            self._file.seek(self._taken)
            self._write(self._memory)
            self._memory = bytearray()
        if self._file is None:
            self._memory += data
        else:
            self._write(data)
        self.size += len(data)

    def find(self, what: bytes, begin: int, most: int = MOST_IN_MEMORY) -> int:
        """The place of the first `what` of which `most` bytes from `begin` on hold the beginning; -1 for none."""
        if self._file is None:
            return self._at(self._memory.find(what, max(0, begin - self._taken), begin - self._taken + most))
        found = self.peek(begin, begin + most).find(what)
        return found if found < 0 else begin + found

    def peek(self, begin: int, end: int) -> bytes:
        """The bytes of some places."""
        if self._file is None:
            with memoryview(self._memory) as view:
                return bytes(view[max(0, begin - self._taken) : max(0, end - self._taken)])
        return os.pread(self._file.fileno(), max(0, min(end, self.size) - begin), begin)

    def take(self, size: int) -> bytes:
        """The next bytes, up to so many."""
        data = self.peek(self._taken, self._taken + size)
        if self._file is None:
            del self._memory[: len(data)]
        self._taken += len(data)
        if self._file is not None and not self.left:
            self._file.truncate(0)  # The space is needed for the same bytes elsewhere.
        return data

    def whole(self) -> bytes | IO[bytes]:
        """All that has come, of which nothing was taken: itself, or the file, open at its beginning."""
        if self._file is None:
            return bytes(self._memory)
        self._file.seek(0)
        return io.BufferedReader(self._file)

    def close(self) -> None:
        """Frees the space on the disk."""
        if self._file is not None:
            self._file.close()

    def _at(self, found: int) -> int:
        return found if found < 0 else found + self._taken

    def _write(self, data: bytes | bytearray) -> None:
        """Writes behind what is on the disk, unbuffered, so that to close it fails never; a write may be of a part."""
        assert self._file is not None
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += self._file.write(view[done:]) or 0
