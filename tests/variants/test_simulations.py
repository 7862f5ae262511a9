"""What the comparison promises, over hundreds of experiments that are looked at after every request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from polyadic.variants import Comparison, Plan, compare_pairs, compare_split
from tests.variants.experiments import Traffic, naive_z_rejects, traffic

EXPERIMENTS, REQUESTS = 400, 20_000
Flags = NDArray[np.bool_]
Design = Callable[[np.random.Generator, Traffic], Comparison]
pytestmark = pytest.mark.slow


def by_pairs(_: np.random.Generator, seen: Traffic) -> Comparison:
    return compare_pairs(seen.champion, seen.challenger)


def drawn(chance: np.random.Generator, seen: Traffic, share: float | NDArray[np.float64]) -> tuple[Flags, list[str]]:
    flags = chance.random(len(seen.champion)) < share
    return flags, np.where(flags, "B", "A").tolist()


def by_split(share: float, with_covariate: bool) -> Design:
    def design(chance: np.random.Generator, seen: Traffic) -> Comparison:
        flags, names = drawn(chance, seen, share)
        return compare_split(
            np.where(flags, seen.challenger, seen.champion), names, {"A": 1 - share, "B": share}, "A", "B",
            covariate=seen.naive if with_covariate else None,
        )  # fmt: skip

    return design


DESIGNS = {
    "pairs": by_pairs,
    "split": by_split(0.5, False),
    "split with covariate": by_split(0.5, True),
    "one tenth": by_split(0.1, False),
    "one tenth with covariate": by_split(0.1, True),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_of_equal_models_looking_always_finds_a_winner_at_most_five_times_in_a_hundred(name: str) -> None:
    claims = naive_claims = 0
    for seed in range(EXPERIMENTS):
        chance = np.random.default_rng((15, seed))
        seen = traffic(chance, REQUESTS)
        sequence = DESIGNS[name](chance, seen).sequence
        claims += sequence.excludes(0.0) is not None
        naive_claims += naive_z_rejects(np.diff(sequence.estimate * np.arange(1, len(sequence) + 1), prepend=0.0))
    assert claims <= 0.05 * EXPERIMENTS < 0.30 * EXPERIMENTS < naive_claims, (claims, naive_claims)


@pytest.mark.parametrize(("name", "most"), [("pairs", 1000), ("split with covariate", 3000)])
def test_a_model_that_is_a_twentieth_better_is_found_soon(name: str, most: int) -> None:
    found: list[float] = []
    for seed in range(200):
        chance = np.random.default_rng((16, seed))
        comparison = DESIGNS[name](chance, traffic(chance, REQUESTS, better=0.05))
        found.append(comparison.sequence.excludes(0.0) or np.inf)
        assert comparison.sequence.estimate[-1] < 0
    assert np.median(found) < most, np.median(found)


def covered(sequence_of: Callable[[np.random.Generator], tuple[Comparison, NDArray[np.float64] | float]]) -> float:
    """The share of experiments in which the interval held the truth at every look."""
    held = 0
    for seed in range(EXPERIMENTS):
        comparison, truth = sequence_of(np.random.default_rng((17, seed)))
        sequence = comparison.sequence
        held += bool(((sequence.lower <= truth) & (truth <= sequence.upper)).all())
    return held / EXPERIMENTS


def test_the_interval_holds_under_heavy_tails() -> None:
    def experiment(chance: np.random.Generator) -> tuple[Comparison, float]:
        return compare_pairs(chance.standard_t(3, 5000), chance.standard_t(3, 5000) + 0.3), 0.3

    assert covered(experiment) >= 0.95


def test_the_interval_follows_a_difference_that_drifts() -> None:
    drift = np.linspace(-0.5, 1.0, 5000)
    so_far = np.cumsum(drift) / np.arange(1, 5001)

    def experiment(chance: np.random.Generator) -> tuple[Comparison, NDArray[np.float64]]:
        losses = np.exp(chance.standard_normal(5000))
        return compare_pairs(losses, losses + drift + chance.standard_normal(5000)), so_far

    assert covered(experiment) >= 0.95


def test_a_split_whose_share_rises_is_still_right() -> None:
    share = np.repeat([0.05, 0.25, 0.5, 0.9], 2000)

    def experiment(chance: np.random.Generator) -> tuple[Comparison, float]:
        hour = np.repeat([0.0, 1.0, 2.0, 3.0], 2000)  # Later requests are harder, and more of them go to B.
        champion = np.exp(0.5 * chance.standard_normal(8000)) + hour
        seen = Traffic(champion, champion, champion)
        flags, names = drawn(chance, seen, share)
        losses = np.where(flags, champion + 0.1, champion)
        return compare_split(losses, names, {"A": 1 - share, "B": share}, "A", "B"), 0.1

    assert covered(experiment) >= 0.95


def clustered(chance: np.random.Generator, clusters: int, each: int) -> tuple[NDArray[np.float64], list[int]]:
    """Differences of hourly requests: those of one series on one day have most of it in common."""
    common = np.repeat(chance.standard_normal(clusters), each)
    return common + 0.3 * chance.standard_normal(clusters * each), np.repeat(np.arange(clusters), each).tolist()


def test_requests_of_one_series_on_one_day_are_one_fact() -> None:
    def experiment(chance: np.random.Generator, known: bool) -> tuple[Comparison, float]:
        differences, labels = clustered(chance, 600, 24)
        return compare_pairs(np.zeros_like(differences), differences, clusters=labels if known else None), 0.0

    assert covered(lambda chance: experiment(chance, known=True)) >= 0.95
    assert covered(lambda chance: experiment(chance, known=False)) < 0.7


def test_users_who_keep_their_variant_are_the_clusters_of_a_split() -> None:
    def experiment(chance: np.random.Generator, known: bool) -> tuple[Comparison, float]:
        users, visits = 1000, 12
        user = chance.permutation(np.repeat(np.arange(users), visits))
        flags = (chance.random(users) < 0.5)[user]
        losses = np.exp(chance.standard_normal(users))[user] * np.exp(0.2 * chance.standard_normal(len(user)))
        names = np.where(flags, "B", "A").tolist()
        labels = user.tolist() if known else None
        return compare_split(losses, names, {"A": 0.5, "B": 0.5}, "A", "B", clusters=labels), 0.0

    assert covered(lambda chance: experiment(chance, known=True)) >= 0.95
    assert covered(lambda chance: experiment(chance, known=False)) < 0.9


def test_actuals_that_come_late_move_no_interval_off_the_truth() -> None:
    """Looks in the middle of arrivals: of each cluster only some requests have their actual yet."""
    held = 0
    for seed in range(EXPERIMENTS):
        chance = np.random.default_rng((18, seed))
        differences, labels = clustered(chance, 500, 6)
        arrival = np.arange(len(differences)) + chance.exponential(400, len(differences))
        low, high = -np.inf, np.inf
        for now in range(300, len(differences) + 2000, 100):
            known = np.flatnonzero(arrival <= now)
            seen = [labels[place] for place in known]
            lower, upper = compare_pairs(np.zeros(len(known)), differences[known], clusters=seen).interval
            low, high = max(low, lower), min(high, upper)
        held += low <= 0.0 <= high
    assert held >= 0.95 * EXPERIMENTS


def test_several_challengers_keep_the_level_of_the_family() -> None:
    claims = 0
    for seed in range(EXPERIMENTS):
        chance = np.random.default_rng((19, seed))
        champion = np.exp(chance.standard_normal(5000))
        plan = Plan(tests=5)
        others = [champion * np.exp(0.2 * chance.standard_normal(5000) - 0.02) for _ in range(5)]
        claims += any(compare_pairs(champion, each, plan).sequence.excludes(0.0) for each in others)
    assert claims <= 0.05 * EXPERIMENTS
