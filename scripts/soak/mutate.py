"""Bodies that are nearly right: valid ones, altered by chance, the same for the same seed."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

LONGEST_BYTES = 20_000
TOKENS = (
    *(b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"1e999", b"-1e999", b"1e-999", b"9" * 400, b"-0", b"0.5"),
    *(b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1e308", b"4e38", b"2147483648"),
    *(
        b'"',
        b"\\",
        b"\\u",
        b'"\\ud800"',
        b'"\\udfff\\ud800"',
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\0",
        b"\x1f\x8b",
    ),
    *(b"[", b"]", b"{", b"}", b"{}", b"[]", b"[[[[", b",", b":", b"\n", b"\r", b"\r\n", b"\t", b" " * 50, b"[" * 2000),
    *(
        b'"index"',
        b'"indices"',
        b'"top_k"',
        b'"exclude"',
        b'"smallest"',
        b'"fold_in"',
        b'"mode"',
        b'"slab"',
        b'"values"',
    ),
    *(
        b'"absent":"zeros"',
        b'"keys"',
        b'"shape"',
        b'"features"',
        b'"data"',
        b'"instances"',
        b'"configuration"',
        b'"cat"',
    ),
    *(b'"start"', b'"target"', b'"dynamic_feat"', b'"num_samples"', b'"quantiles"', b'"output_types"', b'"0001-01-01"'),
    *(b'"9999-12-31 23:00:00"', b'"1e5"', b'"2020-02-30"', b"(1, 2)", b"'descr': '|O'", b"'<f8'", b"(9999999999,)"),
    *(struct.pack("<I", number) for number in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 0xCED7230A)),
    *(struct.pack("<d", number) for number in (float("nan"), float("inf"), 1e300)),
)
"""What parsers stumble over."""


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 2**31, 2**63 - 1, 2**63, -(2**63), 10**40, 10**400),
    *(
        0.5,
        -0.0,
        1e-320,
        1e38,
        4e38,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "NaN",
        "x",
        "ann",
        "0",
        "1e5",
        "\ud800",
        "\0",
    ),
    *("2020-01-01", "2020-02-30", "0001-01-01 00:00:00", "9999-12-31 23:00:00", "1677-09-21", "mean", "samples", "0.5"),
    *([], [[]], [None], [0], [0, 0, 0], [None] * 3, [None, None, 0], [[0, 0, 0]], [1e308] * 4, ["NaN"] * 40, [[[[0]]]]),
    *({}, {"index": [0, 0, 0]}, {"keys": [0], "values": [1]}, {"mode": 0, "slab": []}, {"": 0}),
)
"""What stands in the place of a part of a document."""


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many altered bodies, each made of one of the seeds, or of two; every second one still JSON where they are."""
    chance = random.Random(seed)
    for number in range(count):
        chosen = chance.choice(seeds)
        if number % 2 and (document := _document(chosen)) is not None:
            for _ in range(chance.choice((1, 1, 2, 4))):
                document = _rearranged(document, chance)
            yield json.dumps(document).encode()[:LONGEST_BYTES]
            continue
        body = bytearray(chosen)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            _alter(body, seeds, chance)
        yield bytes(body[:LONGEST_BYTES])


def _document(body: bytes) -> Any:
    """The value of a body of one line of JSON; None for any other."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _rearranged(value: Any, chance: random.Random) -> Any:
    """A document of which one part, anywhere in it, is another value, is twice there, or is missing."""
    if not value or not isinstance(value, dict | list) or not chance.randrange(5):
        return chance.choice(VALUES)
    parts = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    key = chance.choice(list(parts))
    match chance.randrange(8):
        case 0:
            del parts[key]
        case 1:
            other = chance.choice(list(parts)) if isinstance(value, list) else f"{key}_"
            parts[other] = parts[key]
        case _:
            parts[key] = _rearranged(parts[key], chance)
    return parts if isinstance(value, dict) else list(parts.values())


def _alter(body: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    """One change, in place."""
    place = chance.randrange(len(body) + 1)
    end = min(len(body), place + chance.choice((1, 2, 4, 8, 30, 200)))
    match chance.randrange(9):
        case 0:
            body[place:end] = bytes(chance.randrange(256) for _ in range(end - place))
        case 1:
            del body[place:end]
        case 2:
            body[place:place] = chance.choice(TOKENS)
        case 3:
            body[place:end] = chance.choice(TOKENS)
        case 4:
            body[place:place] = body[place:end] * chance.choice((1, 2, 20))
        case 5:
            del body[place:]
        case 6 if place < len(body):
            body[place] ^= 1 << chance.randrange(8)
        case 7:
            other = chance.choice(seeds)
            body[place:end] = other[chance.randrange(len(other) + 1) :][:200]
        case _:
            digits = [number for number, byte in enumerate(body) if 48 <= byte <= 57]
            if digits:
                chosen = chance.choice(digits)
                body[chosen : chosen + 1] = chance.choice(
                    (b"-1", b"999", b"1e9", b"1.5", b"7", b"0", b"12345678901234567890")
                )
