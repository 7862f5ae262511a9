"""Bytes <-> values: a file format and an HTTP content type are the same thing, one a file.

A format is a module of this package with SUFFIXES, CONTENT_TYPES, decode(bytes) and encode(value); it is found by
being here. One whose files can be tensors reads these in parts as well: it is a DenseFormat, a SparseFormat, or either.
One whose files can be rows of counts, such as documents, reads these as a stream: it is a RowsFormat.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from polyadic.errors import UserError
from polyadic.formats._coordinates import Coordinates
from polyadic.formats._dense import DenseFile
from polyadic.formats._rows import Dealer, Rows


class Format(Protocol):
    """One way to write values down; the first of its suffixes and of its content types is the usual one."""

    SUFFIXES: tuple[str, ...]
    CONTENT_TYPES: tuple[str, ...]

    def decode(self, data: bytes) -> Any:
        """The value that bytes hold; UserError for bytes of another kind."""

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""


@runtime_checkable
class DenseFormat(Format, Protocol):
    """A format whose files can be dense tensors."""

    def open_tensor(self, path: Path) -> DenseFile:
        """The tensor of a file, its entries left there until they are read."""


@runtime_checkable
class SparseFormat(Format, Protocol):
    """A format whose files can be sparse tensors."""

    def read_coordinates(
        self, path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()
    ) -> Coordinates:
        """The `part`-th of `parts` of a file's records, the modes in `labelled` as labels where the file can tell them.

        Raises UserError that names the file, and the line or the record.
        """


@runtime_checkable
class EitherFormat(DenseFormat, SparseFormat, Protocol):
    """A format whose files are the one or the other."""

    def is_sparse(self, path: Path) -> bool:
        """Which of them a file is."""


@runtime_checkable
class RowsFormat(Format, Protocol):
    """A format whose files can be rows of counts; UNIT is what `Rows.numbers` numbers in it: a record, or a line."""

    UNIT: str

    def read_rows(self, file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
        """The rows of a stream that the dealer gives this part, a batch at a time.

        Raises UserError with `name`, and the line or the record. Columns and values are as they were written.
        """


@cache
def formats() -> dict[str, Format]:
    """Every format, by its module's name."""
    return {name: importlib.import_module(f"{__name__}.{name}") for name in _names()}


def _names() -> Iterator[str]:
    return (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def by_suffix(name: str) -> Format | None:
    """The format of a file's name, in capitals or not; None where it is no format's."""
    return next((one for one in formats().values() if name.lower().endswith(one.SUFFIXES)), None)


def by_content_type(content_type: str | None) -> Format:
    """The format of an HTTP content type; UserError with the known ones otherwise."""
    bare = (content_type or "").partition(";")[0].strip().lower()
    for one in formats().values():
        if bare in one.CONTENT_TYPES:
            return one
    known = ", ".join(sorted(kind for one in formats().values() for kind in one.CONTENT_TYPES[:1]))
    raise UserError(f"content type {content_type!r} is unknown here. Known are {known}")
