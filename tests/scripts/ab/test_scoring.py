"""Each answer is scored once, again where its actual was revised; what has no loss is counted with its variant."""

from __future__ import annotations

import json

import pytest

from polyadic.variants import Actual, Answer, join
from scripts.ab import measures, scoring
from scripts.ab.capture import Captured, Part
from scripts.ab.measures import Measured
from scripts.ab.question import Question
from scripts.ab.scoring import Scores

QUESTION = Question("squared-error", "A")


def captured(identity: str, variant: str, value: object) -> Captured:
    request = Part("application/json", b'{"index": [1]}')
    return Captured(
        identity, variant, 0.0, request, Part("application/json", json.dumps({"value": value}).encode()), None
    )


def answers(*rows: Captured) -> list[Answer]:
    return [Answer(each.identity, each.variant, each.order, each) for each in rows]


def test_losses_are_kept_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[object] = []
    original = measures.measure

    def measure(*arguments: object) -> Measured:
        measured.append(arguments)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "measure", measure)
    scores, rows = Scores(), answers(captured("a", "A", 1.0), captured("b", "A", None))
    actuals = [Actual("a", 1, 3.0), Actual("b", 1, 3.0)]
    for _ in range(3):
        scored, notes = scores.score(join(rows, actuals), QUESTION, {})
        assert [each.measured.loss for each in scored] == [4.0] and len(notes) == 1
    assert len(measured) == 2
    scored, _ = scores.score(join(rows, [*actuals, Actual("a", 2, 2.0)]), QUESTION, {})
    assert [each.measured.loss for each in scored] == [1.0] and len(measured) == 3


def test_who_has_no_loss_is_said_and_nothing_is_left_unsaid() -> None:
    rows = [captured(f"a{number}", "A", 1.0) for number in range(3)]
    rows += [captured(f"b{number}", "B", None) for number in range(2)]
    rows += [captured(f"c{number}", "B", "text" * (number + 1)) for number in range(5)]
    actuals = [Actual(each.identity, 1, 1.0) for each in rows]
    scored, notes = Scores().score(join(answers(*rows), actuals), QUESTION, {})
    assert len(scored) == 3
    assert notes[0] == "2 answers of B have no loss: the answer has no number where the actual is known"
    assert len(notes) == 4 and notes[-1] == "3 answers have no loss for other reasons"
