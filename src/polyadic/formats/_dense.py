"""A dense tensor in a file, of which a rank reads its rows alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError

CHUNK_BYTES = 2**24


class DenseFile(Protocol):
    """A dense tensor whose entries stay in their file until they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows of each mode."""

    def fill(self, out: NDArray[Any], mode: int, start: int, stop: int) -> None:
        """Writes rows [start, stop) of `mode`, all rows of the others, into `out` of that shape and any type."""


@dataclass(frozen=True)
class Sliced:
    """A file that gives any box of its tensor: `read` takes one slice per mode.

    The file is read in chunks along the mode whose index changes most slowly in it, `slowest`. Each chunk is a fresh
    view of the file, so that no more than one chunk of its pages counts as memory of this process.
    """

    shape: tuple[int, ...]
    read: Callable[[tuple[slice, ...]], NDArray[Any]]
    slowest: int = 0

    def fill(self, out: NDArray[Any], mode: int, start: int, stop: int) -> None:
        """Writes rows [start, stop) of `mode`, all rows of the others, into `out`."""
        rows = out.shape[self.slowest] if out.size else 0
        step = max(1, CHUNK_BYTES * rows // max(1, out.nbytes))
        for first in range(0, rows, step):
            box = [slice(0, n) for n in out.shape]
            box[self.slowest] = slice(first, min(first + step, rows))
            place = tuple(box)
            shift = start if self.slowest == mode else 0
            box[mode] = slice(start, stop)
            box[self.slowest] = slice(place[self.slowest].start + shift, place[self.slowest].stop + shift)
            with np.errstate(over="ignore"):
                out[place] = self.read(tuple(box))


def real(dtype: np.dtype[Any], name: str) -> None:
    """UserError unless a type is of real numbers."""
    if dtype.kind not in "fiub":
        raise UserError(f"{name} holds {dtype}: it must hold real numbers (float, integer or bool)")
