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


def fields(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """The fields of the message in data[at:end]: each one's tag, and where its content begins and ends.

    Raises Broken, or IndexError at the end of the data.
    """
    found = []
    while at < end:
        tag, at = varint(data, at)
        how = tag & 7
        if how == BYTES:
            size, at = varint(data, at)
            stop = at + size
        elif how == VARINT:
            stop = varint(data, at)[1]
        elif how in (FOUR, EIGHT):
            stop = at + (4 if how == FOUR else 8)
        else:
            raise Broken(f"a field of wire type {how}")
        if stop > end:
            raise Broken("a field runs past its end")
        found.append((tag, at, stop))
        at = stop
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends; Broken, or IndexError at the end of the data."""
    value, shift = data[at], 7
    at += 1
    if value < 128:
        return value, at
    value &= 127
    while data[at] > 127:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise Broken("a number of more than 10 bytes")
    return value | data[at] << shift, at + 1


def varints(parts: Iterable[bytes]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The numbers in all parts, one after another, and how many each part has."""
    some = list(parts)
    data = np.frombuffer(b"".join(some), np.uint8)
    ends = np.flatnonzero(data < 128)
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]
    lengths = ends - starts + 1
    numbers = np.zeros(len(ends), np.uint64)
    for place in range(min(int(lengths.max(initial=0)), 10)):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] |= (data[starts[longer] + place] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * place)
    bounds = np.searchsorted(ends, offsets_of(np.array([len(one) for one in some], np.int64)))
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
