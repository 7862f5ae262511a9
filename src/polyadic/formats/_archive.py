"""The arrays of an .npz archive, read in pieces: an array of which a part is wanted is never wholly in memory."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError
from polyadic.formats._dense import real
from polyadic.formats._refusal import refusing
from polyadic.room import Watch, refuse_large

CHUNK_BYTES = 2**22

_KIND = ".npz archive"


class NamedBytes(bytes):
    """The bytes of a file, and its name for messages."""

    name: str

    @staticmethod
    def of(file: IO[bytes], name: str) -> NamedBytes:
        """All of a stream; UserError where memory has no room for it."""
        watch, parts = Watch(f"bytes of {name}"), list[bytes]()
        while part := file.read(CHUNK_BYTES):
            watch.add(len(part))
            parts.append(part)
        named = NamedBytes(b"".join(parts))
        named.name = name
        return named


Take: TypeAlias = Callable[[int, int], NDArray[Any]]
"""take(first, count): entries of an array by their place in the file; fast where each call goes on from the last."""


def names(source: Path | bytes) -> list[str]:
    """The arrays of an archive."""
    with _opened(source) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def array_head(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether in Fortran's order, and the type of an array in numpy's format, read from a stream.

    Raises UserError for one of another version, and whatever numpy raises for one that is broken.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise UserError(f"{name} is not an array of numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():  # A header that is hard to parse is read, or refused, without a word of Python 2.
        warnings.simplefilter("ignore", UserWarning)
        shape, fortran, dtype = read(file)
    return shape, fortran, dtype


@dataclass(frozen=True)
class Member:
    """An array of an archive; `stored` is its shape with the index last that is fastest in the file."""

    source: Path | bytes
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    fortran: bool

    @staticmethod
    def find(source: Path | bytes, name: str) -> Member:
        """The head of an array; UserError for an array that is not of numbers, or that is cut short."""
        with _opened(source) as archive, refusing(title(source), _KIND), archive.open(f"{name}.npy") as file:
            shape, fortran, dtype = array_head(file, f"{title(source)}: {name}")
            member = Member(source, name, shape, dtype, file.tell(), fortran)
            stated = archive.getinfo(f"{name}.npy").file_size - file.tell()
        if dtype.hasobject:
            raise UserError(f"{member.title} is pickled, which is never read: write numbers, with numpy.savez")
        real(dtype, member.title)
        if stated < math.prod(shape) * dtype.itemsize:
            raise UserError(f"{member.title} ends in mid-record: its shape is {shape}, but it has {stated} bytes")
        return member

    def turned(self) -> Member:
        """The same array with its modes in reverse."""
        return replace(self, shape=self.shape[::-1], fortran=not self.fortran)

    @property
    def title(self) -> str:
        """How a message calls it."""
        return f"{title(self.source)}: {self.name}"

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape with the fastest index of the file last."""
        return self.shape[::-1] if self.fortran else self.shape

    @contextmanager
    def opened(self) -> Iterator[Take]:
        """The array's entries, to take."""
        with _opened(self.source) as archive:
            with refusing(title(self.source), _KIND):
                file = archive.open(f"{self.name}.npy")
            yield lambda first, count: self._take(file, first, count)

    def _take(self, file: IO[bytes], first: int, count: int) -> NDArray[Any]:
        refuse_large(count * self.dtype.itemsize, self.title)
        with refusing(title(self.source), _KIND):
            file.seek(self.offset + first * self.dtype.itemsize)
            data = file.read(count * self.dtype.itemsize)
        if len(data) < count * self.dtype.itemsize:
            raise UserError(f"{self.title} ends in mid-record: the file may have been cut short")
        return np.frombuffer(data, self.dtype)

    def whole(self) -> NDArray[Any]:
        """The array."""
        with self.opened() as take:
            array = take(0, math.prod(self.shape)).reshape(self.stored)
        return array.T if self.fortran else array

    def fill(self, out: NDArray[Any], mode: int, start: int, stop: int) -> None:
        """Writes rows [start, stop) of `mode`, all rows of the others, into `out`."""
        if self.fortran:
            out, mode = out.T, len(self.shape) - 1 - mode
        with self.opened() as take, np.errstate(over="ignore"):
            _fill(out, take, 0, self.stored, mode, start, stop)


def _fill(out: NDArray[Any], take: Take, base: int, stored: tuple[int, ...], mode: int, start: int, stop: int) -> None:
    """Fills `out` from the entries of an array of shape `stored` that begins at entry `base`, a few rows at a time."""
    row = math.prod(stored[1:])
    first, rows = (base + start * row, stop - start) if mode == 0 else (base, stored[0])
    step = CHUNK_BYTES // (max(1, row) * out.itemsize)
    if step == 0 and len(stored) > 1:
        for number in range(rows):
            rest = (mode - 1, start, stop) if mode else (0, 0, stored[1])
            _fill(out[number], take, first + number * row, stored[1:], *rest)
        return
    wanted = (slice(None),) * mode + (slice(start, stop) if mode else slice(None),)
    for done in range(0, rows, max(1, step)):
        count = min(max(1, step), rows - done)
        out[done : done + count] = take(first + done * row, count * row).reshape(count, *stored[1:])[wanted]


def title(source: Path | bytes) -> str:
    """How a message calls an archive."""
    return "the body" if isinstance(source, bytes) and not isinstance(source, NamedBytes) else source.name


@contextmanager
def _opened(source: Path | bytes) -> Iterator[zipfile.ZipFile]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        with refusing(title(source), _KIND):
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive
