"""application/jsonlines: a JSON value a line. DeepAR's training files are these, under the suffix .json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyadic.errors import UserError
from polyadic.formats import json
from polyadic.formats._json_rows import read_rows as read_rows

SUFFIXES: tuple[str, ...] = (".json", ".jsonl", ".jsonlines", ".json.gz", ".jsonl.gz", ".jsonlines.gz")
CONTENT_TYPES: tuple[str, ...] = ("application/jsonlines", "application/x-jsonlines", "application/jsonl")
UNIT = "line"


def decode(data: bytes) -> list[Any]:
    """The values of the lines that are not blank."""
    values = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                values.append(json.decode(line))
            except UserError as error:
                raise UserError(str(error).replace("at line 1", f"at line {number}", 1)) from None
    return values


def encode(values: Sequence[Any]) -> bytes:
    """A line a value, the last one ended as well."""
    return b"".join(json.encode(value) + b"\n" for value in values)
