"""Greedy batching: in order, bounded, and one bad request harms no other."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from polyadic.serving.batching import LARGEST_BATCH, Batcher, Full


class Doubler:
    """Answers twice the instance; its first batch waits for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[int] = []

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        self.go.wait(10)
        self.batches.append(len(instances))
        if "bad" in instances:
            raise ValueError("bad")
        return [{"value": 2 * one} for one in instances]


def submitted(batcher: Batcher, instances: list[Any]) -> Future[list[dict[str, Any]]]:
    batcher.reserve()
    return batcher.submit(instances)


def test_what_waits_is_predicted_together_in_order() -> None:
    model = Doubler()
    batcher = Batcher(model, slots=10)  # type: ignore[arg-type]  # It is asked to predict alone.
    first = submitted(batcher, [1])
    others = [submitted(batcher, [number, 10 * number]) for number in range(2, 6)]
    model.go.set()
    assert first.result(5) == [{"value": 2}]
    assert [one.result(5) for one in others] == [[{"value": 2 * n}, {"value": 20 * n}] for n in range(2, 6)]
    assert sum(model.batches) == 9
    assert len(model.batches) <= 3


def test_a_full_queue_refuses_at_once_and_frees_up() -> None:
    model = Doubler()
    batcher = Batcher(model, slots=2)  # type: ignore[arg-type]  # It is asked to predict alone.
    taken = [submitted(batcher, [1]), submitted(batcher, [2])]
    with pytest.raises(Full):
        submitted(batcher, [3])
    model.go.set()
    assert [one.result(5) for one in taken] == [[{"value": 2}], [{"value": 4}]]
    for _ in range(1000):
        try:
            assert submitted(batcher, [4]).result(5) == [{"value": 8}]
            return
        except Full:
            threading.Event().wait(0.005)
    raise AssertionError("the slots were never given back")


def test_a_place_that_was_not_used_is_free_again() -> None:
    batcher = Batcher(Doubler(), slots=1)  # type: ignore[arg-type]  # It is asked to predict alone.
    for _ in range(3):
        batcher.reserve()
        with pytest.raises(Full):
            batcher.reserve()
        batcher.release()


def test_a_bad_request_fails_alone() -> None:
    model = Doubler()
    batcher = Batcher(model, slots=10)  # type: ignore[arg-type]  # It is asked to predict alone.
    works = [submitted(batcher, [one]) for one in (1, "bad", 3)]
    model.go.set()
    assert works[0].result(5) == [{"value": 2}]
    with pytest.raises(ValueError, match="bad"):
        works[1].result(5)
    assert works[2].result(5) == [{"value": 6}]


def test_batches_stay_small_but_a_large_request_goes_alone() -> None:
    model = Doubler()
    batcher = Batcher(model, slots=10)  # type: ignore[arg-type]  # It is asked to predict alone.
    works = [submitted(batcher, [1] * size) for size in (1, LARGEST_BATCH + 5, 40, 40)]
    model.go.set()
    assert [len(one.result(5)) for one in works] == [1, LARGEST_BATCH + 5, 40, 40]
    assert LARGEST_BATCH + 5 in model.batches
    assert 80 not in model.batches


def test_a_request_that_nobody_waits_for_any_more_is_not_predicted() -> None:
    model = Doubler()
    batcher = Batcher(model, slots=3)  # type: ignore[arg-type]  # It is asked to predict alone.
    first = submitted(batcher, [1])
    while batcher._waiting:
        threading.Event().wait(0.005)
    left, kept = submitted(batcher, [2, 3]), submitted(batcher, [4])
    assert left.cancel() and not first.cancel()
    model.go.set()
    assert first.result(5) == [{"value": 2}] and kept.result(5) == [{"value": 8}]
    assert model.batches == [1, 1]
    for _ in range(3):  # The place of the one that was cancelled is free again.
        assert submitted(batcher, [5]).result(5) == [{"value": 10}]
