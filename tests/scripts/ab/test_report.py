"""Evidence as a table and as JSON that every reader knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polyadic.variants import guardrails
from scripts.ab.evidence import Evidence
from scripts.ab.question import Question
from scripts.ab.report import EXIT_CODES, aligned, as_json, number, points, ratio_sentence, sentence, table
from tests.scripts.ab.test_evidence import gathered, paired, row, split


def strict(text: str) -> Any:
    """JSON without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


RAILS = (guardrails.errors((0, 5000), (500, 5000)),)
CASES = {
    "nothing": gathered([]),
    "alone": gathered([row("a", "A", 1.0)]),
    "no actual": gathered(paired(3), actuals=[]),
    "few": gathered(paired(3)),
    "equal": gathered([row(f"{n}", name, 1.0, n) for n in range(300) for name in "AB"]),
    "pairs": gathered(paired(400, 0.3)),
    "split": gathered(split(1000, 0.5)),
    "margin": gathered(paired(2000), question=Question("squared-error", "A", margin=0.2)),
    "mismatch": gathered([row(f"{n}", "AAAB"[n % 4], 1.0, n) for n in range(2000)]),
    "rail": gathered(paired(400, 0.3), guardrails=lambda name: RAILS),
}


@pytest.mark.parametrize("evidence", CASES.values(), ids=CASES)
def test_json_is_json_and_the_table_a_table(evidence: Evidence) -> None:
    document = strict(as_json(evidence))
    assert document["verdict"] in EXIT_CODES and document["champion"] == "A"
    assert [len(each["sequence"]) <= 200 for each in document["challengers"]] == [True] * len(evidence.contests)
    text = table(evidence)
    assert "nan" not in text and "inf" not in text and text.startswith("ab: squared-error")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("alone", "nothing to compare: A is alone"),
        ("no actual", "undecided: no request tells B from A yet"),
        ("equal", "undecided, and no number of requests is in sight"),
        ("pairs", "B is better than A"),
        ("margin", "B and A differ by less than the margin"),
        ("mismatch", "SAMPLE RATIO MISMATCH: A 1,500 of 1,000 expected, B 500 of 1,000 expected"),
        ("rail", "B breaks a guard-rail (errors): not to be promoted, whatever its loss"),
        ("nothing", "sample ratio: nothing was drawn by weight"),
    ],
)
def test_what_a_reader_is_told(case: str, words: str) -> None:
    assert words in table(CASES[case])


def test_the_rail_is_in_both() -> None:
    assert "guard-rails of B: errors 10.00% against 0.00% (TOO MUCH)" in table(CASES["rail"])
    (contest,) = strict(as_json(CASES["rail"]))["challengers"]
    assert contest["verdict"] == "worse" and contest["guardrails"][0]["violated"] is True


def test_points_are_finite_and_end_with_the_last_look() -> None:
    (contest,) = CASES["split"].contests
    looks = [look for look, *_ in points(contest)]
    assert looks == sorted(set(looks)) and looks[-1] == 999 and looks[0] >= 100
    assert points(CASES["no actual"].contests[0]) == [] and sentence(contest, "A") == "B is better than A"
    assert ratio_sentence(CASES["split"]).endswith("as the weights say")


def test_numbers_and_columns() -> None:
    assert [number(each) for each in (None, float("nan"), float("inf"), 0.123456)] == ["-", "-", "-", "0.1235"]
    assert aligned([["a", "1"], ["long", "100"]]) == ["a       1", "long  100"]
