"""The formats of files that hold time series: each module is one, declares it as SERIES_FORMAT, and is found here.

A format of records such as DeepAR's reads them itself, and leaves the rest to `read_named_series`.
"""

from __future__ import annotations

from polyadic.readers.series.formats._series_format import SeriesFormat
from polyadic.readers.series.records import NamedSeries, read_named_series
from polyadic.registry import Registry

__all__ = [
    "SERIES_FORMATS",
    "NamedSeries",
    "SeriesFormat",
    "content_types",
    "in_order",
    "read_named_series",
    "suffixes",
]

SERIES_FORMATS: Registry[SeriesFormat] = Registry(__name__, "SERIES_FORMAT", SeriesFormat)
"""Every format of series, by the name of its module."""


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that hold series, in the order of their content types."""
    return tuple(suffix for format_ in in_order() for suffix in format_.suffixes)


def content_types() -> tuple[str, ...]:
    """The content types of a channel that holds series, those of one format together."""
    return tuple(content_type for format_ in in_order() for content_type in format_.content_types)


def in_order() -> list[SeriesFormat]:
    """Every format, in the order of their content types."""
    return sorted(SERIES_FORMATS.values(), key=lambda format_: format_.content_types)
