"""Series in JSON Lines, as DeepAR has them: one record per line, with start, target, cat and dynamic_feat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from polyadic.forecasting.calendar import Frequency
from polyadic.formats import jsonlines, opened, whole_lines
from polyadic.readers.series.formats._series_format import SeriesFormat
from polyadic.readers.series.records import NamedSeries, read_named_series


def read(path: Path, frequency: Frequency) -> Iterator[NamedSeries]:
    """The series of a file, read one line at a time."""
    return read_named_series(path.name, _records(path), frequency)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """The value of each line, and how a message calls it."""
    with opened(path) as file:
        lines = chain.from_iterable(whole_lines(file, path.name))
        yield from ((f"line {number}", value) for number, value in jsonlines.decode_lines(lines, path.name))


SERIES_FORMAT = SeriesFormat(
    name="jsonlines",
    suffixes=jsonlines.FORMAT.suffixes,
    # The last are what DeepAR's documentation says of a channel.
    content_types=(*jsonlines.FORMAT.content_types, "application/json", "json", "json.gz"),
    read=read,
    begins=jsonlines.FORMAT.begins,
)
