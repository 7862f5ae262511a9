"""The files of a channel that hold documents, each with its format: by content type, name, or what it begins with."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from polyadic.distributed import World
from polyadic.errors import PlatformError, UserError, shorten
from polyadic.formats import RowsFormat, by_suffix, csv, docword, formats, jsonlines, ldac, recordio
from polyadic.formats._rows import Dealer, Rows, opened
from polyadic.jobs.job import Channel

SECONDS_FOR_A_PIPE = 300.0

_HEAD = 4096
_NUMBER = re.compile(rb"\s*\d+\s*")
_LDAC = re.compile(rb"\d+( \d+:\S+)+")
_CSV = re.compile(rb"[\d.eE+-]+(,[\d.eE+-]*)+")


def content_types() -> tuple[str, ...]:
    """The content types of a channel that holds documents."""
    return tuple(kind for one in _kinds() for kind in one.CONTENT_TYPES)


class Chosen(NamedTuple):
    """The files of a channel that hold documents, the names of those that do not, and the format that is stated."""

    paths: list[Path]
    skipped: list[str]
    kind: RowsFormat | None


def choose(here: Channel, world: World) -> Chosen:
    """What this rank has to read of a channel; UserError for a content type that holds no documents."""
    kind = _stated(here)
    if here.piped:
        return Chosen([] if world.local_rank else list(here.files), [], kind)
    known = {path: kind is not None or _by_name(path) is not None or _sniffed(path) is not None for path in here.files}
    paths = [path for path, holds in known.items() if holds]
    return Chosen(paths, [path.name for path, holds in known.items() if not holds], kind)


def _kinds() -> list[RowsFormat]:
    """The formats of documents, SageMaker's own first."""
    found = [one for one in formats().values() if isinstance(one, RowsFormat)]
    return sorted(found, key=lambda one: (one is not recordio, one.CONTENT_TYPES))


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that hold documents."""
    return tuple(suffix for one in _kinds() for suffix in one.SUFFIXES)


def _stated(here: Channel) -> RowsFormat | None:
    """The format of the channel's content type; None where it has none."""
    if here.content_type is None:
        return None
    bare, *parameters = (part.strip().lower() for part in here.content_type.split(";"))
    if any(one.startswith("label_size=") and one != "label_size=0" for one in parameters):
        raise UserError(
            f"channel {here.name} has the content type {here.content_type!r}: documents have no labels, so leave "
            "label_size out, or set it to 0"
        )
    for one in _kinds():
        if bare in one.CONTENT_TYPES:
            return one
    raise UserError(
        f"channel {here.name} has the content type {here.content_type!r}, which holds no documents: give "
        f"{', '.join(content_types())}, or none, to go by the names of the files"
    )


def _by_name(path: Path) -> RowsFormat | None:
    name = path.name.lower()
    found = by_suffix(name)
    if found is None and name.startswith(docword.PREFIX) and name.removesuffix(".gz").endswith(".txt"):
        found = docword
    return found if isinstance(found, RowsFormat) else None


def _sniffed(path: Path) -> RowsFormat | None:
    """The format that a file begins like, where its name is no format's."""
    if by_suffix(path.name) is not None:
        return None
    with opened(path) as file:
        return _looks_like(file.peek(_HEAD)[:_HEAD])


def _looks_like(head: bytes) -> RowsFormat | None:
    lines = head.split(b"\n", 4)
    found: Any = None
    if head.startswith(recordio.MAGIC):
        found = recordio
    elif len(lines) > 3 and all(map(_NUMBER.fullmatch, lines[:3])):
        found = docword
    elif head.lstrip().startswith(b"{"):
        found = jsonlines
    elif _LDAC.match(head):
        found = ldac
    elif _CSV.fullmatch(lines[0].rstrip(b"\r")):
        found = csv
    return found  # type: ignore[no-any-return]  # A module has no type of its own.


def await_pipe(pipe: Path, channel: str) -> None:
    """Waits until SageMaker has made a pipe; PlatformError where it does not."""
    deadline = time.monotonic() + SECONDS_FOR_A_PIPE
    while not pipe.exists():
        if time.monotonic() > deadline:
            raise PlatformError(f"the pipe of channel {channel}, {pipe}, is not there after {SECONDS_FOR_A_PIPE:g} s")
        time.sleep(0.05)


def batches(path: Path, stated: RowsFormat | None, dealer: Dealer) -> Iterator[tuple[Rows, str]]:
    """A part of a file's rows, each batch with what the file's rows are: records, or lines.

    Raises UserError that names the file, and the record or the line.
    """
    with opened(path) as file:
        head = file.peek(_HEAD)[:_HEAD]
        kind = stated or _by_name(path) or _looks_like(head)
        if kind is None:
            raise UserError(
                f"{path.name} begins with {shorten(head[:20])}, like no file of documents: set the channel's content "
                f"type to one of {', '.join(content_types())}"
            )
        for rows in kind.read_rows(file, path.name, dealer):
            yield rows, kind.UNIT
