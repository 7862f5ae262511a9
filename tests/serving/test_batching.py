"""Greedy batching: in order, bounded, one thread at a time, and one bad request harms no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.serving.batching import (
    LINGER_SHARE,
    MOST_INSTANCES,
    PATIENCE_SECONDS,
    Batcher,
    Full,
    Gone,
    Late,
    Slots,
    Work,
)

Answers = list[dict[str, Any]]


class Doubler:
    """Answers twice the instance; its batches wait for `go`."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.batches: list[int] = []
        self.at_once = threading.Lock()

    def predict(self, instances: list[Any]) -> Answers:
        assert self.at_once.acquire(blocking=False), "two threads predict"
        self.begun.set()
        self.go.wait(10)
        self.batches.append(len(instances))
        self.at_once.release()
        if "bad" in instances:
            raise ValueError("bad")
        return [{"value": 2 * one} for one in instances]


class Asking:
    """Threads that ask a batcher, one request each."""

    def __init__(self, model: Any) -> None:
        self.model, self.batcher, self.pool = model, Batcher(model), ThreadPoolExecutor(40)
        self.first = True

    def ask(self, instances: list[Any], **given: Any) -> Future[Answers]:
        """A request that is under way, or waits behind those before it."""
        return self.run(Work(lambda: instances, **given))

    def run(self, work: Work) -> Future[Answers]:
        future = self.pool.submit(self.batcher.run, work)
        if self.first:
            self.first = False
            assert self.model.begun.wait(5)
        elif not self.model.go.is_set():
            until(lambda: work in self.batcher._waiting or future.done())
        return future


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def values(*numbers: int) -> Answers:
    return [{"value": 2 * number} for number in numbers]


def test_what_waits_is_predicted_together_in_order() -> None:
    model = Doubler()
    asking = Asking(model)
    first = asking.ask([1])
    others = [asking.ask([number, 10 * number]) for number in range(2, 6)]
    model.go.set()
    assert first.result(5) == values(1)
    assert [one.result(5) for one in others] == [values(n, 10 * n) for n in range(2, 6)]
    assert model.batches == [1, 8]


def test_who_is_alone_predicts_in_his_own_thread() -> None:
    threads = list[str]()

    class Where(Doubler):
        def predict(self, instances: list[Any]) -> Answers:
            threads.append(threading.current_thread().name)
            return super().predict(instances)

    model = Where()
    model.go.set()
    batcher = Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.
    assert batcher.run(Work(lambda: [4])) == values(4)
    assert threads == [threading.current_thread().name]
    assert not batcher._led


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
    asking = Asking(model)
    works = [asking.ask([one]) for one in (1, 2, "bad", 3)]
    model.go.set()
    assert works[0].result(5) == values(1)
    assert works[1].result(5) == values(2)
    with pytest.raises(ValueError, match="bad"):
        works[2].result(5)
    assert works[3].result(5) == values(3)
    assert model.batches == [1, 3, 1, 1, 1]


def test_a_request_that_does_not_parse_fails_alone() -> None:
    model = Doubler()
    asking = Asking(model)

    def broken() -> list[Any]:
        raise ValueError("no instance")

    first, wrong, right = asking.ask([1]), asking.run(Work(broken)), asking.ask([2])
    model.go.set()
    assert first.result(5) == values(1) and right.result(5) == values(2)
    with pytest.raises(ValueError, match="no instance"):
        wrong.result(5)


def test_requests_are_merged_up_to_what_a_batch_takes() -> None:
    model = Doubler()
    asking = Asking(model)
    works = [asking.ask([1] * size) for size in (1, 40, 24, 40, 25)]
    model.go.set()
    assert [len(one.result(5)) for one in works] == [1, 40, 24, 40, 25]
    assert model.batches == [1, 64, 40, 25]


def test_a_large_request_is_cut_and_others_go_between_its_parts() -> None:
    model = Doubler()
    asking = Asking(model)
    first = asking.ask([1])
    large = asking.ask(list(range(3 * MOST_INSTANCES + 5)))
    small = asking.ask([7])
    model.go.set()
    assert first.result(5) == values(1)
    assert large.result(5) == values(*range(3 * MOST_INSTANCES + 5))
    assert small.result(5) == values(7)
    assert model.batches[:3] == [1, 64, 1]
    assert sum(model.batches) == 1 + 3 * MOST_INSTANCES + 5 + 1
    assert max(model.batches) <= MOST_INSTANCES


def test_a_request_that_streams_is_answered_part_by_part() -> None:
    model = Doubler()
    model.go.set()
    batcher = Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.
    work = Work(lambda: list(range(MOST_INSTANCES + 3)), may_stream=True)
    assert batcher.run(work) == values(*range(MOST_INSTANCES))
    assert work.parts and not batcher._led
    assert batcher.run(work) == values(*range(MOST_INSTANCES, MOST_INSTANCES + 3))
    assert not work.parts
    short = Work(lambda: [1], may_stream=True)
    assert batcher.run(short) == values(1) and not short.parts


class Heavy(Doubler):
    """A model of which an instance weighs what it is."""

    most_weight = 10

    def weight(self, query: int) -> int:
        return query

    def numbers(self, query: int) -> int:
        return 1


def test_the_instances_of_a_request_are_cut_by_their_number_or_by_their_weight() -> None:
    batcher = Batcher(Doubler())  # type: ignore[arg-type]  # It is asked to predict alone.
    sizes = [(len(part), weight) for part, weight in batcher.cut(list(range(2 * MOST_INSTANCES + 5)))]
    assert sizes == [(MOST_INSTANCES, MOST_INSTANCES), (MOST_INSTANCES, MOST_INSTANCES), (5, 5)]
    assert list(batcher.cut([])) == []
    heavy = Batcher(Heavy())  # type: ignore[arg-type]  # It is asked to predict alone.
    assert list(heavy.cut([4, 4, 4, 30, 1, 9, 1])) == [([4, 4], 8), ([4], 4), ([30], 30), ([1, 9], 10), ([1], 1)]


@given(st.lists(st.integers(1, 15)))
def test_parts_are_the_instances_and_none_is_too_heavy_unless_it_is_one(weights: list[int]) -> None:
    parts = list(Batcher(Heavy()).cut(weights))  # type: ignore[arg-type]  # It is asked to predict alone.
    assert [one for part, _ in parts for one in part] == weights
    assert all(sum(part) == weight and (weight <= 10 or len(part) == 1) for part, weight in parts)


@pytest.mark.parametrize("there", [True, False])
def test_what_had_to_wait_is_predicted_only_for_a_client_that_is_still_there(there: bool) -> None:
    model = Doubler()
    asking = Asking(model)
    first = asking.ask([1], there=lambda: False)  # Nobody asks for what did not have to wait.
    second = asking.ask([2], there=lambda: there)
    time.sleep(2 * PATIENCE_SECONDS)
    model.go.set()
    assert first.result(5) == values(1)
    if there:
        assert second.result(5) == values(2)
    else:
        with pytest.raises(Gone):
            second.result(5)
        assert asking.ask([3]).result(5) == values(3)
        assert model.batches == [1, 1]


def test_a_request_past_its_deadline_is_not_predicted() -> None:
    model = Doubler()
    asking = Asking(model)
    first = asking.ask([1])
    late = asking.ask([2, 3], deadline=time.monotonic() + 0.05)
    kept = asking.ask([4])
    with pytest.raises(Late):
        late.result(5)
    model.go.set()
    assert first.result(5) == values(1) and kept.result(5) == values(4)
    assert model.batches == [1, 1]
    with pytest.raises(Late):
        asking.ask([5], deadline=time.monotonic() - 1).result(5)
    assert not asking.batcher._led


def test_a_model_that_answers_too_little_fails_and_the_next_request_is_answered() -> None:
    class Forgetful(Doubler):
        def predict(self, instances: list[Any]) -> Answers:
            return super().predict(instances)[:2]

    model = Forgetful()
    model.go.set()
    batcher = Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.
    with pytest.raises(AssertionError, match="2 answers to 3 instances"):
        batcher.run(Work(lambda: [1, 2, 3]))
    assert batcher.run(Work(lambda: [4])) == values(4)


def test_phases_are_measured_and_batches_are_told() -> None:
    model, told = Doubler(), list[tuple[int, float]]()
    asking = Asking(model)
    asking.batcher = Batcher(model, lambda count, seconds: told.append((count, seconds)))  # type: ignore[arg-type]
    first = Work(lambda: [1, 2])
    second = Work(lambda: [3])
    answers = [asking.run(first), asking.run(second)]
    time.sleep(0.05)
    model.go.set()
    assert [each.result(5) for each in answers] == [values(1, 2), values(3)]
    assert [count for count, _ in told] == [2, 1]
    assert first.seconds["predict"] >= 0.05 and first.seconds["queue"] < 0.05 <= second.seconds["queue"]
    assert (first.instances, second.instances) == (2, 1)


def test_nobody_is_forgotten_whoever_comes_and_goes() -> None:
    class Quick(Doubler):
        def predict(self, instances: list[Any]) -> Answers:
            time.sleep(0.0002 * (len(instances) % 3))
            return super().predict(instances)

    model = Quick()
    model.go.set()
    batcher = Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.

    def ask(number: int) -> str:
        instances: list[Any] = ["bad"] if number % 17 == 0 else [number] * (1 + number % 90)
        seconds = 0.001 if number % 11 == 0 else 10.0
        try:
            answers = batcher.run(Work(lambda: instances, deadline=time.monotonic() + seconds))
        except Late:
            return "late"
        except ValueError:
            return "bad"
        assert answers == values(*instances)
        return "right"

    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(ask, range(1, 1500)))
    assert {"right", "bad"} <= set(results) and results.count("right") > 1200
    assert not batcher._led and not batcher._waiting


def answered_after(model: Doubler, asking: Asking) -> None:
    """The batcher answers who comes next, and nobody leads for ever."""
    model.go.set()
    assert asking.ask([9]).result(5) == values(9)
    until(lambda: not asking.batcher._led)
    assert not asking.batcher._waiting


def test_a_long_request_whose_deadline_passes_while_a_part_of_it_is_predicted_is_dropped() -> None:
    model = Doubler()
    asking = Asking(model)
    first = asking.ask([1])

    def broken() -> list[Any]:
        raise ValueError("no instance")

    leader = asking.run(Work(broken))  # It leads next, is refused itself, and goes on with the long one.
    long = asking.ask([1] * (2 * MOST_INSTANCES), deadline=time.monotonic() + 0.3)
    model.begun.clear()
    gate, model.go = model.go, threading.Event()
    gate.set()
    assert first.result(5) == values(1)
    assert model.begun.wait(5)
    with pytest.raises(Late):
        long.result(5)
    model.go.set()
    with pytest.raises(ValueError, match="no instance"):
        leader.result(5)
    answered_after(model, asking)


def test_a_request_whose_deadline_passes_while_it_is_parsed_is_not_queued_again() -> None:
    model = Doubler()
    asking = Asking(model)
    first, parsing, go_on = asking.ask([1]), threading.Event(), threading.Event()

    def slowly() -> list[Any]:
        parsing.set()
        go_on.wait(10)
        return [2] * MOST_INSTANCES

    second = asking.ask([1])
    late = asking.run(Work(slowly, deadline=time.monotonic() + 0.3))
    model.go.set()
    assert first.result(5) == values(1) and parsing.wait(5)
    with pytest.raises(Late):
        late.result(5)
    go_on.set()
    assert second.result(5) == values(1)
    answered_after(model, asking)


def test_whatever_is_raised_the_next_request_is_answered() -> None:
    class Panic(BaseException):
        pass

    class Panicking(Doubler):
        def predict(self, instances: list[Any]) -> Answers:
            if "panic" in instances:
                raise Panic
            return super().predict(instances)

    model = Panicking()
    asking = Asking(model)
    first = asking.ask([1])
    panics = asking.ask(["panic"] * (MOST_INSTANCES + 1))
    beside = asking.ask([3])

    def parse_panics() -> list[Any]:
        raise Panic

    unparsed = asking.run(Work(parse_panics))
    model.go.set()
    assert first.result(5) == values(1)
    for failing in (panics, unparsed):
        with pytest.raises(Panic):
            failing.result(5)
    assert beside.result(5) == values(3)
    answered_after(model, asking)


def test_a_word_that_was_not_heard_does_not_make_a_second_leader() -> None:
    model = Doubler()
    model.go.set()
    batcher = Batcher(model)  # type: ignore[arg-type]  # It is asked to predict alone.
    work = Work(lambda: [1] * (MOST_INSTANCES + 1), may_stream=True)
    batcher.run(work)
    work.signal.release()  # As if another thread had told it in the same moment.
    with ThreadPoolExecutor(1) as pool:
        model.go.clear()
        model.begun.clear()
        other = pool.submit(batcher.run, Work(lambda: [5]))
        assert model.begun.wait(5)
        threading.Timer(0.1, model.go.set).start()
        assert batcher.run(work) == values(1)  # Doubler sees that nobody predicts beside another.
        assert other.result(5) == values(5)


class Slow:
    """A model that takes a while, however many it is asked; it tells how many each time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.batches = seconds, list[int]()

    def predict(self, instances: list[Any]) -> Answers:
        self.batches.append(len(instances))
        time.sleep(self.seconds)
        return [{} for _ in instances]


def test_clients_that_ask_again_at_once_stay_together() -> None:
    model, rounds = Slow(0.16), 6
    batcher = Batcher(model)  # type: ignore[arg-type]

    def client() -> None:
        for _ in range(rounds):
            batcher.run(Work(lambda: [1]))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(client) for _ in range(4)]:
            future.result(30)
    assert sum(model.batches) == 4 * rounds
    assert len(model.batches) <= rounds + 3, "two halves take turns"


def test_who_is_alone_waits_for_nobody_and_who_has_left_is_waited_for_but_a_little() -> None:
    model = Slow(0.3)
    batcher = Batcher(model)  # type: ignore[arg-type]

    def asked() -> float:
        began = time.monotonic()
        batcher.run(Work(lambda: [1]))
        return time.monotonic() - began

    asked()
    assert min(asked() for _ in range(3)) < 0.3 + 0.3 * LINGER_SHARE / 2
    batcher._expected = 5
    assert asked() > 0.3 + 0.3 * LINGER_SHARE / 2
    assert min(asked() for _ in range(3)) < 0.3 + 0.3 * LINGER_SHARE / 2
