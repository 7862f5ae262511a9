"""Greedy batching: what waits is predicted together, and nothing ever waits on purpose."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polyadic.jobs.model import Weighed

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

MOST_INSTANCES = 64
"""Instances that are predicted together, of a model that does not weigh them."""
PATIENCE_SECONDS = 0.05
"""A request that has waited for longer is predicted only if its client is still there."""


@dataclass
class Work:
    """Parsed instances that are predicted together, and their answers to come."""

    instances: list[Any]
    weight: int
    there: Callable[[], bool]
    answer: Future[list[dict[str, Any]]] = field(default_factory=Future)
    queued: float = field(default_factory=time.monotonic)
    waited: float = 0.0

    def taken(self) -> bool:
        """Whether it is to be predicted: neither its deadline has passed nor has its client gone while it waited."""
        self.waited = time.monotonic() - self.queued
        if self.waited > PATIENCE_SECONDS and not self.there():
            self.answer.cancel()
        return self.answer.set_running_or_notify_cancel()


class Full(Exception):
    """As many requests are under way as the server takes."""


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


class Batcher:
    """A thread that predicts, and a queue before it, which is as long as there are slots.

    A deliberate wait for a fuller batch would slow a lone client down: docs/decisions.md. The instances of a request
    that are more than a batch takes are cut, so that others wait for one batch of them and not for all.
    observe: told of each batch: instances and seconds.
    """

    def __init__(self, model: Model, observe: Callable[[int, float], None] = lambda count, seconds: None):
        self.model, self._observe = model, observe
        self._weighed = model if isinstance(model, Weighed) else None
        self.most = self._weighed.most_weight if self._weighed else MOST_INSTANCES
        self._waiting: deque[Work] = deque()
        self._arrival = threading.Condition()
        self._closed = self._predicting = False
        self._thread = threading.Thread(target=self._serve, name="predict", daemon=True)
        self._thread.start()

    def close(self, seconds: float | None = None) -> bool:
        """Ends the thread, which no request may need any more; whether it has ended in time."""
        with self._arrival:
            self._closed = True
            self._arrival.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def busy(self) -> bool:
        """Whether something is being predicted, or waits, though its request may have been given up."""
        return self._predicting or bool(self._waiting)

    def cut(self, instances: list[Any]) -> Iterator[tuple[list[Any], int]]:
        """The instances of a request in parts that a batch takes, each with its weight."""
        part, total = list[Any](), 0
        for instance in instances:
            weight = self._weighed.weight(instance) if self._weighed else 1
            if part and total + weight > self.most:
                yield part, total
                part, total = [], 0
            part.append(instance)
            total += weight
        if part:
            yield part, total

    def submit(self, instances: list[Any], weight: int, there: Callable[[], bool] = lambda: True) -> Work:
        """Queues a part of a request.

        An answer that nobody waits for any more may be cancelled: what has not begun is then never predicted. there:
        whether the client still is, asked of what had to wait; the answer is cancelled where it is not.
        """
        work = Work(instances, weight, there)
        with self._arrival:
            self._waiting.append(work)
            self._arrival.notify_all()
        return work

    def _serve(self) -> None:
        while batch := self._next():
            wanted = [work for work in batch if work.taken()]
            if wanted:
                self._predict(wanted)
            self._predicting = False

    def _next(self) -> list[Work]:
        """The first work that waits, and what is behind it as far as a batch takes it; nothing once this is closed."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._waiting or self._closed)
            batch, total = list[Work](), 0
            while self._waiting and (not batch or total + self._waiting[0].weight <= self.most):
                batch.append(self._waiting.popleft())
                total += batch[-1].weight
            self._predicting = bool(batch)
            return batch

    def _predict(self, batch: list[Work]) -> None:
        instances, began = [instance for work in batch for instance in work.instances], time.monotonic()
        try:
            answers = self.model.predict(instances)
            if len(answers) != len(instances):
                raise AssertionError(f"{len(answers)} answers to {len(instances)} instances")
        except Exception as error:  # Whatever it is belongs to the requests, not to this thread.
            if len(batch) > 1:
                for work in batch:
                    self._predict([work])
                return
            batch[0].answer.set_exception(error)
        else:
            first = 0
            for work in batch:
                work.answer.set_result(answers[first : first + len(work.instances)])
                first += len(work.instances)
        self._observe(len(instances), time.monotonic() - began)
