"""Records of series as DeepAR has them, in files and in requests: start, target, cat and dynamic_feat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.series import Series

LARGEST_VALUE = 1e16
"""Beyond it the squares of a network's numbers, and the sums of these, would leave the range of float32."""


class NamedSeries(NamedTuple):
    """A series, how a message calls it, and its item where the rows of the file name one."""

    name: str
    series: Series
    item: str | None = None


def read_named_series(file: str, records: Iterable[tuple[str, object]], frequency: Frequency) -> Iterator[NamedSeries]:
    """The series of records, each with the name that came with the record; UserError with the file and the name."""
    for name, record in records:
        try:
            series = read_series(record, frequency, 0)
        except UserError as error:
            raise UserError(f"{file}, {name}: {error}") from None
        yield NamedSeries(name, series)


def read_series(record: object, frequency: Frequency, ahead: int) -> Series:
    """A series from {"start": "YYYY-MM-DD HH:MM:SS", "target": [numbers, null or "NaN"]}.

    The record may have "cat", whole numbers from 0, and "dynamic_feat", lists with one number per time stamp. The time
    stamps of the series, and its features, reach `ahead` steps beyond the target. Arrays may stand for lists of
    numbers. Raises UserError for what is no such record.
    """
    if not isinstance(record, dict) or not {"start", "target"} <= record.keys():
        alone = ", each on a line of its own in a file, without a list around them" if isinstance(record, list) else ""
        raise UserError(
            f'got {shorten(record)}: a series is {{"start": "YYYY-MM-DD HH:MM:SS", "target": [...]}}{alone}'
        )
    target = _numbers(record["target"], "target", "a list of numbers, null where one is missing", unbounded=math.nan)
    minutes = frequency.minutes(parse_start(record["start"]), len(target) + ahead)
    dynamic = _features(record.get("dynamic_feat"), len(target), ahead)
    return Series(target, minutes, _categories(record.get("cat")), dynamic)


def _numbers(values: object, name: str, rule: str, unbounded: float = math.inf) -> NDArray[np.float32]:
    """Values as float32, NaN for null and "NaN", `unbounded` for infinite ones; `rule` says what they must be."""
    if not isinstance(values, (list, np.ndarray)):
        raise UserError(f"{name} is {shorten(values)}: it must be {rule}")
    if isinstance(values, list) and not set(map(type, values)) <= {int, float}:
        for place, value in enumerate(values, 1):
            if type(value) not in (int, float) and value is not None and value != "NaN":
                raise UserError(f"{name} holds {shorten(value)} at place {place}: it must be {rule}")
        values = [value if type(value) in (int, float) else math.nan for value in values]
    try:
        array = np.asarray(values, np.float64)
    except OverflowError:  # A whole number of more than 308 digits.
        array = np.array([_bounded(value) for value in values])
    array = np.where(np.isinf(array), unbounded, array)
    beyond = np.flatnonzero(np.abs(array) > LARGEST_VALUE)
    if len(beyond):
        value = f"{array[beyond[0]]} at place {beyond[0] + 1}"
        raise UserError(f"{name} holds {value}, which is beyond {LARGEST_VALUE:.1e}: scale the series down")
    return array.astype(np.float32)


def _bounded(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if value > 0 else -1)


def _categories(cat: object) -> tuple[int, ...]:
    """The category of each grouping; none for null."""
    if cat is None:
        return ()
    if not isinstance(cat, list) or not all(type(category) is int and category >= 0 for category in cat):
        raise UserError(f"cat is {shorten(cat)}: it must be a list of whole numbers from 0, such as [0, 3]")
    return tuple(cat)


def _features(features: object, length: int, ahead: int) -> NDArray[np.float32] | None:
    """J x (length + ahead), or None where there are no features. In a request a feature may be longer, and is cut."""
    if features is None:
        return None
    if not isinstance(features, list):
        raise UserError(f"dynamic_feat is {shorten(features)}: it must be a list of features, each a list of numbers")
    rows, needed = list[NDArray[np.float32]](), length + ahead
    for number, feature in enumerate(features):
        name = f"dynamic_feat[{number}]"
        values = _numbers(feature, name, "a list of numbers, one per time stamp")
        if len(values) < needed or (len(values) > needed and not ahead):
            rule = f"the target's {length} and {ahead} to forecast" if ahead else "as many as target has"
            raise UserError(f"{name} has {len(values)} values: there must be {needed}, {rule}")
        if not np.isfinite(values).all():
            place = int(np.argmin(np.isfinite(values)))
            raise UserError(f"{name} has no number at place {place + 1}: only target may have missing values")
        rows.append(values[:needed])
    return np.stack(rows) if rows else None
