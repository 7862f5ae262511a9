"""Series whose values lie in temporary files: what grows with the points is mapped from the disk, not held in memory.

Shapes: S series, X points of all of them one after the other, J dynamic features, N groupings.
"""

from __future__ import annotations

import errno
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import PlatformError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.windows import Floats, Integers, Series

POINTS_AT_ONCE = 2**18


@dataclass(frozen=True, eq=False)
class SeriesStore(Sequence[Series]):
    """Series, and what is known of each without reading it.

    target_X and dynamic_XJ are mapped, begin_S is where a series begins in them; a store of some of the series maps the
    same. start_S: minutes since 1970 of the first time stamp; observed_S: how many values are not missing;
    place_S: where it was read, for people.
    """

    frequency: Frequency
    target_X: Floats
    dynamic_XJ: Floats
    begin_S: Integers
    length_S: Integers
    start_S: Integers
    observed_S: Integers
    cat_SN: NDArray[np.uint64]
    place_S: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.begin_S)

    @overload
    def __getitem__(self, at: int) -> Series: ...
    @overload
    def __getitem__(self, at: slice) -> SeriesStore: ...
    def __getitem__(self, at: int | slice) -> Series | SeriesStore:
        if isinstance(at, slice):
            return self.where(at)
        length = int(self.length_S[at])
        points = slice(int(self.begin_S[at]), int(self.begin_S[at]) + length)
        minutes = self.frequency.after(self.start_S[at], np.arange(length))
        dynamic = self.dynamic_XJ[points].T if self.features else None
        return Series(self.target_X[points], minutes, tuple(self.cat_SN[at].tolist()), dynamic)

    def where(self, chosen: slice | NDArray[np.bool_]) -> SeriesStore:
        """Some of the series."""
        facts = ("begin_S", "length_S", "start_S", "observed_S", "cat_SN", "place_S")
        return replace(self, **{name: getattr(self, name)[chosen] for name in facts})

    @property
    def features(self) -> int:
        """Dynamic features, alike in all series."""
        return int(self.dynamic_XJ.shape[1])

    def blocks(self) -> Iterator[slice]:
        """The places of all points of these series, POINTS_AT_ONCE or fewer at a time."""
        ends_S = self.begin_S + self.length_S
        joins = np.flatnonzero(self.begin_S[1:] == ends_S[:-1])
        for first, last in zip(np.delete(self.begin_S, joins + 1), np.delete(ends_S, joins), strict=True):
            for begin in range(int(first), int(last), POINTS_AT_ONCE):
                yield slice(begin, min(begin + POINTS_AT_ONCE, int(last)))


class Spool:
    """Where series are written one after the other until they are mapped; `see` is what becomes of a target.

    All of them have the same number of categories and of dynamic features. PlatformError where the disk is full.
    """

    def __init__(self, frequency: Frequency, see: Callable[[Floats], Floats], target: IO[bytes], dynamic: IO[bytes]):
        self._frequency, self._see = frequency, see
        self._target, self._dynamic = _Column(target), _Column(dynamic)
        self._length, self._start, self._observed = (array("q") for _ in range(3))
        self._cat, self._groupings, self._features = array("Q"), 0, 0
        self._places = list[str]()

    @staticmethod
    @contextmanager
    def open(frequency: Frequency, see: Callable[[Floats], Floats] = lambda target: target) -> Iterator[Spool]:
        """A spool in temporary files, which have no name: they are gone with what maps them."""
        settings: dict[str, Any] = {"prefix": "polyadic-series-", "buffering": 0}
        with tempfile.TemporaryFile(**settings) as target, tempfile.TemporaryFile(**settings) as dynamic:
            yield Spool(frequency, see, target, dynamic)

    def append(self, series: Series, place: str) -> None:
        """Writes a series that was read at a place behind those that are there."""
        target, length = self._see(series.target), len(series.target)
        self._target.append(target)
        if series.dynamic is not None:
            self._dynamic.append(series.dynamic[:, :length].T)
            self._features = len(series.dynamic)
        self._length.append(length)
        self._start.append(int(series.minutes[0]) if length else 0)
        self._observed.append(int(np.isfinite(target).sum()))
        self._cat.extend(series.cat)
        self._groupings = len(series.cat)
        self._places.append(place)

    def mapped(self) -> SeriesStore:
        """The series; their room on the disk is free again once nothing maps it."""
        length_S, start_S, observed_S = map(_whole, (self._length, self._start, self._observed))
        target_X = self._target.mapped()
        return SeriesStore(
            self._frequency,
            target_X,
            self._dynamic.mapped().reshape(len(target_X), self._features),
            np.cumsum(length_S) - length_S,
            length_S,
            start_S,
            observed_S,
            np.array(self._cat, np.uint64).reshape(len(length_S), self._groupings),
            np.array(self._places, np.object_),
        )


def _whole(numbers: array[int]) -> Integers:
    return np.array(numbers, np.int64)


@dataclass(frozen=True)
class _Column:
    """float32 values in an unbuffered file."""

    file: IO[bytes]

    def append(self, values: Floats) -> None:
        """Writes values row by row; PlatformError where there is no room."""
        rows = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8).data
        try:
            while rows:
                rows = rows[self.file.write(rows) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise PlatformError(
                f"the disk of {tempfile.gettempdir()} is full: the series are kept there as 4 bytes a value, and "
                f"{self.file.tell():,} bytes of them found room. Give the job a larger volume (VolumeSizeInGB), or "
                "set TMPDIR to a folder with room"
            ) from None

    def mapped(self) -> Floats:
        """All values, read from the disk when they are wanted."""
        if not self.file.tell():
            return np.zeros(0, np.float32)
        return np.asarray(np.memmap(self.file, np.float32, "r"))
