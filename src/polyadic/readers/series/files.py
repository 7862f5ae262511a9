"""The files of a channel that hold series: JSON Lines and Parquet with DeepAR's fields, and CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.store import SeriesStore, Spool
from polyadic.forecasting.windows import Floats, Series
from polyadic.formats import csv, jsonlines, parquet
from polyadic.readers.series import csv as _series_csv
from polyadic.readers.series import deepar as _deepar
from polyadic.readers.series import parquet as _series_parquet
from polyadic.readers.series.csv import Named

SUFFIXES = (*jsonlines.SUFFIXES, *parquet.SUFFIXES, *csv.SUFFIXES)
CONTENT_TYPES = (*jsonlines.CONTENT_TYPES, *parquet.CONTENT_TYPES, *csv.CONTENT_TYPES)


class Extent(NamedTuple):
    """What all series of a channel have in common: how many cat and dynamic_feat. `place` is the first of them."""

    place: str
    cat: int
    dynamic_feat: int


class Share(NamedTuple):
    """Of `parts` series that follow one another, the one of number `part`."""

    part: int
    parts: int


EVERY = Share(0, 1)


def read_files(
    paths: Sequence[Path],
    channel: str,
    frequency: Frequency,
    check: Callable[[Floats], None],
    see: Callable[[Floats], Floats] = lambda target: target,
    share: Share = EVERY,
) -> tuple[SeriesStore, Extent | None]:
    """A share of the series of files, in order, and what all have in common; None where there are none.

    `see` is what becomes of a target. Raises UserError that names the channel, the file, and the line or the series:
    for what does not read, for a target that `check` refuses, for series that differ in their extent, and for an item
    in two files.
    """
    extent, items, count = None, dict[str, str](), 0
    with Spool.open(frequency, see) as spool:
        try:
            for path in paths:
                for name, one, item in _read(path, frequency):
                    place = f"{path.name}, {name}"
                    _refuse_target(one, place, check)
                    found = Extent(place, len(one.cat), 0 if one.dynamic is None else len(one.dynamic))
                    extent = _same(extent or found, found)
                    if item is not None and items.setdefault(item, path.name) != path.name:
                        raise UserError(f"{place} is in {items[item]} as well: put all rows of an item in one file")
                    if count % share.parts == share.part:
                        spool.append(one, place)
                    count += 1
        except UserError as error:
            raise UserError(f"channel {channel}, {error}") from None
        return spool.mapped(), extent


def refuse_differing(extent: Extent | None, channel: str, world: World) -> None:
    """UserError where the series of two ranks differ in their extent."""
    held = [one for one in world.collect(extent) if one is not None]
    try:
        for other in held[1:]:
            _same(held[0], other)
    except UserError as error:
        raise UserError(f"channel {channel}, {error}") from None


def _same(first: Extent, other: Extent) -> Extent:
    """The first of two extents; UserError that names the field in which they differ."""
    for field in ("cat", "dynamic_feat"):
        had, has = getattr(first, field), getattr(other, field)
        if had != has:
            raise UserError(
                f"{other.place}: {field} has {has} entries, and {had} in {first.place}: all series of a channel must "
                "have the same number"
            )
    return first


def _refuse_target(series: Series, place: str, check: Callable[[Floats], None]) -> None:
    try:
        if len(series.target) and not np.isfinite(series.target).any():
            raise UserError("target has no value, but nulls alone: give a number, or leave the series out")
        check(series.target)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def _read(path: Path, frequency: Frequency) -> Iterator[Named]:
    """The series of a file, by the suffix of its name."""
    if path.name.endswith(csv.SUFFIXES):
        yield from _series_csv.read(path, frequency)
        return
    of_parquet = path.name.endswith(parquet.SUFFIXES)
    records: Iterable[tuple[str, object]] = (_series_parquet if of_parquet else _deepar).read_records(path)
    for place, record in records:
        try:
            series = _deepar.read_series(record, frequency, 0)
        except UserError as error:
            raise UserError(f"{path.name}, {place}: {error}") from None
        yield Named(place, series)
