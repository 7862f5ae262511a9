"""What belongs to a split, what is left out of it and said, and whether the draws follow the weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from polyadic.variants import Assignment
from scripts.ab.capture import Captured
from scripts.ab.drawing import CAPTURE_SECONDS, Drawn, drawn_by_chance, sample_ratio
from scripts.ab.propensities import Propensities
from tests.scripts.ab.test_propensities import change

HALF = {"A": 0.5, "B": 0.5}
NOW = 1e6


def answered(
    identity: str,
    variant: str,
    seconds: float = 0.0,
    assignment: Assignment | None = None,
    replayed: float | None = None,
) -> Captured:
    return Captured(identity, variant, seconds, None, None, assignment, replayed)


def draws(captured: Sequence[Captured], known: Propensities | None = None) -> tuple[list[str], list[str]]:
    """The ids that were drawn, and the notes."""
    drawn, notes = drawn_by_chance(captured, known or Propensities([], HALF), NOW)
    return [each.captured.identity for each in drawn], notes


def test_an_id_that_several_variants_answered_was_not_drawn() -> None:
    rows = [answered("a", "A"), answered("b", "B"), answered("both", "A"), answered("both", "B")]
    ids, notes = draws(rows)
    assert ids == ["a", "b"]
    assert notes == ["2 answers are of requests that several variants answered: left out of the split"]


def test_an_id_that_a_variant_answered_twice_is_drawn_once() -> None:
    assert draws([answered("a", "A"), answered("a", "A", 1.0), answered("b", "B", 1.0)]) == (["a", "b"], [])


def test_a_shadow_is_no_draw_and_its_phase_is_no_split() -> None:
    """A served alone with a shadow B on half of the requests; then both by weight, under the same names."""
    known = Propensities([change(100, 110, {"A": 1.0}, HALF, "deploy")], HALF)
    shadowed = [answered(f"s{n}", "A", n) for n in range(40)] + [answered(f"s{n}", "B", n) for n in range(20)]
    split = [answered("x", "A", 200.0), answered("y", "B", 200.0)]
    drawn, notes = drawn_by_chance([*shadowed, *split], known, NOW)
    assert [each.captured.identity for each in drawn] == ["x", "y"] and notes == []
    lone = [answered(f"t{n}", "B", n) for n in range(50)]  # Of a share of the capture only the copies may be there.
    ratio = sample_ratio(drawn_by_chance([*lone, *split], known, NOW)[0])
    assert ratio is not None and not ratio.mismatch


def test_a_replay_is_no_draw() -> None:
    assert draws([answered("a", "B", replayed=1.0)]) == ([], [])


def test_a_variant_of_weight_0_that_answers_is_a_mismatch() -> None:
    """Somebody gives a TargetVariant."""
    drawn, _ = drawn_by_chance([answered("a", "B")], Propensities([], {"A": 1.0, "B": 0.0}), NOW)
    ratio = sample_ratio(drawn)
    assert ratio is not None and ratio.p == 0.0 and ratio.mismatch


def test_target_variant_for_some_is_a_mismatch() -> None:
    chance = np.random.default_rng(0)
    names = ["B" if chance.random() < 0.1 or number % 5 == 0 else "A" for number in range(1000)]
    rows = [answered(f"{number:04}", name) for number, name in enumerate(names)]
    ratio = sample_ratio(drawn_by_chance(rows, Propensities([], {"A": 0.9, "B": 0.1}), NOW)[0])
    assert ratio is not None and ratio.mismatch and ratio.expected["B"] == pytest.approx(100)


def test_weights_that_nobody_knows_and_capture_that_is_awaited_are_said() -> None:
    known = Propensities([change(100, 110, HALF, HALF)], HALF)
    rows = [answered("u", "A", 105.0), answered("a", "A", NOW - 5), answered("b", "B", NOW - 9), answered("c", "A", 50)]
    ids, notes = draws(rows, known)
    assert ids == ["c", "b"]
    assert notes == [
        "1 answers were answered while the weights changed, or were not known: left out of the split",
        "1 answers are newer than what is captured of another variant, and wait for it: left out of the split",
    ]
    assert draws([answered("a", "A", NOW - CAPTURE_SECONDS), answered("b", "B", 0.0)])[0] == ["b", "a"]


def test_nothing_is_left_out_of_a_split_where_there_is_none() -> None:
    alone = [answered("a", "A", NOW), answered("a", "B", NOW), answered("b", "A", NOW)]
    assert draws(alone, Propensities([], {"A": 1.0})) == ([], [])
    assert sample_ratio([]) is None


def test_what_the_client_logged_is_the_chance_of_the_moment_and_a_user_is_drawn_once() -> None:
    shares = {"B": 0.2, "A": 0.8}
    rows = [
        answered(f"{n}", "AB"[n % 5 == 0], 0.0, Assignment(f"u{n % 10}", "AB"[n % 5 == 0], shares)) for n in range(30)
    ]
    drawn, _ = drawn_by_chance([*rows, answered("x", "A", 0.0, Assignment("staff", "A", {"A": 1.0, "B": 0.0}))],
                               Propensities([], {"A": 1.0, "B": 0.0}), NOW)  # fmt: skip
    ratio = sample_ratio(drawn)
    assert len(drawn) == 30 and drawn[0].shares == shares
    assert ratio is not None and ratio.observed == {"A": 8, "B": 2} and ratio.expected["B"] == pytest.approx(2.0)


def test_three_variants() -> None:
    shares = {"A": 0.5, "B": 0.3, "C": 0.2}
    names = np.random.default_rng(1).choice(list(shares), 600, p=list(shares.values()))
    drawn = [Drawn(answered(f"{n:03}", str(name)), shares) for n, name in enumerate(names)]
    ratio = sample_ratio(drawn)
    assert ratio is not None and not ratio.mismatch and set(ratio.observed) == {"A", "B", "C"}
    assert sum(ratio.observed.values()) == 600 == pytest.approx(sum(ratio.expected.values()))
