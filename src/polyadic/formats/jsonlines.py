"""application/jsonlines: a JSON value a line. DeepAR's training files are these, under the suffix .json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from polyadic.errors import UserError
from polyadic.formats import json
from polyadic.formats._json_rows import read_rows as read_rows

SUFFIXES: tuple[str, ...] = (".json", ".jsonl", ".jsonlines", ".json.gz", ".jsonl.gz", ".jsonlines.gz")
CONTENT_TYPES: tuple[str, ...] = ("application/jsonlines", "application/x-jsonlines", "application/jsonl")
UNIT = "line"


def decode(data: bytes) -> list[Any]:
    """The values of the lines that are not blank."""
    return [value for _, value in decode_lines(data.split(b"\n"))]


def decode_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    """The same of the lines of a stream, one by one, each with the number of its line from 1."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = json.decode(line.removesuffix(b"\n"))
            except UserError as error:
                raise UserError(str(error).replace("at line 1", f"at line {number}", 1)) from None
            yield number, value


def encode(values: Sequence[Any]) -> bytes:
    """A line a value, the last one ended as well."""
    return b"".join(json.encode(value) + b"\n" for value in values)
