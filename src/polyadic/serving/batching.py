"""Greedy batching: what waits is predicted together.

Who asks while nobody else does predicts at once, in its own thread. Whoever comes meanwhile waits, and the first of
them predicts for all of them next. Clients that ask again as soon as they are answered would so fall into two halves
that take turns, each in smaller batches than need be: after a long prediction the next one waits for those just
answered, for a small share of the time that it took. Bodies are parsed there too: threads that parse while another
predicts would take turns at Python's lock, thousands of times a second, and all be slower.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from polyadic.jobs.model import Weighed

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

MOST_INSTANCES = 64
"""Instances that are predicted together, of a model that does not weigh them."""
PATIENCE_SECONDS = 0.05
"""A request that has waited for longer is predicted only if its client is still there."""

LINGER_SHARE, LEAST_LINGER_SECONDS = 1 / 16, 0.0005
"""Of the last prediction's time, how much the next one waits for those it answered; and what is too short to wait."""


class Full(Exception):
    """As many requests are under way as the server takes."""


class Late(Exception):
    """A request's deadline has passed while it waited."""


class Gone(Exception):
    """A request's client has gone while it waited."""


class Slots:
    """How many requests a worker takes on together, whatever model they ask."""

    def __init__(self, count: int) -> None:
        self.count, self._free, self._lock = count, count, threading.Lock()

    def take(self) -> None:
        """Takes one; Full where there is none."""
        with self._lock:
            if not self._free:
                raise Full
            self._free -= 1

    def give(self) -> None:
        """Gives one back."""
        with self._lock:
            self._free += 1


class Work:
    """A request: how its instances are parsed, and its answers as they come.

    parse: the instances, called once, in any thread. limit: refuses instances whose answers would be too much at once.
    may_stream: whether the answers may be fetched one part after the other, where they are more than a batch takes.
    deadline: on the clock of time.monotonic. there: whether the client still is.
    parts: what is left to predict, each part with its weight; None before it is parsed. seconds: what its phases took.
    """

    def __init__(
        self,
        parse: Callable[[], list[Any]],
        limit: Callable[[list[Any]], None] = lambda instances: None,
        may_stream: bool = False,
        deadline: float = float("inf"),
        there: Callable[[], bool] = lambda: True,
    ) -> None:
        self.parse, self.limit, self.may_stream, self.deadline, self.there = parse, limit, may_stream, deadline, there
        self.parts: deque[tuple[list[Any], int]] | None = None
        self.answers: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.ready = self.streams = False
        self.instances, self.queued = 0, 0.0
        self.seconds: dict[str, float] = {}
        self.signal = threading.Lock()
        self.signal.acquire()

    def took(self, phase: str, seconds: float) -> None:
        """Counts seconds to a phase."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds


class Batcher:
    """Predicts for all threads of a worker, one of which at a time does so.

    A request of more than a batch takes is cut, so that others wait for one batch of it and not for all.
    observe: told of each batch: instances and seconds.
    """

    def __init__(self, model: Model, observe: Callable[[int, float], None] = lambda count, seconds: None):
        self.model, self._observe = model, observe
        self.weighed = model if isinstance(model, Weighed) else None
        self.most = self.weighed.most_weight if self.weighed else MOST_INSTANCES
        self._waiting: deque[Work] = deque()
        self._lock, self._led = threading.Lock(), False
        self._enough = threading.Condition(self._lock)
        self._expected, self._linger_until = 0, 0.0

    def run(self, work: Work) -> list[dict[str, Any]]:
        """The answers to a request, or to its next part where it streams.

        Raises what parsing and prediction raise, Late and Gone.
        """
        work.ready, work.queued = False, time.monotonic()
        with self._lock:
            work.signal.acquire(blocking=False)  # It may have been told what it has seen for itself.
            self._waiting.append(work)
            leads, self._led = not self._led, True
            if len(self._waiting) >= self._expected:
                self._enough.notify()
        while not work.ready:
            if leads or self._leads_after_waiting(work):
                leads = self._lead(work)
        if work.error is not None:
            raise work.error
        answers, work.answers = work.answers, []
        return answers

    def _leads_after_waiting(self, work: Work) -> bool:
        """Waits until a request is answered, or until its thread is to predict. Raises Late at its deadline."""
        if not work.signal.acquire(timeout=min(threading.TIMEOUT_MAX, max(0.0, work.deadline - time.monotonic()))):
            with self._lock:
                if not work.signal.acquire(blocking=False):  # Else it was told in the last moment.
                    if work in self._waiting:
                        self._waiting.remove(work)
                    work.error = Late()  # So that nobody queues it again, whose thread has gone.
                    raise work.error
        return not work.ready

    def _lead(self, own: Work) -> bool:
        """Predicts a batch of what waits, and tells the first of those left to go on; whether that is `own` again."""
        batch, seconds = list[Work](), 0.0
        try:
            self._linger(own)
            self._next(own, batch)
            if batch:
                seconds = self._predict(batch)
        except BaseException as error:
            for work in batch:
                work.error = work.error or error
            raise
        finally:
            with self._lock:
                for work in batch:
                    if work.parts and not work.streams and work.error is None:
                        self._waiting.append(work)
                        batch = [other for other in batch if other is not work]
                following = self._waiting[0] if self._waiting else None
                self._led = following is not None
                self._expected = len(self._waiting) + len(batch)
                self._linger_until = time.monotonic() + LINGER_SHARE * seconds
                for work in batch:
                    self._tell(work, own)
                if following is not None and following is not own:
                    following.signal.release()
        return following is own

    def _linger(self, own: Work) -> None:
        """Waits for those who were answered last, as long as that is next to nothing beside their prediction."""
        left = min(self._linger_until, own.deadline) - time.monotonic()
        if left > LEAST_LINGER_SECONDS:
            with self._lock:
                first = self._waiting[0].parts if self._waiting else None
                if not (first and first[0][1] >= self.most):  # Else the batch is full without them.
                    self._enough.wait_for(lambda: len(self._waiting) >= self._expected, left)

    def _next(self, own: Work, batch: list[Work]) -> None:
        """Adds the first requests that wait, as many as a batch takes, parsed; those that are refused are told so."""
        total = 0
        while total < self.most:
            with self._lock:
                work = self._waiting.popleft() if self._waiting else None
            if work is None:
                break
            if not self._prepare(work):
                self._tell(work, own)
                continue
            assert work.parts
            if batch and total + work.parts[0][1] > self.most:
                with self._lock:
                    if work.error is None:  # Else its deadline has passed meanwhile.
                        self._waiting.appendleft(work)
                break
            batch.append(work)
            total += work.parts[0][1]

    def _prepare(self, work: Work) -> bool:
        """Parses a request; whether there is anything to predict: nothing for who has gone, is late or is refused."""
        now = time.monotonic()
        work.took("queue", now - work.queued)
        try:
            if now > work.deadline:
                raise Late
            if now - work.queued > PATIENCE_SECONDS and not work.there():
                raise Gone
            if work.parts is None:
                instances = work.parse()
                work.instances, work.parts = len(instances), deque(self.cut(instances))
                work.streams = work.may_stream and len(work.parts) > 1
                if not work.streams:
                    work.limit(instances)
        except BaseException as error:  # Whatever it is belongs to the request, not to the thread that parses it.
            work.error = error
        work.queued = time.monotonic()
        work.took("decode", work.queued - now)
        return work.error is None and bool(work.parts)

    def cut(self, instances: list[Any]) -> Iterator[tuple[list[Any], int]]:
        """The instances of a request in parts that a batch takes, each with its weight."""
        weights = list(map(self.weighed.weight, instances)) if self.weighed else [1] * len(instances)
        first, total = 0, 0
        for number, weight in enumerate(weights):
            if total and total + weight > self.most:
                yield instances[first:number], total
                first, total = number, 0
            total += weight
        if instances:
            yield instances[first:], total

    def _predict(self, batch: list[Work]) -> float:
        """Answers the first part of each request; where that fails, of each alone. The seconds that it took."""
        instances = [instance for work in batch if work.parts for instance in work.parts[0][0]]
        began = time.monotonic()
        try:
            answers = self.model.predict(instances)
            if len(answers) != len(instances):
                raise AssertionError(f"{len(answers)} answers to {len(instances)} instances")
        except Exception as error:
            if len(batch) > 1:
                return sum(self._predict([work]) for work in batch)
            batch[0].error = error
            answers = []
        seconds, first = time.monotonic() - began, 0
        for work in batch:
            part, _ = work.parts.popleft() if work.parts else ([], 0)
            work.answers += answers[first : first + len(part)]
            work.took("queue", began - work.queued)
            work.took("predict", seconds)
            work.queued = began + seconds
            first += len(part)
        self._observe(len(instances), seconds)
        return seconds

    def _tell(self, work: Work, own: Work) -> None:
        """A request is answered, or refused."""
        work.ready = True
        if work is not own:
            work.signal.release()
