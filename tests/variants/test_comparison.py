"""Verdicts, what is needed for one, and what is left out of a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polyadic.variants import Plan, VariantError, Verdict, compare_pairs, compare_split
from tests.variants.experiments import traffic


def seen(better: float, requests: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    made = traffic(np.random.default_rng(seed), requests, better)
    return made.champion, made.challenger


@pytest.mark.parametrize(
    ("better", "verdict"), [(0.1, Verdict.BETTER), (-0.1, Verdict.WORSE), (0.0, Verdict.UNDECIDED)]
)
def test_the_verdict_of_pairs(better: float, verdict: Verdict) -> None:
    comparison = compare_pairs(*seen(better))
    low, high = comparison.interval
    assert comparison.verdict is verdict and low < comparison.estimate < high
    assert comparison.requests == 3000 == len(comparison.sequence)


def test_a_difference_within_the_margin_is_none() -> None:
    champion, challenger = seen(0.0, 20_000)
    assert compare_pairs(champion, challenger, Plan(margin=0.05)).verdict is Verdict.EQUIVALENT
    assert compare_pairs(champion, challenger, Plan(margin=1e-4)).verdict is Verdict.UNDECIDED


def test_what_is_still_needed_is_about_what_it_then_takes() -> None:
    champion, challenger = seen(0.05, 20_000, seed=3)
    needed = []
    for looked in (150, 300):
        early = compare_pairs(champion[:looked], challenger[:looked])
        assert early.verdict is Verdict.UNDECIDED and early.requests_needed is not None
        needed.append(early.requests_needed)
    decided = compare_pairs(champion, challenger)
    assert decided.verdict is Verdict.BETTER and decided.requests_needed is None
    taken = decided.sequence.excludes(0.0) or 0
    assert taken / 4 < looked + needed[-1] < taken * 4


def test_with_a_margin_equal_models_need_a_known_number() -> None:
    champion, challenger = seen(0.0, 500, seed=4)
    plan = Plan(margin=0.05)
    needed = compare_pairs(champion, challenger, plan).requests_needed
    assert needed is not None
    more = compare_pairs(*seen(0.0, 500 + 4 * needed, seed=4), plan)
    assert more.verdict is Verdict.EQUIVALENT


def test_models_that_answer_alike_stay_undecided_unless_the_loss_is_bounded() -> None:
    """What has not happened in 500 requests may be rare and large."""
    losses = np.ones(500)
    for plan in (Plan(), Plan(margin=0.1)):
        assert compare_pairs(losses, losses, plan).verdict is Verdict.UNDECIDED
        assert compare_pairs(losses, losses, plan).requests_needed is None
    assert compare_pairs(losses, losses, Plan(margin=0.1, bounds=(0.0, 1.0))).verdict is Verdict.EQUIVALENT
    rounded = compare_pairs(np.full(500, 0.3), np.full(500, 0.1 + 0.2))
    assert rounded.verdict is Verdict.UNDECIDED and rounded.estimate == 0.0


def test_of_worse_and_equivalent_the_margin_decides() -> None:
    worse = np.random.default_rng(1).normal(0.005, 0.05, 20_000)
    verdicts = [compare_pairs(np.ones(n), 1 + worse[:n], Plan(margin=0.05)).verdict for n in (1000, 20_000)]
    assert verdicts == [Verdict.EQUIVALENT] * 2
    assert compare_pairs(np.ones(20_000), 1 + worse).verdict is Verdict.WORSE
    assert compare_pairs(np.ones(20_000), 1 - worse, Plan(margin=0.05)).verdict is Verdict.BETTER


def test_a_relative_margin_is_of_the_champion_s_loss_over_the_same_clusters() -> None:
    """One robot with many hard requests is one fact."""
    users = [*range(300), *["robot"] * 3000]
    champion = np.r_[np.ones(300), np.full(3000, 100.0)] + 0.01 * np.random.default_rng(2).normal(size=3300)
    comparison = compare_pairs(champion, champion, Plan(relative_margin=0.01), users)
    assert comparison.champion == pytest.approx(1 + 99 / 301, rel=1e-2)
    assert comparison.margin == pytest.approx(comparison.champion * 0.01)
    flags = np.random.default_rng(3).random(3300) < 0.5
    split = compare_split(champion, np.where(flags, "B", "A"), {"A": 0.5, "B": 0.5}, "A", "B", clusters=users)
    assert split.champion == pytest.approx(1 + 99 / 301, rel=0.6)


def test_rare_events_are_waited_for() -> None:
    """Of sales in one of a hundred requests, 200 requests of a side hold two: no law of large numbers yet."""
    winners = 0
    for seed in range(60):
        chance = np.random.default_rng((21, seed))
        sold = chance.random(6000) < 0.01
        losses = -np.where(sold, chance.lognormal(3, 1, 6000), 0.0)
        names = np.where(chance.random(6000) < 0.1, "B", "A")
        found = compare_split(losses, names, {"A": 0.9, "B": 0.1}, "A", "B")
        winners += found.sequence.excludes(0.0) is not None
    assert winners <= 3
    assert found.interval[1] == math.inf and (found.requests_needed or 0) > 10_000


def test_a_split_does_not_depend_on_where_0_lies() -> None:
    chance = np.random.default_rng(4)
    flags = chance.random(4000) < 0.5
    losses, names = chance.normal(size=4000) - 0.5 * flags, np.where(flags, "B", "A")
    known = {"A": 0.5, "B": 0.5}
    here, there = (compare_split(losses + offset, names, known, "A", "B") for offset in (0.0, 1000.0))
    assert here.estimate == pytest.approx(there.estimate, abs=1e-6)
    assert here.verdict is there.verdict is Verdict.BETTER


def test_an_exact_interval_of_a_mean_that_has_changed_decides_nothing() -> None:
    drift = np.r_[np.full(2000, -0.3), np.full(2000, 0.5)] + np.random.default_rng(5).uniform(-0.1, 0.1, 4000)
    changed = compare_pairs(np.full(4000, 0.4), np.clip(0.4 + drift, 0, 1), Plan(bounds=(0.0, 1.0)))
    assert not changed.interval[0] <= changed.estimate <= changed.interval[1]
    assert changed.verdict is Verdict.UNDECIDED


def test_what_a_bounded_loss_still_needs_is_about_what_it_then_takes() -> None:
    chance = np.random.default_rng(6)
    champion, challenger = (chance.random(40_000) < rate for rate in (0.30, 0.25))
    plan = Plan(bounds=(0.0, 1.0))
    early = compare_pairs(champion[:2000], challenger[:2000], plan)
    assert early.estimate == pytest.approx(-0.05, abs=0.015)
    assert early.verdict is Verdict.UNDECIDED and early.requests_needed is not None
    taken = compare_pairs(champion, challenger, plan).sequence.excludes(0.0)
    assert taken is not None and taken / 5 < 2000 + early.requests_needed < taken * 5


def test_before_the_first_request() -> None:
    nothing = compare_pairs([], [])
    assert nothing.verdict is Verdict.UNDECIDED and nothing.interval == (-math.inf, math.inf)
    assert math.isnan(nothing.estimate) and nothing.requests_needed is None
    assert compare_split([], [], {"A": 0.5, "B": 0.5}, "A", "B").requests == 0
    one = compare_pairs([1.0], [2.0])
    assert one.verdict is Verdict.UNDECIDED and one.interval == (-math.inf, math.inf)


def test_a_split_waits_for_its_smaller_side() -> None:
    chance = np.random.default_rng(5)
    made = traffic(chance, 3000, 0.5)
    flags = chance.random(3000) < 0.1
    names = np.where(flags, "B", "A")
    losses = np.where(flags, made.challenger, made.champion)
    known = {"A": 0.9, "B": 0.1}
    early = compare_split(losses[:1000], names[:1000], known, "A", "B", covariate=made.naive[:1000])
    assert early.interval == (-math.inf, math.inf) and 500 < (early.requests_needed or 0) < 2500
    late = compare_split(losses, names, known, "A", "B", covariate=made.naive)
    assert late.verdict is Verdict.BETTER and math.isfinite(late.sequence.upper[2800])


def test_requests_that_one_could_not_get_are_left_out() -> None:
    losses, names = [9.0] * 50 + [1.0, 2.0] * 200, ["A"] * 50 + ["A", "B"] * 200
    share = np.r_[np.zeros(50), np.full(400, 0.5)]
    comparison = compare_split(losses, names, {"A": 1 - share, "B": share}, "A", "B", clusters=list(range(450)))
    assert comparison.requests == 400 and comparison.estimate == pytest.approx(1.0, abs=0.05)


def test_three_variants_are_compared_two_by_two() -> None:
    chance = np.random.default_rng(6)
    names = chance.choice(["A", "B", "C"], 6000, p=[0.5, 0.25, 0.25])
    losses = np.exp(0.2 * chance.standard_normal(6000)) - 0.1 * (names == "C")
    known = {"A": 0.5, "B": 0.25, "C": 0.25}
    plan = Plan(tests=2)
    assert plan.level == 0.025
    verdicts = {name: compare_split(losses, names, known, "A", name, plan).verdict for name in "BC"}
    assert verdicts == {"B": Verdict.UNDECIDED, "C": Verdict.BETTER}


def test_a_bounded_loss_gets_an_interval_from_the_first_request() -> None:
    chance = np.random.default_rng(7)
    champion, challenger = (chance.random(4000) < rate for rate in (0.3, 0.2))
    plan = Plan(bounds=(0.0, 1.0))
    pairs = compare_pairs(champion, challenger, plan)
    assert pairs.verdict is Verdict.BETTER and pairs.sequence.upper[0] <= 1.0
    flags = chance.random(4000) < 0.5
    split = compare_split(
        np.where(flags, challenger, champion), np.where(flags, "B", "A"), {"A": 0.5, "B": 0.5}, "A", "B",
        Plan(bounds=(0.0, 1.0), floor=0.4),
    )  # fmt: skip
    assert split.interval[0] < -0.1 < split.interval[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_pairs([1.0], [1.0, 2.0]), "got 1 and 2 losses; allowed are pairs"),
        (
            lambda: compare_pairs([1.0], [2.0], Plan(bounds=(0, 1))),
            "losses lie from 2 to 2; the plan's bounds are 0 and 1",
        ),
        (lambda: compare_split([1.0], ["A", "B"], {"A": 1, "B": 1}, "A", "B"), "got 2 variants for 1 losses"),
        (lambda: compare_split([1.0], ["A"], {"A": 0.5}, "A", "B"), "no propensity of 'B'; known are A"),
        (
            lambda: compare_split([0.5], ["A"], {"A": 0.99, "B": 0.01}, "A", "B", Plan(bounds=(0, 1))),
            "a propensity of 0.01, below the plan's floor of 0.05",
        ),
        (lambda: Plan(alpha=0.0), "alpha: got 0"),
        (lambda: Plan(margin=-1.0), "margin: got -1.0"),
        (lambda: Plan(tests=0), "got tests 0"),
        (lambda: Plan(horizon=math.inf), "horizon inf"),  # type: ignore[arg-type]
        (lambda: Plan(relative_margin=math.nan), "margin: got nan"),
        (lambda: compare_split([1.0], ["A"], {"A": [0.5, 0.5], "B": 0.5}, "A", "B"), r"shape \(2,\)"),
        (lambda: compare_split([1.0], ["A"], {"A": math.nan, "B": 0.5}, "A", "B"), "not a number from 0 to 1"),
        (lambda: compare_split([1.0], ["A"], {"A": 0.5, "B": 0.5}, "A", "B", clusters=[1, 2]), "got 2 clusters"),
        (lambda: compare_split([1.0], ["A"], {"A": 0.5, "B": 0.5}, "A", "B", covariate=[1, 2]), "got 2 covariates"),
        (lambda: Plan(floor=0.0), "floor: got 0"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
