"""application/jsonlines: one JSON value per line. DeepAR's training files are these, under the suffix .json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from polyadic.errors import UserError, shorten
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._gzip import opened
from polyadic.formats._json_rows import read_rows
from polyadic.formats._whole_lines import whole_blocks
from polyadic.formats.json import decode as decode_document
from polyadic.formats.json import encode as encode_document


def decode(data: bytes) -> list[Any]:
    """The values of the lines that are not blank."""
    return [value for _, value in decode_lines(data.split(b"\n"))]


def decode_lines(lines: Iterable[bytes], name: str = "") -> Iterator[tuple[int, Any]]:
    """The same of the lines of a stream, one by one, each with the number of its line from 1.

    name: of the file, for messages.
    """
    beginning = f"{name} is not readable as JSON Lines: " if name else ""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = decode_document(line.removesuffix(b"\n"))
            except UserError as error:
                raise UserError(beginning + str(error).replace("at line 1", f"at line {number}", 1)) from None
            yield number, value


def read_table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The object of each line, with the line; UserError for a line that is none."""
    with opened(path) as file:
        for number, value in decode_lines(file, path.name):
            if not isinstance(value, dict):
                raise UserError(f"{path.name}, line {number}: {shorten(value)} is no object: write one for each sample")
            yield f"line {number}", value


def pieces(body: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """A large body in bodies of whole lines."""
    return whole_blocks(body, "the body", most_bytes)


def encode(values: Sequence[Any]) -> bytes:
    """One line per value, each with a line feed at its end."""
    return b"".join(encode_document(value) + b"\n" for value in values)


def _examples() -> Examples:
    values: tuple[list[Any], ...] = ([], [None], [{"a": 1}, [2, 3], "four"], [2**53, -0.5])
    return Examples(values, (b"{", b"[1]\n{\n", b'{"a": 1} {"b": 2}', b"\xff"))


FORMAT = Format(
    name="jsonlines",
    suffixes=(".json", ".jsonl", ".jsonlines", ".json.gz", ".jsonl.gz", ".jsonlines.gz"),
    content_types=("application/jsonlines", "application/x-jsonlines", "application/jsonl"),
    form=Form.LINES,
    decode=decode,
    encode=encode,
    examples=_examples,
    ends_lines=True,
    read_rows=read_rows,
    read_table=read_table,
    unit="line",
    pieces=pieces,
    begins=lambda head: head.lstrip().startswith(b"{"),
)
