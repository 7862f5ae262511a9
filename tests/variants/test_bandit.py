"""Thompson sampling finds what pays, credits who served, and its traffic can be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from polyadic.variants import Assignment, ThompsonSampling, VariantError, compare_split

BATCHES, BATCH = 20, 200


def run(seed: int, rates: dict[str, float]) -> tuple[ThompsonSampling, list[Assignment], list[float]]:
    """Batches of users who get a variant and reward it at once, with the chance of the variant's rate."""
    chance, sampler = np.random.default_rng(seed), ThompsonSampling(list(rates), seed)
    served, rewards = [], []
    for batch in range(BATCHES):
        shares = sampler.shares(f"batch {batch}")
        for number in range(BATCH):
            assignment = shares.assign(f"{batch}-{number}")
            reward = float(chance.random() < rates[assignment.variant])
            sampler.serve(f"{batch}-{number}", assignment)
            sampler.reward(f"{batch}-{number}", reward)
            served.append(assignment)
            rewards.append(reward)
    return sampler, served, rewards


@pytest.mark.slow
def test_traffic_moves_to_what_pays_and_never_leaves_the_others() -> None:
    _, served, _ = run(1, {"A": 0.3, "B": 0.5, "C": 0.3})
    last = [each.variant for each in served[-1000:]]
    assert last.count("B") > 800 and min(last.count("A"), last.count("C")) > 15
    assert min(min(each.propensities.values()) for each in served) == pytest.approx(0.05)


@pytest.mark.slow
def test_a_bandits_traffic_stays_comparable() -> None:
    held = 0
    for seed in range(100):
        _, served, rewards = run(seed, {"A": 0.4, "B": 0.5})
        known = {name: [each.propensities[name] for each in served] for name in "AB"}
        comparison = compare_split([-reward for reward in rewards], [each.variant for each in served], known, "A", "B")
        sequence = comparison.sequence
        held += bool(((sequence.lower <= -0.1) & (sequence.upper >= -0.1)).all())
    assert held >= 95


def test_a_reward_goes_to_who_served_and_counts_once() -> None:
    sampler = ThompsonSampling(["A", "B"])
    by_a, by_b = Assignment("u", "A", {"A": 1.0, "B": 0.0}), Assignment("u", "B", {"A": 0.0, "B": 1.0})
    sampler.serve("first", by_a)
    sampler.serve("second", by_b)
    for identity in ("first", "first", "unheard-of"):
        sampler.reward(identity, 1.0)
    sampler.serve("first", by_b)  # A client tries again.
    sampler.reward("first", np.float32(1.0))  # type: ignore[arg-type]
    assert sampler.ignored == 3 and sampler.state()["sums"] == {"A": [1, 1.0, 1.0], "B": [0.0, 0.0, 0.0]}


def test_what_has_not_come_is_no_failure() -> None:
    sampler = ThompsonSampling(["A", "B"])
    before = sampler._posterior("A")
    sampler.serve("waiting", Assignment("u", "A", {"A": 0.5, "B": 0.5}))
    assert sampler._posterior("A") == before


def test_its_state_goes_through_json() -> None:
    sampler, _, _ = run(2, {"A": 0.2, "B": 0.6})
    again = ThompsonSampling.restored(json.loads(json.dumps(sampler.state())))
    assert again.shares("next").shares == sampler.shares("next").shares and again.state() == sampler.state()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ThompsonSampling(["A"]), "two or more different names"),
        (lambda: ThompsonSampling(["A", "A"]), "two or more different names"),
        (lambda: ThompsonSampling(["A", "B"], floor=0.6), "floor: got 0.6; allowed is above 0 and at most 0.5"),
        (lambda: ThompsonSampling(["A", "B"]).reward("x", 1.5), "reward: got 1.5"),
        (lambda: ThompsonSampling(["A", "B"]).serve("x", Assignment("u", "C", {})), "no variant 'C'"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
