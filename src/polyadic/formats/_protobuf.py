"""Protobuf's wire format: messages as fields, their numbers as varints.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from polyadic.formats._rows import offsets_of

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""How a field's content is written: the low three bits of its tag, above which is its number."""


class Broken(Exception):
    """Bytes that are no record: why not."""


def fields(data: bytes, begin: int, end: int) -> list[tuple[int, int, int]]:
    """The fields of the message in data[begin:end]: the tag of each, and where its content begins and ends.

    Raises Broken, or IndexError at the end of the data.
    """
    message, place = [], begin
    while place < end:
        tag, place = varint(data, place)
        wire_type = tag & 7
        if wire_type == BYTES:
            size, place = varint(data, place)
            stop = place + size
        elif wire_type == VARINT:
            stop = varint(data, place)[1]
        elif wire_type in (FOUR, EIGHT):
            stop = place + (4 if wire_type == FOUR else 8)
        else:
            raise Broken(f"a field of wire type {wire_type}")
        if stop > end:
            raise Broken("a field runs past its end")
        message.append((tag, place, stop))
        place = stop
    return message


def varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends; Broken, or IndexError at the end of the data."""
    value, shift = data[place], 7
    place += 1
    if value < 128:
        return value, place
    value &= 127
    while data[place] > 127:
        value |= (data[place] & 127) << shift
        place, shift = place + 1, shift + 7
        if shift > 63:
            raise Broken("a number of more than 10 bytes")
    return value | data[place] << shift, place + 1


def varints(parts: Iterable[bytes]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The numbers in all parts, one after another, and how many each part has."""
    texts = list(parts)
    data = np.frombuffer(b"".join(texts), np.uint8)
    ends = np.flatnonzero(data < 128)
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]
    lengths = ends - starts + 1
    numbers = np.zeros(len(ends), np.uint64)
    for place in range(min(int(lengths.max(initial=0)), 10)):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] |= (data[starts[longer] + place] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * place)
    bounds = np.searchsorted(ends, offsets_of(np.array([len(text) for text in texts], np.int64)))
    return numbers, np.diff(bounds).astype(np.int64)


def field(tag: int, content: bytes) -> bytes:
    """A field whose content is bytes."""
    return written([tag, len(content)]) + content


def written(numbers: Iterable[int]) -> bytes:
    """Numbers as varints."""
    out = bytearray()
    for number in numbers:
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


def cut_short(data: bytes) -> bool:
    """Whether varints end within one."""
    return bool(data) and data[-1] > 127
