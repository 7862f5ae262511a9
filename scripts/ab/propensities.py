"""With what chance each variant could have answered a request: by the history of the endpoint's weights."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from scripts.history import Change

ROUNDING_SECONDS = 1.0
"""A captured request is dated to the second in which it was answered."""


@dataclass(frozen=True)
class Period:
    """Weights that held for all requests dated from `since` to `until`, both in seconds of the epoch."""

    since: float
    until: float
    shares: Mapping[str, float]


class Propensities:
    """Shares by time; between the moment of a change and the moment when it held nobody knows them."""

    def __init__(self, changes: Iterable[Change], now: Mapping[str, float]) -> None:
        ordered = sorted(changes, key=lambda each: each.time)
        begun = [seconds_of(each.time) for each in ordered]
        held = [seconds_of(each.settled or each.time) for each in ordered]
        weights = [ordered[0].before if ordered else now, *(each.after for each in ordered)]
        self.periods = [
            Period(since, until - ROUNDING_SECONDS, _shares(weight))
            for since, until, weight in zip([-math.inf, *held], [*begun, math.inf], weights, strict=True)
        ]

    def at(self, seconds: float) -> Mapping[str, float] | None:
        """The share of each variant at a moment, or None where the weights were just changing or are not known."""
        for period in reversed(self.periods):
            if period.since <= seconds <= period.until:
                return period.shares or None
        return None


def model_starts(changes: Iterable[Change]) -> dict[str, float]:
    """Since when each variant has had the model that it has now, as far as deployments tell."""
    starts: dict[str, float] = {}
    models: dict[str, str] = {}
    for change in sorted(changes, key=lambda each: each.time):
        for name, model in (change.models or {}).items():
            if models.get(name) != model:
                starts[name] = math.floor(seconds_of(change.time))
            models[name] = model
    return starts


def seconds_of(time: str) -> float:
    """An ISO date as seconds of the epoch."""
    return datetime.fromisoformat(time).timestamp()


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}
