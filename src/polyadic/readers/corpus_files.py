"""The formats of files that hold documents, and the rows of such a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from polyadic.errors import UserError, shorten
from polyadic.formats import FORMATS, Dealer, Form, Format, Rows, opened
from polyadic.jobs.channels import Channel

HEAD_BYTES = 4096


def formats() -> list[Format]:
    """The formats of documents, those of records first: SageMaker's own."""
    known = [format_ for format_ in FORMATS.values() if format_.read_rows is not None]
    return sorted(known, key=lambda format_: (format_.form is not Form.RECORDS, format_.content_types))


def content_types() -> tuple[str, ...]:
    """The content types of a channel that holds documents."""
    return tuple(content_type for format_ in formats() for content_type in format_.content_types)


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that hold documents."""
    return tuple(suffix for format_ in formats() for suffix in format_.suffixes)


def stated(channel: Channel) -> Format | None:
    """The format of the channel's content type, None where it has none; UserError where it holds no documents."""
    if channel.content_type is None:
        return None
    bare, *parameters = (part.strip().lower() for part in channel.content_type.split(";"))
    if any(parameter.startswith("label_size=") and parameter != "label_size=0" for parameter in parameters):
        raise UserError(
            f"channel {channel.name} has the content type {channel.content_type!r}: documents have no labels, so leave "
            "label_size out, or set it to 0"
        )
    for format_ in formats():
        if bare in format_.content_types:
            return format_
    raise UserError(
        f"channel {channel.name} has the content type {channel.content_type!r}, which holds no documents: give "
        f"{', '.join(content_types())}, or none, to go by the names of the files"
    )


def batches(path: Path, format_: Format | None, dealer: Dealer) -> Iterator[tuple[Rows, str]]:
    """A part of a file's rows, one batch at a time, each with what the rows of the file are: records, or lines.

    Without a format its first bytes tell it. Raises UserError that names the file, and the record or the line.
    """
    with opened(path) as file:
        if format_ is None:
            head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
            format_ = next((one for one in formats() if one.begins is not None and one.begins(head)), None)
        if format_ is None or format_.read_rows is None:
            raise UserError(
                f"{path.name} begins with {shorten(head[:20])}, like no file of documents: set the channel's content "
                f"type to one of {', '.join(content_types())}"
            )
        for rows in format_.read_rows(file, path.name, dealer):
            yield rows, format_.unit
