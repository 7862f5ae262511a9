"""How contests are made of what was captured: which design, which facts, what is said of what is not read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from polyadic.variants import Actual, Assignment, guardrails
from scripts.ab.capture import Captured, Part
from scripts.ab.evidence import Evidence, Material, gather
from scripts.ab.propensities import Propensities
from scripts.ab.question import Question
from scripts.ab.report import verdict
from scripts.aws import UsageError

HALF = {"A": 0.5, "B": 0.5}


def row(
    identity: str, variant: str, value: float | None, seconds: float = 0.0, user: Assignment | None = None,
    replayed: float | None = None,
) -> Captured:  # fmt: skip
    request, answer = (Part("application/json", json.dumps(each).encode()) for each in ({"index": 1}, {"value": value}))
    return Captured(identity, variant, seconds, request, answer, user, replayed)


def gathered(
    captured: Sequence[Captured], actuals: Iterable[str] | None = None, weights: Any = HALF, **more: Any
) -> Evidence:
    question = more.pop("question", Question("squared-error", "A"))
    known = {each.identity for each in captured} if actuals is None else actuals
    told = [Actual(identity, 0, 0.0) for identity in known]
    names = sorted({each.variant for each in captured} - {"A"})
    shares = Propensities([], weights)
    return gather(Material("ab", "A", names, captured, told, shares, question, 1e6, **more))


def paired(count: int, better: float = 1.0) -> list[Captured]:
    values = np.random.default_rng(0).normal(0, 1, (count, 2))
    return [
        row(f"p{n:05}", name, float(values[n, place]) * (better if place else 1), n)
        for n in range(count)
        for place, name in enumerate("AB")
    ]


def split(count: int, better: float = 1.0, seed: int = 1) -> list[Captured]:
    chance = np.random.default_rng(seed)
    names = chance.choice(["A", "B"], count)
    scale = {"A": 1.0, "B": better}
    return [row(f"s{n:05}", name, float(chance.normal(0, scale[name])), n) for n, name in enumerate(names)]


def test_a_pair_is_worth_three_drawn_answers() -> None:
    evidence = gathered(paired(100) + split(300))
    assert [contest.design for contest in evidence.contests] == ["pairs"]
    assert "300 drawn answers of B are not read; --design split reads them alone" in evidence.notes
    evidence = gathered(paired(100) + split(301))
    assert evidence.contests[0].design == "split" and evidence.contests[0].comparison.requests == 301
    assert "100 pairs of B are not read; --design pairs reads them alone" in evidence.notes
    assert gathered(paired(10) + split(301), design="pairs").contests[0].comparison.requests == 10


def test_order_of_arrival_changes_nothing() -> None:
    rows = split(500, 0.5)
    one, other = gathered(rows), gathered(rows[::-1])
    assert one.contests[0].comparison.estimate == pytest.approx(other.contests[0].comparison.estimate)
    assert one.contests[0].comparison.interval == pytest.approx(other.contests[0].comparison.interval)


def test_a_user_is_one_fact_even_where_a_replay_does_not_know_the_user() -> None:
    shares = {"A": 1.0}
    rows = [row(f"{n:03}", "A", 1.0, n, Assignment(f"u{n % 20}", "A", shares)) for n in range(200)]
    rows += [row(f"{n:03}", "B", 0.5, n, None, 1.0) for n in range(200)]
    comparison = gathered(rows, weights={"A": 1.0}).contests[0].comparison
    assert comparison.requests == 200 and len(comparison.sequence) == 20
    question = Question("squared-error", "A", cluster="request")
    assert len(gathered(rows, weights={"A": 1.0}, question=question).contests[0].comparison.sequence) == 200


def test_losses_that_are_known_of_one_side_more_often_are_said() -> None:
    """Actuals of B come late: what came of it may be what is easy."""
    rows = split(1000)
    late = [each.identity for n, each in enumerate(rows) if each.variant == "A" or n % 3]
    (note,) = [each for each in gathered(rows, late).notes if "drawn answers: the split compares" in each]
    assert note.startswith("the loss is known of 100.0% of A's and of 6") and note.endswith("wait for the others")
    evenly = [each.identity for n, each in enumerate(rows) if n % 3]
    assert not [each for each in gathered(rows, evenly).notes if "split compares" in each]


def test_answers_without_a_number_are_said_for_their_variant() -> None:
    rows = [*paired(150), row("q", "A", 1.0), row("q", "B", None)]
    evidence = gathered(rows)
    assert evidence.contests[0].comparison.requests == 150
    assert "1 answers of B have no loss: the answer has no number where the actual is known" in evidence.notes


def test_three_variants_share_the_alpha_and_have_contests_of_their_own() -> None:
    rows = paired(150, 0.3) + [row(f"p{n:05}", "C", 3.0, n) for n in range(150)]
    evidence = gathered(rows)
    assert [(each.challenger, each.verdict) for each in evidence.contests] == [("B", "better"), ("C", "worse")]
    assert {each.comparison.plan.level for each in evidence.contests} == {0.0125} and verdict(evidence) == "better"
    assert evidence.contest("C") is evidence.contests[1] and evidence.contest("A") is None


def test_a_guard_rail_speaks_against_a_better_loss() -> None:
    evidence = gathered(paired(400, 0.3), guardrails=lambda name: (guardrails.errors((0, 5000), (500, 5000)),))
    assert str(evidence.contests[0].comparison.verdict) == "better" and evidence.contests[0].verdict == "worse"


def test_nothing_to_compare_is_undecided() -> None:
    evidence = gathered([row("a", "A", 1.0)])
    assert evidence.contests == () and verdict(evidence) == "undecided"
    nothing = gathered([], weights={"A": 1.0})
    assert math.isnan(nothing.sides[0].loss) and verdict(nothing) == "undecided"


def test_a_mismatch_is_of_the_contests_that_are_split() -> None:
    rows = paired(200, 0.3) + [row(f"x{n}", "C", 1.0, n) for n in range(400)]
    evidence = gathered(rows, weights={"A": 0.5, "B": 0.25, "C": 0.25})
    assert evidence.ratio is not None and evidence.ratio.mismatch
    by_name = {each.challenger: each for each in evidence.contests}
    assert not evidence.is_mismatched(by_name["B"]) and evidence.is_mismatched(by_name["C"])
    assert verdict(evidence) == "mismatch"


def test_losses_out_of_their_bounds_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="losses lie from"):
        gathered(paired(100), question=Question("squared-error", "A", low=0.0, high=0.1))


def test_a_tiny_share_with_bounds_is_read_though_it_says_little() -> None:
    rows = [row(f"{n}", "A", 0.5, n) for n in range(400)] + [row("b", "B", 0.5, 400)]
    question = Question("squared-error", "A", low=0.0, high=1.0)
    evidence = gathered(rows, weights={"A": 0.9999, "B": 0.0001}, question=question)
    assert evidence.contests[0].verdict == "undecided"


def forecast(identity: str, variant: str, target: Sequence[float], seconds: float, **named: Any) -> Captured:
    request = {"instances": [{"start": "2026-01-01", "target": list(target), **named}]}
    asked, answer = (Part("application/json", json.dumps(each).encode()) for each in (request, {"mean": [1.0]}))
    return Captured(identity, variant, seconds, asked, answer, None)


def test_series_without_names_are_told_of_and_one_missing_covariate_costs_none() -> None:
    chance = np.random.default_rng(0)
    question = Question("mase", "A", season=2, freq="D")
    targets = [chance.normal(0, 1, 5 + n).tolist() for n in range(60)]
    rows = [forecast(f"{n:02}", "AB"[n % 2], targets[n], n) for n in range(60)]
    evidence = gathered(rows, question=question)
    (note,) = [each for each in evidence.notes if "name no series" in each]
    assert note.startswith("60 requests name no series (item_id or cat)")
    named = [forecast(f"{n:02}", "AB"[n % 2], targets[n], n, item_id="s") for n in range(60)]
    whole = gathered(named, question=question)
    assert not [each for each in whole.notes if "name no series" in each]
    named[59] = forecast("59", "B", [1.0, None, 2.0, None], 59, item_id="s")  # type: ignore[list-item]
    without = gathered(named, question=question).contests[0].comparison.sequence
    assert without.estimate[:58] == pytest.approx(whole.contests[0].comparison.sequence.estimate[:58])
