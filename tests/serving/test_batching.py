"""Greedy batching: in order, bounded, and one bad request harms no other."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from polyadic.serving.batching import MOST_INSTANCES, PATIENCE_SECONDS, Batcher, Full, Slots


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
    return batcher.submit(instances, len(instances)).answer


def doubling(model: Doubler) -> Batcher:
    return Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.


def test_what_waits_is_predicted_together_in_order() -> None:
    model = Doubler()
    batcher = doubling(model)
    first = submitted(batcher, [1])
    others = [submitted(batcher, [number, 10 * number]) for number in range(2, 6)]
    model.go.set()
    assert first.result(5) == [{"value": 2}]
    assert [one.result(5) for one in others] == [[{"value": 2 * n}, {"value": 20 * n}] for n in range(2, 6)]
    assert sum(model.batches) == 9
    assert len(model.batches) <= 3


def test_slots_are_refused_where_all_are_taken_and_free_again() -> None:
    slots = Slots(2)
    slots.take()
    slots.take()
    with pytest.raises(Full):
        slots.take()
    slots.give()
    slots.take()


def test_a_bad_request_fails_alone() -> None:
    model = Doubler()
    batcher = doubling(model)
    works = [submitted(batcher, [one]) for one in (1, "bad", 3)]
    model.go.set()
    assert works[0].result(5) == [{"value": 2}]
    with pytest.raises(ValueError, match="bad"):
        works[1].result(5)
    assert works[2].result(5) == [{"value": 6}]


def test_requests_are_merged_up_to_what_a_batch_takes() -> None:
    model = Doubler()
    batcher = doubling(model)
    works = [submitted(batcher, [1])]
    while batcher._waiting:
        threading.Event().wait(0.005)
    works += [submitted(batcher, [1] * size) for size in (40, 24, 40, 25)]
    model.go.set()
    assert [len(one.result(5)) for one in works] == [1, 40, 24, 40, 25]
    assert model.batches == [1, 64, 40, 25]


def test_the_instances_of_a_request_are_cut_by_their_number_or_by_their_weight() -> None:
    batcher = doubling(Doubler())
    assert [(len(part), weight) for part, weight in batcher.cut(list(range(2 * MOST_INSTANCES + 5)))] == [
        (MOST_INSTANCES, MOST_INSTANCES),
        (MOST_INSTANCES, MOST_INSTANCES),
        (5, 5),
    ]
    assert list(batcher.cut([])) == []

    class Heavy(Doubler):
        most_weight = 10

        def weight(self, query: int) -> int:
            return query

        def numbers(self, query: int) -> int:
            return 1

    heavy = doubling(Heavy())
    assert list(heavy.cut([4, 4, 4, 30, 1, 9, 1])) == [([4, 4], 8), ([4], 4), ([30], 30), ([1, 9], 10), ([1], 1)]
    assert heavy.most == 10


@pytest.mark.parametrize("there", [True, False])
def test_what_had_to_wait_is_predicted_only_for_a_client_that_is_still_there(there: bool) -> None:
    model = Doubler()
    batcher = doubling(model)
    first = batcher.submit([1], 1, lambda: False).answer  # Nobody asks for what did not have to wait.
    while batcher._waiting:
        threading.Event().wait(0.005)
    second = batcher.submit([2], 1, lambda: there).answer
    threading.Event().wait(2 * PATIENCE_SECONDS)
    model.go.set()
    assert first.result(5) == [{"value": 2}]
    if there:
        assert second.result(5) == [{"value": 4}]
    else:
        with pytest.raises(CancelledError):
            second.result(5)
        assert submitted(batcher, [3]).result(5) == [{"value": 6}]
        assert model.batches == [1, 1]


def test_a_model_that_answers_too_little_fails_and_the_next_request_is_answered() -> None:
    class Forgetful(Doubler):
        def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
            return super().predict(instances)[:2]

    model = Forgetful()
    batcher = doubling(model)
    wrong = submitted(batcher, [1, 2, 3])
    model.go.set()
    with pytest.raises(AssertionError, match="2 answers to 3 instances"):
        wrong.result(5)
    assert submitted(batcher, [4]).result(5) == [{"value": 8}]


def test_a_batcher_that_is_closed_has_no_thread() -> None:
    batcher = doubling(Doubler())
    batcher.close()
    assert not batcher._thread.is_alive()


def test_a_request_that_nobody_waits_for_any_more_is_not_predicted() -> None:
    model = Doubler()
    batcher = doubling(model)
    first = submitted(batcher, [1])
    while batcher._waiting:
        threading.Event().wait(0.005)
    left, kept = submitted(batcher, [2, 3]), submitted(batcher, [4])
    assert left.cancel() and not first.cancel()
    model.go.set()
    assert first.result(5) == [{"value": 2}] and kept.result(5) == [{"value": 8}]
    assert model.batches == [1, 1]
