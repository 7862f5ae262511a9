"""Bytes <-> values: a file format and an HTTP content type are the same thing, one a file.

A format is a module of this package with SUFFIXES, CONTENT_TYPES, decode(bytes) and encode(value); it is found by
being here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

from polyadic.errors import UserError


class Format(Protocol):
    """One way to write values down; the first of its suffixes and of its content types is the usual one."""

    SUFFIXES: tuple[str, ...]
    CONTENT_TYPES: tuple[str, ...]

    def decode(self, data: bytes) -> Any:
        """The value that bytes hold; UserError for bytes of another kind."""

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""


@cache
def formats() -> dict[str, Format]:
    """Every format, by its module's name."""
    return {name: importlib.import_module(f"{__name__}.{name}") for name in _names()}


def _names() -> Iterator[str]:
    return (module.name for module in pkgutil.iter_modules(__path__))


def by_content_type(content_type: str | None) -> Format:
    """The format of an HTTP content type; UserError with the known ones otherwise."""
    bare = (content_type or "").partition(";")[0].strip().lower()
    for one in formats().values():
        if bare in one.CONTENT_TYPES:
            return one
    known = ", ".join(sorted(kind for one in formats().values() for kind in one.CONTENT_TYPES[:1]))
    raise UserError(f"content type {content_type!r} is unknown here. Known are {known}")
