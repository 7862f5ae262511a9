"""DeepAR's wire formats: a series a line, a request's configuration."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.forecasting.calendar import Frequency, parse_start
from polyadic.forecasting.windows import Series
from polyadic.formats import jsonlines

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
OUTPUT_TYPES = ("mean", "quantiles", "samples")
MOST_SAMPLES = 10_000
LARGEST = float(np.finfo(np.float32).max)


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """The lines of a file one by one, unpacked where it is gzip, each with what a message calls it."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            yield from ((f"line {number}", value) for number, value in jsonlines.decode_lines(file))
    except (UserError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path.name} is not readable as JSON Lines: {error}") from None


def read_series(record: object, frequency: Frequency, ahead: int) -> Series:
    """A series from {"start": "YYYY-MM-DD HH:MM:SS", "target": [numbers, null or "NaN"]}, stamped `ahead` steps on.

    It may have "cat", whole numbers from 0, and "dynamic_feat", lists of a number a time stamp, the `ahead` included.
    Arrays do for lists of numbers.
    """
    if not isinstance(record, dict) or not {"start", "target"} <= record.keys():
        raise UserError(f'got {shorten(record)}: a series is {{"start": "YYYY-MM-DD HH:MM:SS", "target": [...]}}')
    target = _numbers(record["target"], "target", "a list of numbers, null where one is missing")
    minutes = frequency.minutes(parse_start(record["start"]), len(target) + ahead)
    dynamic = _features(record.get("dynamic_feat"), len(target), ahead)
    return Series(target, minutes, _categories(record.get("cat")), dynamic)


def _numbers(values: object, name: str, rule: str) -> NDArray[np.float32]:
    """Values as float32, NaN for null and "NaN"; `rule` says what they must be."""
    if not isinstance(values, (list, np.ndarray)):
        raise UserError(f"{name} is {shorten(values)}: it must be {rule}")
    if isinstance(values, list) and not set(map(type, values)) <= {int, float}:
        for place, one in enumerate(values, 1):
            if type(one) not in (int, float) and one is not None and one != "NaN":
                raise UserError(f"{name} holds {shorten(one)} at place {place}: it must be {rule}")
        values = [one if type(one) in (int, float) else math.nan for one in values]
    array = np.asarray(values, np.float64)
    beyond = np.flatnonzero(np.abs(array) > LARGEST)
    if len(beyond):
        found = f"{array[beyond[0]]} at place {beyond[0] + 1}"
        raise UserError(f"{name} holds {found}, which is beyond {LARGEST:.1e}: scale the series down")
    return array.astype(np.float32)


def _categories(cat: object) -> tuple[int, ...]:
    """The category of each grouping; none for null."""
    if cat is None:
        return ()
    if not isinstance(cat, list) or not all(type(one) is int and one >= 0 for one in cat):
        raise UserError(f"cat is {shorten(cat)}: it must be a list of whole numbers from 0, such as [0, 3]")
    return tuple(cat)


def _features(features: object, length: int, ahead: int) -> NDArray[np.float32] | None:
    """J x (length + ahead); None where there are no features. Those of a request may be longer; what is over is cut."""
    if features is None:
        return None
    if not isinstance(features, list):
        raise UserError(f"dynamic_feat is {shorten(features)}: it must be a list of features, each a list of numbers")
    found, needed = list[NDArray[np.float32]](), length + ahead
    for number, feature in enumerate(features):
        name = f"dynamic_feat[{number}]"
        values = _numbers(feature, name, "a list of numbers, one a time stamp")
        if len(values) < needed or (len(values) > needed and not ahead):
            rule = f"the target's {length} and {ahead} to forecast" if ahead else "as many as target has"
            raise UserError(f"{name} has {len(values)} values: there must be {needed}, {rule}")
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise UserError(f"{name} has no number at place {at + 1}: only target may have missing values")
        found.append(values[:needed])
    return np.stack(found) if found else None


def parse_configuration(given: Mapping[str, Any]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """num_samples, quantiles and output_types, with DeepAR's defaults."""
    samples = given.get("num_samples", 100)
    if type(samples) is not int or not 1 <= samples <= MOST_SAMPLES:
        raise UserError(
            f"configuration.num_samples is {shorten(samples)}: it must be an integer from 1 to {MOST_SAMPLES}"
        )
    quantiles = given.get("quantiles", [f"{level:g}" for level in DECILES])
    if not isinstance(quantiles, list) or not all(isinstance(one, (str, float)) for one in quantiles):
        raise UserError(f'configuration.quantiles is {shorten(quantiles)}: it must be a list such as ["0.1", "0.9"]')
    outputs = given.get("output_types", ["mean", "quantiles"])
    if not isinstance(outputs, list) or not outputs or not all(one in OUTPUT_TYPES for one in outputs):
        raise UserError(
            f"configuration.output_types is {shorten(outputs)}: it must be a list of {', '.join(OUTPUT_TYPES)}"
        )
    if "quantiles" in outputs:
        refuse_quantiles(quantiles, "configuration.quantiles")
    return samples, tuple(str(one) for one in quantiles), tuple(outputs)


def refuse_quantiles(levels: Sequence[Any], name: str) -> None:
    """UserError for no level at all, or one outside (0, 1); `name` is what holds them."""
    if not levels:
        raise UserError(f"{name} is an empty list: give one or more between 0 and 1, such as 0.5")
    for level in levels:
        try:
            inside = 0 < float(level) < 1
        except ValueError:
            inside = False
        if not inside:
            raise UserError(
                f"{name} holds {shorten(level)}, which is out of range: a quantile lies between 0 and 1, both excluded"
            )
