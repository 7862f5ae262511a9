"""With what chance each variant could have answered a request: by the history of the endpoint's weights."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scripts.history import Change, seconds_of

ROUNDING_SECONDS = 1.0
"""A captured request is dated to the second in which it was answered."""
ROUNDING_OF_WEIGHTS = 1e-5
"""AWS keeps weights in single precision."""


@dataclass(frozen=True)
class Period:
    """Weights that held for all requests dated from `since` to `until`, both in seconds of the epoch."""

    since: float
    until: float
    shares: Mapping[str, float]


class Propensities:
    """Shares by time, as far as they are known.

    Nobody knows them between the moment of a change and the moment when it held, nor after a change that was never
    seen to hold, nor between two changes where the second did not find what the first had left: somebody else changed
    them. `forgotten` is the time of the newest change that is kept no longer: what held before is not known.
    """

    def __init__(self, changes: Iterable[Change], now: Mapping[str, float], forgotten: str | None = None) -> None:
        ordered = sorted(changes, key=lambda each: seconds_of(each.time))
        begun = [seconds_of(each.time) for each in ordered]
        held = [seconds_of(each.settled) if each.settled else math.inf for each in ordered]
        left = [ordered[0].before if ordered else now, *(each.after for each in ordered)]
        met = [*(each.before for each in ordered), now]
        known_since = seconds_of(forgotten) if forgotten else -math.inf
        self.periods = [
            Period(since, until - ROUNDING_SECONDS, _shares(weights))
            for since, until, weights, found in zip([-math.inf, *held], [*begun, math.inf], left, met, strict=True)
            if since >= known_since and _alike(weights, found)
        ]

    def at(self, seconds: float) -> Mapping[str, float] | None:
        """The share of each variant at a moment, or None where nobody knows it."""
        for period in reversed(self.periods):
            if period.since <= seconds <= period.until:
                return period.shares or None
        return None


def model_starts(changes: Iterable[Change]) -> dict[str, float]:
    """Since when each variant has answered with the model that it has now alone, as far as deployments tell.

    While a deployment is under way both models may answer. One that was never seen to hold may have failed.
    """
    starts: dict[str, float] = {}
    models: dict[str, str] = {}
    for change in sorted(changes, key=lambda each: seconds_of(each.time)):
        for name, model in (change.models or {}).items():
            if models.get(name) != model:
                starts[name] = math.ceil(seconds_of(change.settled or change.time))
            models[name] = model if change.settled else ""
    return starts


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}


def _alike(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    one, other = _shares(left), _shares(right)
    return one.keys() == other.keys() and all(
        math.isclose(one[name], other[name], rel_tol=ROUNDING_OF_WEIGHTS) for name in one
    )
