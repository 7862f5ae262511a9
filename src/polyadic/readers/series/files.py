"""The series in the files of a channel, whatever their formats, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Floats, Series
from polyadic.forecasting.store import SeriesStore, Spool
from polyadic.readers.series.formats import SeriesFormat


class Extent(NamedTuple):
    """How many entries of cat and of dynamic_feat all series of a channel have; `place` is where the first stands."""

    place: str
    cat: int
    dynamic_feat: int

    @staticmethod
    def of(series: Series, place: str) -> Extent:
        """The extent of one series."""
        return Extent(place, len(series.cat), 0 if series.dynamic is None else len(series.dynamic))


class Files(NamedTuple):
    """What files hold: a share of their series; what all series have in common, None where there are none.

    valueless: the places of the series that were left out, for their targets have no value.
    """

    series: SeriesStore
    extent: Extent | None
    valueless: list[str]


class Share(NamedTuple):
    """The series whose number, counted through all files from 0, is `part` modulo `parts`."""

    part: int
    parts: int


EVERY = Share(0, 1)


def read_files(
    files: Mapping[Path, SeriesFormat],
    channel: str,
    frequency: Frequency,
    check: Callable[[Floats], None],
    see: Callable[[Floats], Floats] = lambda target: target,
    share: Share = EVERY,
) -> Files:
    """A share of the series of files, each of its format, in order.

    `see` is applied to each target. A series whose target has no value is left out. Raises UserError that names the
    channel, the file, and the line or the series: for what does not read, for a target that `check` refuses, for series
    that differ in their extent, and for an item in two files.
    """
    extent, items, count, valueless = None, dict[str, str](), 0, list[str]()
    with Spool.open(frequency, see) as spool:
        try:
            for path, format_ in files.items():
                for name, series, item in format_.read(path, frequency):
                    place = f"{path.name}, {name}"
                    if len(series.target) and not np.isfinite(series.target).any():
                        valueless.append(place)
                        continue
                    _refuse_target(series, place, check)
                    extent_of_series = Extent.of(series, place)
                    extent = _same(extent or extent_of_series, extent_of_series)
                    if item is not None and items.setdefault(item, path.name) != path.name:
                        raise UserError(f"{place} is in {items[item]} as well: put all rows of an item in one file")
                    if count % share.parts == share.part:
                        spool.append(series, place)
                    count += 1
        except UserError as error:
            raise UserError(f"channel {channel}, {error}") from None
        return Files(spool.mapped(), extent, valueless)


def refuse_differing(extent: Extent | None, channel: str, world: World) -> None:
    """UserError where the series of two ranks differ in their extent; a collective."""
    extents = [of_rank for of_rank in world.collect(extent) if of_rank is not None]
    try:
        for other in extents[1:]:
            _same(extents[0], other)
    except UserError as error:
        raise UserError(f"channel {channel}, {error}") from None


def _same(first: Extent, other: Extent) -> Extent:
    """The first of two extents; UserError that names the field in which they differ."""
    for field in ("cat", "dynamic_feat"):
        expected, count = getattr(first, field), getattr(other, field)
        if count != expected:
            raise UserError(
                f"{other.place}: {field} has {count} entries, and {expected} in {first.place}: all series of a channel "
                "must have the same number"
            )
    return first


def _refuse_target(series: Series, place: str, check: Callable[[Floats], None]) -> None:
    try:
        check(series.target)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
