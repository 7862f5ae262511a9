"""The losses of captured answers whose actual is known; what has none is counted, with its reason."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polyadic.variants import Answer, Joined
from scripts.ab.capture import Captured
from scripts.ab.measures import Measured, Numbers, Settings, Unscored, measure
from scripts.ab.question import Question

SHOWN = 3
"""Reasons that are told one by one."""


@dataclass(frozen=True)
class Scored:
    """An answer with its loss, and how long its client waited for it, where that was fed back."""

    answer: Answer
    captured: Captured
    measured: Measured
    seconds: float | None = None


@dataclass
class Scores:
    """Losses that are kept between looks: each answer is scored once, and again where its actual was revised."""

    _known: dict[tuple[int, Any], tuple[Captured, Measured | str]] = field(default_factory=dict)

    def score(
        self, joined: Joined, question: Question, topics: Mapping[str, Numbers]
    ) -> tuple[list[Scored], list[str]]:
        """The answers that have a loss, and what a reader must know of the others."""
        settings = Settings(question.season, question.freq, question.column, question.higher_is_better, topics)
        scored, reasons = [], Counter[tuple[str, str]]()
        for answer, actual in joined.matched:
            captured: Captured = answer.content
            key = id(captured), actual.time  # The value holds the captured answer, so that its id stays its own.
            if key not in self._known:
                self._known[key] = captured, _measured(captured, actual.content, question.loss, settings)
            result = self._known[key][1]
            if isinstance(result, str):
                reasons[answer.variant, result] += 1
            else:
                scored.append(Scored(answer, captured, result, _seconds(actual.content)))
        return scored, _told(reasons)


def _measured(captured: Captured, actual: Any, loss: str, settings: Settings) -> Measured | str:
    try:
        return measure(loss, captured.request, captured.answer, actual, settings, captured.variant)
    except Unscored as reason:
        return str(reason)


def _seconds(actual: Any) -> float | None:
    """The column `seconds` of an actual, where it is a number of 0 or more."""
    value: Any = actual.get("seconds") if isinstance(actual, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None


def _told(reasons: Counter[tuple[str, str]]) -> list[str]:
    often = reasons.most_common(SHOWN)
    rest = reasons.total() - sum(count for _, count in often)
    notes = [f"{count} answers of {variant} have no loss: {reason}" for (variant, reason), count in often]
    return notes + ([f"{rest} answers have no loss for other reasons"] if rest else [])
