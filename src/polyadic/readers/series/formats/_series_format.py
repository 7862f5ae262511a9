"""What each module of the family declares: a format of files that hold time series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polyadic.forecasting.calendar import Frequency
from polyadic.readers.series.records import NamedSeries


@dataclass(frozen=True, kw_only=True)
class SeriesFormat:
    """A format of files that hold time series.

    name: the module's. suffixes, content_types: the usual one first. read: the series of a file in their order, with a
    step of the given frequency; UserError that names the file, and the line or the series. begins: whether a file
    begins with these bytes, up to 4,096 of them, where neither its name nor the channel's content type tells.
    """

    name: str
    suffixes: tuple[str, ...]
    content_types: tuple[str, ...]
    read: Callable[[Path, Frequency], Iterator[NamedSeries]]
    begins: Callable[[bytes], bool] | None = None

    def has_file(self, name: str) -> bool:
        """Whether a file of this name, in capitals or not, is of this format."""
        return name.lower().endswith(self.suffixes)
