"""Scores of a split against ville's, their mean against the truth, clusters against a slow form."""

from __future__ import annotations

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from polyadic.variants import VariantError, asymptotic
from polyadic.variants.scores import clusters_of, past_prediction, split_scores
from polyadic.variants.sequences import mixture_variance


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5]))
def test_without_a_covariate_the_sequence_is_villes(seed: int, share: float) -> None:
    chance = np.random.default_rng(seed)
    losses, flags = chance.lognormal(size=600), chance.random(600) < share
    scores = split_scores(losses, flags, ~flags, (share, 1 - share), clusters_of(None, 600))
    peer = ville.AsymptoticABTest(propensity=share)
    peer._cs.rho_ = 1 / mixture_variance(0.05, 2000)
    make = peer._make_cs

    def with_our_horizon() -> ville.AsymptoticCS:
        sequence = make()
        sequence.rho_ = 1 / mixture_variance(0.05, 2000)
        return sequence

    peer._make_cs = with_our_horizon
    peer.fit(losses, flags.astype(float))
    ours = asymptotic(scores)
    np.testing.assert_allclose(ours.lower, peer.lower_, atol=1e-6)
    np.testing.assert_allclose(ours.upper, peer.upper_, atol=1e-6)


@given(st.integers(0, 2**32))
def test_the_prediction_is_the_least_squares_line_through_the_clusters_before(seed: int) -> None:
    chance = np.random.default_rng(seed)
    labels = np.sort(chance.integers(0, 30, 90)).tolist()
    x = chance.normal(5, 2, 90)
    y = 3 * x - 4 + chance.normal(size=90)
    groups = clusters_of(labels, 90)
    predicted = past_prediction(y, groups, x)
    for place in range(90):
        before = groups.number < groups.number[place]
        if groups.number[place] >= 10:
            assert predicted[place] == pytest.approx(
                np.polyval(np.polyfit(x[before], y[before], 1), x[place]), rel=1e-6
            )
        else:
            assert predicted[place] == pytest.approx(y[before].mean() if before.any() else 0.0)


def test_a_covariate_that_never_varies_is_no_covariate() -> None:
    y, groups = np.arange(50.0), clusters_of(None, 50)
    np.testing.assert_allclose(past_prediction(y, groups, np.full(50, 7.0)), past_prediction(y, groups))


def test_clusters_are_numbered_as_they_come() -> None:
    groups = clusters_of(["b", "a", "b", ("c", 1)], 4)
    assert groups.number.tolist() == [0, 1, 0, 2] and groups.count == 3
    assert groups.means(np.array([1.0, 5.0, 3.0, 7.0])).tolist() == [2.0, 5.0, 7.0]
    assert groups.any(np.array([False, True, True, False])).tolist() == [True, True, False]


def test_a_third_variant_scores_nothing() -> None:
    scores = split_scores([1.0, 2.0, 3.0], [0, 1, 0], [1, 0, 0], (0.3, 0.4), clusters_of(None, 3))
    assert scores[2] == 0.0 and scores[1] == pytest.approx((2.0 - 1.0) / 0.3)


def test_predictions_stay_within_the_bounds_of_the_loss() -> None:
    chance = np.random.default_rng(0)
    x, flags = chance.random(200), chance.random(200) < 0.5
    scores = split_scores(x > 0.5, flags, ~flags, (0.5, 0.5), clusters_of(None, 200), x * 50, (0.0, 1.0))
    assert np.abs(scores).max() <= 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_scores([1.0], [1], [0], (0.0, 1.0), clusters_of(None, 1)), "got one of 0"),
        (lambda: split_scores([1.0], [1], [0], (0.8, 0.9), clusters_of(None, 1)), "a pair above 1"),
        (lambda: past_prediction([1.0], clusters_of(None, 1), [1.0, 2.0]), "got 2 covariates for 1 requests"),
        (lambda: clusters_of(["a"], 2), "got 1 clusters for 2 requests"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
