"""Evidence from counts against ville's and scipy's, at every look."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from polyadic.variants import VariantError, quantile_interval, rate_interval, running_sample_ratio, sample_ratio


@pytest.mark.parametrize(("counts", "evidence"), [((900, 100), -1.2), ((870, 130), 2.9), ((850, 150), 9.9)])
def test_the_evidence_of_counts(counts: tuple[int, int], evidence: float) -> None:
    known = sample_ratio(dict(zip("AB", counts, strict=True)), {"A": 0.9, "B": 0.1})
    assert known == pytest.approx(evidence, abs=0.06)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=200))
def test_the_running_evidence_is_that_of_the_counts(drawn: list[int]) -> None:
    shares = [0.5, 0.3, 0.2]
    running = running_sample_ratio(drawn, np.tile(shares, (len(drawn), 1)))
    counts = {str(number): float(drawn.count(number)) for number in range(3)}
    assert running[-1] == pytest.approx(sample_ratio(counts, dict(zip("012", shares, strict=True))), abs=1e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_evidence_of_two_is_villes(drawn: list[bool]) -> None:
    running = running_sample_ratio(np.array(drawn, int), np.tile([0.9, 0.1], (len(drawn), 1)))
    peer = ville.BernoulliTest(p0=0.1, prior=(10.0, 90.0)).fit(np.array(drawn, float))
    np.testing.assert_allclose(running, peer.log_e_values_, atol=1e-6)


def test_shares_that_change_raise_no_alarm_and_a_router_that_ignores_them_does() -> None:
    shares = np.repeat([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]], 1000, axis=0)
    alarms = 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        kept = (chance.random(3000) < shares[:, 1]).astype(int)
        alarms += bool((running_sample_ratio(kept, shares) >= math.log(20)).any())
        if seed < 20:
            ignored = (chance.random(3000) < 0.1).astype(int)
            assert running_sample_ratio(ignored, shares)[-1] > math.log(20)
    assert alarms <= 15


def test_an_answer_of_a_variant_without_a_share_is_an_alarm() -> None:
    assert sample_ratio({"A": 5, "B": 1}, {"A": 1.0, "B": 0.0}) == math.inf
    assert sample_ratio({"A": 5, "C": 1}, {"A": 1.0}) == math.inf
    assert running_sample_ratio([0, 1], [[1.0, 0.0], [1.0, 0.0]])[-1] == math.inf
    assert math.isfinite(sample_ratio({"A": 5}, {"A": 2.0, "B": 0.0}))
    assert len(running_sample_ratio([], np.zeros((0, 2)))) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.sampled_from([0.01, 0.05]))
def test_the_interval_of_a_rate_is_villes(drawn: list[bool], alpha: float) -> None:
    peer = ville.BernoulliCS(alpha=alpha, prior=(0.5, 0.5), intersect=False).fit(np.array(drawn, float))
    np.testing.assert_allclose(rate_interval(sum(drawn), len(drawn), alpha), peer.interval(), atol=1e-6)


def test_a_rate_of_which_nothing_is_known() -> None:
    assert rate_interval(0, 0) == (0.0, 1.0)
    low, high = rate_interval(0, 10_000)
    assert low == 0.0 and high < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.99])
def test_the_interval_of_a_quantile_holds_at_every_look(level: float) -> None:
    held = 0
    truth = -math.log(1 - level)
    for seed in range(300):
        values = np.random.default_rng(seed).exponential(size=3000)
        looks = [quantile_interval(values[:count], level) for count in range(50, 3001, 50)]
        held += all(low <= truth <= high for low, high in looks)
    assert held >= 285
    low, high = looks[-1]
    assert truth - 0.9 < low < truth < high < truth + 2.5


def test_a_quantile_of_few_or_equal_values() -> None:
    assert quantile_interval([], 0.99) == (-math.inf, math.inf)
    assert quantile_interval([1.0, 2.0], 0.99) == (-math.inf, math.inf)
    assert quantile_interval(np.full(300, 2.0), 0.99) == (2.0, math.inf)
    assert quantile_interval(np.full(5000, 2.0), 0.5) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_ratio({"A": 1}, {"A": 0.0}), "shares: got"),
        (lambda: running_sample_ratio([0], [1.0]), "a row a request"),
        (lambda: running_sample_ratio([0], [[0.0, 0.0]]), "one of them above 0"),
        (lambda: running_sample_ratio([0], [[math.nan, 1.0]]), "one of them above 0"),
        (lambda: rate_interval(3, 2), "got 3 successes of 2"),
        (lambda: quantile_interval([1.0], 1.0), "level: got 1.0"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
