"""The files of a channel that hold documents, each with its format: by content type, name, or first bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from polyadic.distributed import World
from polyadic.errors import PlatformError, UserError, shorten
from polyadic.formats import FORMATS, Dealer, Form, Format, Rows, by_file_name, opened
from polyadic.jobs.channels import Channel

SECONDS_FOR_A_PIPE = 300.0
HEAD_BYTES = 4096


class Chosen(NamedTuple):
    """The files of a channel that hold documents, the names of those that do not, and the format that is stated."""

    paths: list[Path]
    skipped: list[str]
    stated: Format | None


def choose(channel: Channel, world: World) -> Chosen:
    """What this rank has to read of a channel; UserError for a content type that holds no documents."""
    stated = _stated(channel)
    if channel.piped:
        return Chosen([] if world.local_rank else list(channel.files), [], stated)
    known = {
        path: stated is not None or _by_name(path) is not None or _by_head(path) is not None for path in channel.files
    }
    paths = [path for path, holds in known.items() if holds]
    return Chosen(paths, [path.name for path, holds in known.items() if not holds], stated)


def _formats() -> list[Format]:
    """The formats of documents, those of records first: SageMaker's own."""
    formats = [format_ for format_ in FORMATS.values() if format_.read_rows is not None]
    return sorted(formats, key=lambda format_: (format_.form is not Form.RECORDS, format_.content_types))


def content_types() -> tuple[str, ...]:
    """The content types of a channel that holds documents."""
    return tuple(content_type for format_ in _formats() for content_type in format_.content_types)


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that hold documents."""
    return tuple(suffix for format_ in _formats() for suffix in format_.suffixes)


def _stated(channel: Channel) -> Format | None:
    """The format of the channel's content type; None where it has none."""
    if channel.content_type is None:
        return None
    bare, *parameters = (part.strip().lower() for part in channel.content_type.split(";"))
    if any(parameter.startswith("label_size=") and parameter != "label_size=0" for parameter in parameters):
        raise UserError(
            f"channel {channel.name} has the content type {channel.content_type!r}: documents have no labels, so leave "
            "label_size out, or set it to 0"
        )
    for format_ in _formats():
        if bare in format_.content_types:
            return format_
    raise UserError(
        f"channel {channel.name} has the content type {channel.content_type!r}, which holds no documents: give "
        f"{', '.join(content_types())}, or none, to go by the names of the files"
    )


def _by_name(path: Path) -> Format | None:
    format_ = by_file_name(path.name)
    return None if format_ is None or format_.read_rows is None else format_


def _by_head(path: Path) -> Format | None:
    """The format whose files begin as this file does, where its name is that of no format."""
    if by_file_name(path.name) is not None:
        return None
    with opened(path) as file:
        return _begins_as(file.peek(HEAD_BYTES)[:HEAD_BYTES])


def _begins_as(head: bytes) -> Format | None:
    return next((format_ for format_ in _formats() if format_.begins is not None and format_.begins(head)), None)


def await_pipe(pipe: Path, channel: str) -> None:
    """Waits until SageMaker has made a pipe; PlatformError where it does not."""
    deadline = time.monotonic() + SECONDS_FOR_A_PIPE
    while not pipe.exists():
        if time.monotonic() > deadline:
            raise PlatformError(f"the pipe of channel {channel}, {pipe}, is not there after {SECONDS_FOR_A_PIPE:g} s")
        time.sleep(0.05)


def batches(path: Path, stated: Format | None, dealer: Dealer) -> Iterator[tuple[Rows, str]]:
    """A part of a file's rows, one batch at a time, each with what the rows of the file are: records, or lines.

    Raises UserError that names the file, and the record or the line.
    """
    with opened(path) as file:
        head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
        format_ = stated or _by_name(path) or _begins_as(head)
        if format_ is None or format_.read_rows is None:
            raise UserError(
                f"{path.name} begins with {shorten(head[:20])}, like no file of documents: set the channel's content "
                f"type to one of {', '.join(content_types())}"
            )
        for rows in format_.read_rows(file, path.name, dealer):
            yield rows, format_.unit
