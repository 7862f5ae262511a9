"""A question is a tag, and a tag is the question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.ab.measures import MEASURES
from scripts.ab.question import CLUSTERS, TAG, TAG_CHARACTERS, Question, read_tag
from scripts.aws import UsageError

NAMES = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,30}", fullmatch=True)
FLOATS = st.floats(-1e9, 1e9, allow_nan=False)


@given(
    st.sampled_from(sorted(MEASURES)), NAMES, st.integers(1, 10**6), st.sampled_from([None, "H", "15min", "W-MON"]),
    NAMES, st.booleans(), st.floats(1e-6, 0.5), st.floats(0, 0.9), st.integers(1, 10**9),
    st.none() | st.tuples(FLOATS, FLOATS).filter(lambda bounds: bounds[0] < bounds[1]), st.sampled_from(CLUSTERS),
)  # fmt: skip
def test_a_tag_round_trips(
    loss: str, champion: str, season: int, freq: str | None, column: str, higher: bool, alpha: float, margin: float,
    horizon: int, bounds: tuple[float, float] | None, cluster: str,
) -> None:  # fmt: skip
    low, high = bounds or (None, None)
    named = column if loss == "column" else None
    question = Question(loss, champion, season, freq, named, higher, alpha, margin, horizon, low, high, cluster)
    question.check()
    try:
        tag = question.tag()
    except UsageError as error:
        assert "does not fit a tag" in str(error)
        return
    assert tag["Key"] == TAG and len(tag["Value"]) <= TAG_CHARACTERS and read_tag(tag["Value"]) == question


def test_the_defaults_have_a_tag() -> None:
    assert Question().tag()["Value"] == "defaults" and read_tag("defaults") == Question()


@pytest.mark.parametrize(
    "text",
    ["nonsense", "loss=absent", "cluster=absent", "season=x", "season=0", "alpha=nan", "alpha=2", "low=1",
     "loss=column",
     "freq=0H", "low=nan high=1", "margin=inf", "horizon=0"],
)  # fmt: skip
def test_a_tag_that_is_no_question(text: str) -> None:
    with pytest.raises(UsageError, match=r"which is no question; give --ask-anew"):
        read_tag(text)


def test_bounds_and_margin_of_a_plan() -> None:
    plan = Question(column="c", loss="column", low=0.0, high=2.0, margin=0.1, higher_is_better=True).plan(3, 0.2)
    assert plan.bounds == (-2.0, 0.0) and plan.relative_margin == 0.1 and plan.level == pytest.approx(0.05 / 6)
    assert plan.floor == 0.2 and Question().plan(0, 0.05).relative_margin == 0.0


def test_a_sentence_for_a_reader() -> None:
    question = Question("column", "A", column="revenue", higher_is_better=True, alpha=0.01, margin=0.02)
    assert (
        question.sentence() == "revenue (more is better); of equal models at most 1.0% ever get a winner, margin 2.00%"
    )
    assert Question("mase", season=12).sentence().startswith("mase, season 12;")
