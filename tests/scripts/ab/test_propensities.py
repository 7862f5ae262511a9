"""The shares of the moment: what the history says, and nothing where it does not say it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.ab.propensities import Propensities, model_starts
from scripts.history import Action, Change, Weights

HALF, TENTH = {"A": 0.5, "B": 0.5}, {"A": 9.0, "B": 1.0}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def change(
    time: float, settled: float | None, before: Weights, after: Weights, action: Action = "split", **models: str
) -> Change:
    held = None if settled is None else at(settled)
    return Change(at(time), "ab", action, before, after, held, models=models or None)


def test_without_changes_the_weights_of_now_held_always() -> None:
    assert Propensities([], TENTH).at(0.0) == {"A": 0.9, "B": 0.1}
    assert Propensities([], {}).at(0.0) is None


def test_nobody_knows_them_while_they_change() -> None:
    known = Propensities([change(100, 110, TENTH, HALF)], {"A": 1, "B": 1})
    shares = [known.at(float(second)) for second in (98, 99, 100, 109, 110, 1e9)]
    assert shares == [{"A": 0.9, "B": 0.1}, {"A": 0.9, "B": 0.1}, None, None, HALF, HALF]


def test_a_request_of_the_second_of_the_change_may_be_of_either_side() -> None:
    known = Propensities([change(100.5, 110.5, TENTH, HALF)], HALF)
    assert known.at(99.0) and known.at(100.0) is None and known.at(110.0) is None and known.at(111.0) == HALF


def test_a_change_that_was_never_seen_to_hold_leaves_the_shares_unknown() -> None:
    """AWS may have taken it back, or the command was interrupted."""
    known = Propensities([change(100, None, TENTH, HALF), change(200, 210, HALF, TENTH)], TENTH)
    assert known.at(50.0) == {"A": 0.9, "B": 0.1} and known.at(150.0) is None and known.at(210.0)


def test_a_change_made_elsewhere_leaves_the_shares_unknown() -> None:
    changes = [change(100, 110, TENTH, HALF), change(200, 210, TENTH, HALF)]
    known = Propensities(changes, {"A": 0.0, "B": 1.0})
    assert [bool(known.at(float(second))) for second in (50, 150, 250)] == [True, False, False]


def test_what_is_kept_no_longer_is_unknown() -> None:
    changes = [change(100, 110, TENTH, HALF), change(300, 310, HALF, TENTH)]
    known = Propensities(changes, TENTH, forgotten=at(200))
    assert [bool(known.at(float(second))) for second in (50, 150, 250, 350)] == [False, False, False, True]


def test_single_precision_is_no_change_from_elsewhere() -> None:
    known = Propensities(
        [change(100, 110, HALF, {"A": 0.7, "B": 0.3})], {"A": 0.699999988079071, "B": 0.300000011920929}
    )
    assert known.at(200.0) is not None


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20), st.floats(0.01, 1)), max_size=60))
def test_a_moment_has_the_shares_of_the_last_change_that_held(steps: list[tuple[int, int, float]]) -> None:
    changes, clock, weights = [], 0, {"A": 1.0, "B": 1.0}
    for pause, duration, weight in steps:
        after = {"A": 1.0, "B": weight}
        changes.append(change(clock + pause, clock + pause + duration, weights, after))
        clock, weights = clock + pause + duration, after
    known = Propensities(reversed(changes), weights)
    assert known.at(clock)["B"] == pytest.approx(weights["B"] / (1 + weights["B"]))  # type: ignore[index]
    for each in changes:
        assert known.at(datetime.fromisoformat(each.time).timestamp() - 0.5) is None


def test_models_start_when_their_deployment_held() -> None:
    first = change(100, 130.5, {}, HALF, "deploy", A="a1", B="b1")
    second = change(200, 230, HALF, HALF, "deploy", A="a1", B="b2")
    assert model_starts([second, change(150, 160, HALF, HALF), first]) == {"A": 131, "B": 230}


def test_a_deployment_that_may_have_failed_is_followed_by_a_new_start() -> None:
    first = change(100, 130, {}, HALF, "deploy", A="a1")
    broken = change(200, None, HALF, HALF, "deploy", A="a2")
    assert model_starts([first, broken]) == {"A": 200}
    assert model_starts([first, broken, change(300, 330, HALF, HALF, "deploy", A="a2")]) == {"A": 330}
