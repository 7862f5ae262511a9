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
from polyadic.forecasting.series import Floats, Integers, Series

BLOCK_POINTS = 2**18


@dataclass(frozen=True, eq=False)
class SeriesStore(Sequence[Series]):
    """S series, and what is known of each without reading its values.

    target_X, dynamic_XJ: the values of all series, mapped from files; a store of a part of the series maps the same
    files. begin_S: the first point of each series in them. length_S: its number of points. start_S: minutes since 1970
    of its first time stamp. observed_S: how many of its values are not missing. cat_SN: its categories. place_S: where
    it was read, for messages.
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
    def __getitem__(self, number: int) -> Series: ...
    @overload
    def __getitem__(self, number: slice) -> SeriesStore: ...
    def __getitem__(self, number: int | slice) -> Series | SeriesStore:
        if isinstance(number, slice):
            return self.where(number)
        length = int(self.length_S[number])
        points = slice(int(self.begin_S[number]), int(self.begin_S[number]) + length)
        minutes = self.frequency.after(self.start_S[number], np.arange(length))
        dynamic = self.dynamic_XJ[points].T if self.features else None
        return Series(self.target_X[points], minutes, tuple(self.cat_SN[number].tolist()), dynamic)

    def where(self, chosen: slice | NDArray[np.bool_]) -> SeriesStore:
        """A store of a part of the series: those in a slice, or those where a mask (S) is true."""
        columns = ("begin_S", "length_S", "start_S", "observed_S", "cat_SN", "place_S")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    @property
    def features(self) -> int:
        """J, the number of dynamic features, which is the same in all series."""
        return int(self.dynamic_XJ.shape[1])

    def blocks(self) -> Iterator[slice]:
        """Slices of X that cover all points of these series, each of BLOCK_POINTS points or fewer."""
        ends_S = self.begin_S + self.length_S
        joins = np.flatnonzero(self.begin_S[1:] == ends_S[:-1])
        for first, last in zip(np.delete(self.begin_S, joins + 1), np.delete(ends_S, joins), strict=True):
            for begin in range(int(first), int(last), BLOCK_POINTS):
                yield slice(begin, min(begin + BLOCK_POINTS, int(last)))


class Spool:
    """Series are written here one after the other until they are mapped; `see` is applied to each target (T values).

    All series have the same number of categories and of dynamic features. Raises PlatformError where the disk is full.
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
        """A spool in temporary files without names, which are gone once nothing maps them."""
        settings: dict[str, Any] = {"prefix": "polyadic-series-", "buffering": 0}
        with tempfile.TemporaryFile(**settings) as target, tempfile.TemporaryFile(**settings) as dynamic:
            yield Spool(frequency, see, target, dynamic)

    def append(self, series: Series, place: str) -> None:
        """Writes a series behind those that are there; place: where it was read, for messages."""
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
        """The series that were written; their space on the disk is free again once nothing maps it."""
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
    """Float32 values in an unbuffered file."""

    file: IO[bytes]

    def append(self, values: Floats) -> None:
        """Writes values of any shape row by row; PlatformError where the disk is full."""
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
        """All values in one dimension, read from the disk when they are wanted."""
        if not self.file.tell():
            return np.zeros(0, np.float32)
        return np.asarray(np.memmap(self.file, np.float32, "r"))
