"""python -m tests.helpers.claims: what formats do with files that claim to hold far more than they do.

Sizes and lengths in the examples of every format are made huge, while the process may take 1 GB more than it has.
Prints each claim that raised anything but UserError, and that was not refused by its size before memory was taken.
"""

from __future__ import annotations

import io
import math
import re
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from polyadic.errors import UserError
from polyadic.formats import FORMATS, Dealer, Format

MORE_BYTES = 2**30
EDGE_BYTES = 160
"""Of a file's beginning and end: where formats of bytes have their heads."""
LARGE_BYTES = (b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff" * 7 + b"\x7f", b"\xff\xff\xff\xff\x0f")
LARGE_DIGITS = (b"2147483646", b"999999999999", b"9" * 25)
FEW_ENTRIES = 10**7


def claims(data: bytes) -> Iterator[bytes]:
    """The data, with something large wherever a size may stand."""
    for place in sorted({*range(min(len(data), EDGE_BYTES)), *range(max(0, len(data) - EDGE_BYTES), len(data))}):
        yield from (data[:place] + large + data[place + len(large) :] for large in LARGE_BYTES)
    for digits in re.finditer(rb"\d+", data):
        yield from (data[: digits.start()] + large + data[digits.end() :] for large in LARGE_DIGITS)


def uses(tested: Format, data: bytes, path: Path) -> Iterator[Callable[[], object]]:
    """Everything that a format reads of a body, and of a file."""
    path.write_bytes(data)
    yield lambda: tested.decode(data)
    if tested.open_tensor is not None:
        yield lambda: _fill(tested, path)
    if (read_coordinates := tested.read_coordinates) is not None:
        yield lambda: read_coordinates(path, 0, 1, frozenset())
    if (read_rows := tested.read_rows) is not None:
        yield lambda: list(read_rows(io.BytesIO(data), path.name, Dealer()))


def _fill(tested: Format, path: Path) -> None:
    assert tested.open_tensor is not None
    file = tested.open_tensor(path)
    if file.shape and math.prod(file.shape) <= FEW_ENTRIES:  # More are refused by what the job may take.
        file.fill(np.empty(file.shape), 0, 0, file.shape[0])


def main() -> None:
    """Tries every claim of every format."""
    warnings.simplefilter("error")
    examples = {name: [tested.encode(value) for value in tested.examples().values] for name, tested in FORMATS.items()}
    with tempfile.TemporaryDirectory() as folder:
        for limited in (False, True):  # Libraries are imported and their pools made before the limit.
            if limited:
                taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (taken + MORE_BYTES, taken + MORE_BYTES))
            for name, tested in FORMATS.items():
                path, count = Path(folder) / f"a{(*tested.suffixes, '')[0]}", 0
                for example in examples[name]:
                    for data in claims(example) if limited else [example]:
                        for use in uses(tested, data, path):
                            count += 1
                            try:
                                use()
                            except UserError:
                                pass
                            except Exception as error:
                                print(f"FAULT {name}: {type(error).__name__}: {error}: {data[:300]!r}")
                if limited:
                    print(f"{name}: {count} tried")


if __name__ == "__main__":
    main()
