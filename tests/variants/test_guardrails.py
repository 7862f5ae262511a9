"""Guard-rails ring for what is worse, and hardly ever for what is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polyadic.variants import VariantError, guardrails


def test_more_errors_ring() -> None:
    rung = guardrails.errors((2, 5000), (60, 5000))
    assert rung.violated and rung.champion == 0.0004 and rung.challenger == 0.012
    assert not guardrails.errors((2, 5000), (4, 5000)).violated
    assert not guardrails.errors((2, 5000), (60, 5000), tolerance=0.02).violated
    assert math.isnan(guardrails.errors((0, 0), (0, 0)).champion)


def test_slow_answers_ring() -> None:
    chance = np.random.default_rng(0)
    quick, slow = chance.exponential(0.01, 5000), chance.exponential(0.02, 5000)
    rung = guardrails.latency(quick, slow)
    assert rung.name == "p99" and rung.violated and not guardrails.latency(slow, quick).violated
    assert guardrails.latency(quick, slow, limit=0.05).violated
    assert not guardrails.latency(quick, slow, limit=0.2).violated
    with pytest.raises(VariantError, match="not a number"):
        guardrails.latency([1.0, math.nan], [1.0])
    assert not guardrails.latency([], []).violated and math.isnan(guardrails.latency([], []).champion)


@pytest.mark.slow
def test_equal_variants_ring_at_most_once_in_a_hundred_however_often_one_looks() -> None:
    rung = 0
    for seed in range(400):
        chance = np.random.default_rng((20, seed))
        seconds = chance.exponential(0.01, (2, 4000))
        failed = chance.random((2, 4000)) < 0.01
        for n in range(100, 4001, 300):
            slow = guardrails.latency(seconds[0, :n], seconds[1, :n], tolerance=0.0)
            wrong = guardrails.errors((int(failed[0, :n].sum()), n), (int(failed[1, :n].sum()), n))
            if slow.violated or wrong.violated:
                rung += 1
                break
    assert rung <= 8  # Two guard-rails at 0.01 each.
