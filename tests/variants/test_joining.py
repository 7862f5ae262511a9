"""Answers and actuals in any order of arrival."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from polyadic.variants import Actual, Answer, join, pairs


def answer(identity: str, variant: str = "A", time: int = 0) -> Answer:
    return Answer(identity, variant, time, content=f"{identity} by {variant}")


def test_what_does_not_match_is_counted_and_said() -> None:
    answers = [answer("1"), answer("2"), answer("3", "B"), answer("1", "A", 5), answer("4", "B")]
    actuals = [
        Actual("1", 10, 7.0), Actual("1", 11, 7.0), Actual("3", 12, 1.0), Actual("3", 13, 2.0), Actual("9", 9, 0.0)
    ]  # fmt: skip
    joined = join(answers, actuals)
    assert [(one.inference_id, other.content) for one, other in joined.matched] == [("1", 7.0), ("3", 2.0)]
    assert joined.matched[0][0].time == 0
    assert joined.missing == Counter({"A": 1, "B": 1})
    assert (joined.repeated, joined.unknown, joined.revised, joined.duplicates) == (1, 1, 1, 1)
    assert joined.sentence() == (
        "2 answers with an actual, 1 of A without, 1 of B without, 1 answered twice (the first answer counts), "
        "1 actuals of no captured request, 1 actuals revised (the last counts), 1 actuals said twice"
    )
    assert join([], []).sentence() == "0 answers with an actual"


@given(st.integers(0, 2**32))
def test_the_order_of_arrival_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    answers = [answer(str(chance.randrange(20)), chance.choice("AB"), time) for time in range(40)]
    actuals = [Actual(str(chance.randrange(25)), time, chance.randrange(2)) for time in range(30)]
    there = join(chance.sample(answers, len(answers)), chance.sample(actuals, len(actuals)))
    assert there == join(answers, actuals)
    assert len(there.matched) + sum(there.missing.values()) + there.repeated == len(answers)


def test_pairs_are_the_requests_that_both_answered() -> None:
    losses = [(answer("1", "B"), 1.0), (answer("1"), 2.0), (answer("2"), 3.0), (answer("3", "C"), 4.0)]
    assert pairs(losses, "A", "B") == [(answer("1"), 2.0, 1.0)]
    assert pairs(losses, "A", "C") == []
