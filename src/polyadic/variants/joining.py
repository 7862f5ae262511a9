"""Answers and the actuals that arrive later, joined by inference id; what does not match is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Answer:
    """What a variant answered to one request; `time` orders the requests and may be of any kind that compares."""

    inference_id: str
    variant: str
    time: Any
    content: Any
    cluster: Hashable = None
    propensities: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Actual:
    """What turned out to be true of one request, and when that was said."""

    inference_id: str
    time: Any
    content: Any


@dataclass(frozen=True)
class Joined:
    """The answers whose actual is known, in the order of the requests, and how many others there are.

    `missing` counts for each variant the answers without an actual, `repeated` answers that a variant gave again to an
    inference id, `unknown` the actuals of no captured answer, `revised` those said again with other content (the last
    counts), `duplicates` those said again alike.
    """

    matched: list[tuple[Answer, Actual]]
    missing: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unknown: int = 0
    revised: int = 0
    duplicates: int = 0

    def sentence(self) -> str:
        """What a reader must know before the comparison: the counts that are not 0."""
        parts = [f"{len(self.matched)} answers with an actual"]
        parts += [f"{count} of {name} without" for name, count in sorted(self.missing.items())]
        counts = {
            "answered twice (the first answer counts)": self.repeated,
            "actuals of no captured request": self.unknown,
            "actuals revised (the last counts)": self.revised,
            "actuals said twice": self.duplicates,
        }
        return ", ".join(parts + [f"{count} {what}" for what, count in counts.items() if count])


def join(answers: Iterable[Answer], actuals: Iterable[Actual]) -> Joined:
    """Join in any order of arrival: of a variant's answers to an id the first counts, of its actuals the last said."""
    first: dict[tuple[str, str], Answer] = {}
    repeated = 0
    for answer in sorted(answers, key=lambda each: each.time):
        repeated += first.setdefault((answer.inference_id, answer.variant), answer) is not answer
    last: dict[str, Actual] = {}
    revised = duplicates = 0
    for actual in sorted(actuals, key=lambda each: each.time):
        known = last.get(actual.inference_id)
        if known is not None:
            alike = _alike(known.content, actual.content)
            revised, duplicates = revised + (not alike), duplicates + alike
        last[actual.inference_id] = actual
    asked = {identity for identity, _ in first}
    missing = Counter(answer.variant for answer in first.values() if answer.inference_id not in last)
    matched = [(answer, last[answer.inference_id]) for answer in first.values() if answer.inference_id in last]
    return Joined(matched, missing, repeated, len(last.keys() - asked), revised, duplicates)


def _alike(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def pairs(losses: Iterable[tuple[Answer, float]], champion: str, challenger: str) -> list[tuple[Answer, float, float]]:
    """The requests that both variants answered, each with the champion's answer and both losses."""
    by_variant: dict[str, dict[str, tuple[Answer, float]]] = {champion: {}, challenger: {}}
    for answer, loss in losses:
        if answer.variant in by_variant:
            by_variant[answer.variant][answer.inference_id] = answer, loss
    others = by_variant[challenger]
    return [
        (answer, loss, others[identity][1])
        for identity, (answer, loss) in by_variant[champion].items()
        if identity in others
    ]
