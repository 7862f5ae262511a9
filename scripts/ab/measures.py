"""What each answer cost, by the kind of the model: a loss for each way of asking which variant is better."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.variants import VariantError, losses
from scripts.ab.capture import Part
from scripts.ab.documents import read_json
from scripts.history import seconds_of

FREQUENCY = re.compile(r"([1-9]\d{0,5})?(min|[a-zA-Z]+)(-\w+)?")
SECONDS = {"s": 1, "min": 60, "t": 60, "h": 3600, "d": 86400, "b": 86400, "w": 7 * 86400}
DAY_SECONDS = 86400.0
ACTUAL = "actual"
"""The column of actuals, where there are others beside it."""
MOST = 1e300
"""Greater numbers overflow where they are squared or summed."""
Numbers = NDArray[np.float64]


class Unscored(ValueError):
    """An answer has no loss; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What the losses need beside the answers. `topics` holds each variant's word probabilities (K, V)."""

    season: int = 1
    freq: str | None = None
    column: str | None = None
    higher_is_better: bool = False
    topics: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One answer's loss; what the seasonal naive forecast would have lost; how much of the truth the interval held."""

    loss: float
    covariate: float | None = None
    covered: float | None = None
    cluster: Hashable = None


def scaled_pinball(instance: Any, prediction: Any, actual: Any, settings: Settings, _: str) -> Measured:
    """The pinball loss of a forecast's quantiles, in units of the seasonal naive error."""
    quantiles = {float(level): _numbers(row) for level, row in _member(prediction, "quantiles").items()}
    return _forecast(instance, actual, settings, quantiles)


def mase(instance: Any, prediction: Any, actual: Any, settings: Settings, _: str) -> Measured:
    """The absolute error of a forecast's median, or its mean, in units of the seasonal naive error."""
    quantiles = prediction.get("quantiles", {}) if isinstance(prediction, dict) else {}
    point = quantiles["0.5"] if "0.5" in quantiles else _member(prediction, "mean")
    levels = {float(level): _numbers(row) for level, row in quantiles.items() if float(level) != 0.5}
    return _forecast(instance, actual, settings, {0.5: _numbers(point)}, levels)


def squared_error(_: Any, prediction: Any, actual: Any, __: Settings, ___: str) -> Measured:
    """The squared error of an entry of a tensor."""
    value = _member(prediction, "value") if isinstance(prediction, dict) else _only(prediction)
    return Measured(losses.squared_error(_predicted(value, _numbers(actual)), _numbers(actual)))


def ranking(_: Any, prediction: Any, actual: Any, __: Settings, ___: str) -> Measured:
    """What a ranking lost of the gain: 1 - NDCG; the actual is a list of what was wanted, or gains by index."""
    names = [json.dumps(row.get("label", row["index"])) for row in _member(prediction, "top")]
    if isinstance(actual, dict):
        gains = {json.dumps(_index(key)): float(gain) for key, gain in actual.items()}
    else:
        gains = {json.dumps(each): 1.0 for each in (actual if isinstance(actual, list) else [actual])}
    number = {name: place for place, name in enumerate(dict.fromkeys([*names, *gains]))}
    return Measured(
        losses.ranking_loss([number[name] for name in names], {number[name]: gain for name, gain in gains.items()})
    )


def held_out(_: Any, prediction: Any, actual: Any, settings: Settings, variant: str) -> Measured:
    """Minus the mean log likelihood of the rest of a document; the actual has its counts by term."""
    if variant not in settings.topics:
        raise Unscored(f"the topics of {variant} are not given: `--topics {variant}=FILE.npy`")
    topics, counts = settings.topics[variant], np.zeros(settings.topics[variant].shape[1])
    for term, count in actual.items():
        if not 0 <= int(term) < len(counts):
            raise Unscored(f"term {term} of an actual is none of the {len(counts)} terms of {variant}")
        counts[int(term)] = float(count)
    return Measured(losses.held_out_loss(_member(prediction, "topic_mixture"), topics, counts))


def of_column(_: Any, __: Any, actual: Any, settings: Settings, ___: str) -> Measured:
    """A column of numbers of the user's own, such as revenue; turned round where more of it is better."""
    row = actual if isinstance(actual, dict) else {ACTUAL: actual}
    value = row.get(settings.column or ACTUAL)
    if not isinstance(value, int | float) or not -MOST <= value <= MOST:
        raise Unscored(f"an actual has no number in the column {settings.column!r}")
    return Measured(-float(value) if settings.higher_is_better else float(value))


Measure = Callable[[Any, Any, Any, Settings, str], Measured]
MEASURES: dict[str, Measure] = {
    "pinball": scaled_pinball,
    "mase": mase,
    "squared-error": squared_error,
    "ranking": ranking,
    "held-out": held_out,
    "column": of_column,
}


def measure(
    name: str, request: Part | None, answer: Part | None, actual: Any, settings: Settings, variant: str
) -> Measured:
    """The loss of one captured answer, the mean of its instances'; raises Unscored where there is none."""
    if name == "column":
        return of_column(None, None, actual, settings, variant)
    truth = actual[ACTUAL] if isinstance(actual, dict) and ACTUAL in actual else actual
    instances, predictions = _instances(request), _predictions(answer)
    if len(instances) != len(predictions):
        raise Unscored(f"{len(instances)} instances have {len(predictions)} predictions")
    truths = _truths(truth, len(instances))
    try:
        with np.errstate(all="ignore"):
            parts = [
                MEASURES[name](instance, prediction, one, settings, variant)
                for instance, prediction, one in zip(instances, predictions, truths, strict=True)
            ]
    except (VariantError, Unscored) as error:
        raise Unscored(str(error)) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise Unscored(f"an answer or actual is of another form ({error})") from error
    return _mean_of(parts)


def _mean_of(parts: Sequence[Measured]) -> Measured:
    """The mean over a request's instances whose truth is known."""
    known = [part for part in parts if not math.isnan(part.loss)]
    if not known:
        raise Unscored("nothing of the actual is known")
    if any(not abs(part.loss) <= MOST for part in known):
        raise Unscored("the loss is infinite: the answer says that what came could not come")
    return Measured(
        _mean([part.loss for part in known]) or 0.0,
        _mean([part.covariate for part in known]),
        _mean([part.covered for part in known]),
        parts[0].cluster,
    )


def _forecast(
    instance: Any,
    actual: Any,
    settings: Settings,
    quantiles: Mapping[float, Numbers],
    levels: Mapping[float, Numbers] | None = None,
) -> Measured:
    history, truth = _numbers(_member(instance, "target")), _numbers(actual)
    for forecast in quantiles.values():
        _predicted(forecast, truth)
    scale = losses.seasonal_naive_error(history, settings.season)
    if not 0 < scale < math.inf:
        raise Unscored(
            f"a series is shorter than its season of {settings.season} and one value more, or never varies from season "
            "to season"
        )
    naive = losses.seasonal_naive(history, settings.season, len(truth))
    beside = math.nan if math.isnan(np.add.reduce(naive)) else losses.mase(naive, truth, scale)
    known = {**(levels or {}), **quantiles}
    covered = losses.coverage(known[min(known)], known[max(known)], truth) if len(known) > 1 else None
    loss = losses.scaled_pinball(quantiles, truth, scale)
    return Measured(loss, None if math.isnan(beside) else beside, covered, _series_day(instance, settings.freq))


def _series_day(instance: Mapping[str, Any], freq: str | None) -> Hashable:
    """The series of an instance, None where nothing names it, and the day on which its forecast begins."""
    told = instance.get("item_id") if instance.get("item_id") is not None else instance.get("cat")
    name = told if told is None or isinstance(told, str) else json.dumps(told, sort_keys=True)
    days = len(instance["target"]) / steps_per_day(freq)
    try:
        return name, math.floor(seconds_of(str(instance["start"])) / DAY_SECONDS + days)
    except (KeyError, ValueError):
        return name, math.floor(days)


@cache
def steps_per_day(freq: str | None) -> float:
    """How many steps of a pandas frequency make a day; 1 for a day and more, and where none is given."""
    parts = FREQUENCY.fullmatch(freq or "D")
    seconds = SECONDS.get(parts[2].lower()) if parts else None
    if seconds is None or parts is None:
        return 1.0
    return max(1.0, DAY_SECONDS / (int(parts[1] or 1) * seconds))


def _instances(part: Part | None) -> list[Any]:
    return _listed(part, "instances", "the requests are not captured (CaptureOptions has no Input)")


def _predictions(part: Part | None) -> list[Any]:
    return _listed(part, "predictions", "the answers are not captured (CaptureOptions has no Output)")


def _listed(part: Part | None, key: str, missing: str) -> list[Any]:
    """The instances or predictions of a body of JSON, JSON Lines or CSV."""
    if part is None:
        raise Unscored(missing)
    kind = part.content_type.partition(";")[0].strip().lower()
    try:
        if kind == "text/csv":
            return [[float(each) for each in row] for row in csv.reader(io.StringIO(part.body.decode())) if row]
        if kind in ("application/jsonlines", "application/x-jsonlines"):
            return [read_json(line) for line in part.body.splitlines() if line.strip()]
        document = read_json(part.body)
    except (ValueError, csv.Error) as error:
        raise Unscored(f"a body of {kind or 'no content type'} is neither JSON, JSON Lines nor CSV") from error
    content = document.get(key, [document]) if isinstance(document, dict) else document
    return content if isinstance(content, list) else [content]


def _truths(truth: Any, count: int) -> list[Any]:
    if count == 1:
        nested = isinstance(truth, list) and len(truth) == 1 and isinstance(truth[0], list | dict)
        return [truth[0] if nested else truth]
    if not isinstance(truth, list) or len(truth) != count:
        raise Unscored(f"a request of {count} instances needs a list of {count} actuals")
    return truth


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Unscored(f"an answer or a request has no {name!r}; another --loss fits it")
    return value[name]


def _numbers(values: Any) -> Numbers:
    """One number or a list of them; null and "NaN" are not known."""
    return np.array(values if isinstance(values, list) else [values], dtype=np.float64)


def _predicted(forecast: Any, truth: Numbers) -> Numbers:
    """The forecast, which may be unknown only where the truth is: or a model could keep silent where it is hard."""
    numbers = _numbers(forecast) if not isinstance(forecast, np.ndarray) else forecast
    if math.isnan(np.add.reduce(numbers)) and np.isnan(numbers[: len(truth)][~np.isnan(truth[: len(numbers)])]).any():
        raise Unscored("the answer has no number where the actual is known")
    return numbers


def _only(row: Any) -> Any:
    """The value of an answer that is a bare number, such as a line of CSV."""
    if isinstance(row, list) and len(row) != 1:
        raise Unscored(f"a row of an answer has {len(row)} numbers; another --loss fits it")
    return row[0] if isinstance(row, list) else row


def _index(key: str) -> Any:
    return int(key) if key.isdecimal() else key


def _mean(values: Sequence[float | None]) -> float | None:
    if len(values) == 1:
        return values[0]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
