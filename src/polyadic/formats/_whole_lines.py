"""The lines of a stream, some at a time; a line that memory has no room to parse is refused."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from polyadic.errors import UserError
from polyadic.room import room, size

BATCH_BYTES = 2**20
"""About how many bytes of a text are read together."""
PARSED_COPIES = 20
"""What a line of JSON takes while it is parsed, in units of its bytes: 17 of a series with four digits a value."""


def whole_lines(file: IO[bytes], name: str, number: int = 1) -> Iterator[list[bytes]]:
    """The lines of a stream called `name`, about BATCH_BYTES at a time, each with its line feed.

    number: of the first line, for messages.

    Raises UserError for a line so long that its values would not fit into memory.
    """
    for block in whole_blocks(file, name, BATCH_BYTES, number):
        yield io.BytesIO(block).readlines()


def whole_blocks(file: IO[bytes], name: str, most_bytes: int, number: int = 1) -> Iterator[bytes]:
    """The text of a stream in blocks of whole lines, of about `most_bytes` each; else as `whole_lines`."""
    longest = int(room().bytes / PARSED_COPIES)
    while block := file.read(most_bytes):
        if not block.endswith(b"\n"):
            rest = file.readline(longest)
            if len(rest) == longest and not rest.endswith(b"\n"):
                raise UserError(
                    f"{name}, line {number + block.count(10)} has more than {size(longest)}: its values would take "
                    f"{size(PARSED_COPIES * longest)} or more, all there is. Write one record per line, or "
                    "choose an instance with more memory"
                )
            block += rest
        number += block.count(10)
        yield block
