"""The last minute of a variant's requests: what is counted, how exactly, and that it stays small."""

from __future__ import annotations

import random

import pytest

from local_mode.front_door.runtime.faults import model_error
from local_mode.front_door.runtime.window import NO_TRAFFIC, WINDOW_SECONDS, Window


def test_quantiles_and_rates_are_those_of_the_requests() -> None:
    chance, window = random.Random(3), Window()
    latencies = [chance.lognormvariate(-4, 1) for _ in range(5_000)]
    for number, seconds in enumerate(latencies):
        window.add("e", "A", seconds, 200, 100 + number / 100)  # 100 a second for 50 seconds
    traffic = window.traffic("e", "A", 150.0)
    ordered = sorted(latencies)
    assert traffic.requests == 5_000 and traffic.per_second == pytest.approx(100, rel=0.01)
    assert traffic.p50 == pytest.approx(ordered[2_499], rel=0.023)
    assert traffic.p99 == pytest.approx(ordered[4_949], rel=0.023)


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    window = Window()
    for moment in range(1_000):
        window.add("e", "A", 0.01, 503 if moment < 900 else 404, float(moment))
    traffic = window.traffic("e", "A", 999.5)
    assert (traffic.requests, traffic.client_errors, traffic.server_errors) == (WINDOW_SECONDS, WINDOW_SECONDS, 0)
    assert traffic.per_second == pytest.approx(1.0)
    assert window.traffic("e", "A", 2_000.0) == window.traffic("e", "B") == NO_TRAFFIC


def test_its_size_does_not_grow_with_the_traffic() -> None:
    window = Window()
    for number in range(20_000):
        window.add("e", f"V{number // 100}", random.random() * 100, 200, float(number))
    assert len(window._rings) <= 2
    assert all(len(ring.seconds) <= WINDOW_SECONDS for ring in window._rings.values())


def test_a_fault_is_counted_by_its_status() -> None:
    window = Window()
    for status in (400, 500, 0):
        with pytest.raises(Exception, match="x"), window.measured("e", "A"):
            raise model_error("e", "A", status, "x")
    with window.measured("e", "A"):
        pass
    traffic = window.traffic("e", "A")
    assert (traffic.requests, traffic.client_errors, traffic.server_errors) == (4, 1, 2)
