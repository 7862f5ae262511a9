"""Greedy batching: what waits is predicted together, and nothing ever waits on purpose."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

LARGEST_BATCH = 64
"""Instances that are predicted together, unless one request has more."""


@dataclass
class Work:
    """The parsed instances of a request, and its answer to come."""

    instances: list[Any]
    answer: Future[list[dict[str, Any]]] = field(default_factory=Future)


class Full(Exception):
    """As many requests are under way as the queue takes."""


class Batcher:
    """A thread that predicts, and a bounded queue before it.

    A deliberate wait for a fuller batch would slow a lone client down: docs/decisions.md.
    """

    def __init__(self, model: Model, slots: int) -> None:
        self.model, self.slots = model, slots
        self._waiting: deque[Work] = deque()
        self._arrival = threading.Condition()
        self._taken = 0
        threading.Thread(target=self._serve, name="predict", daemon=True).start()

    def reserve(self) -> None:
        """Takes a place for a request that is still to be read; Full where `slots` requests are under way."""
        with self._arrival:
            if self._taken >= self.slots:
                raise Full
            self._taken += 1

    def release(self) -> None:
        """Gives back the place of a request that was not submitted."""
        with self._arrival:
            self._taken -= 1

    def submit(self, instances: list[Any]) -> Future[list[dict[str, Any]]]:
        """Queues a request that has a place, which is free again once it is predicted.

        An answer that nobody waits for any more may be cancelled: a request that has not begun is then never predicted.
        """
        work = Work(instances)
        with self._arrival:
            self._waiting.append(work)
            self._arrival.notify()
        return work.answer

    def _serve(self) -> None:
        while True:
            batch = self._next()
            wanted = [work for work in batch if work.answer.set_running_or_notify_cancel()]
            if wanted:
                self._predict(wanted)
            with self._arrival:
                self._taken -= len(batch)

    def _next(self) -> list[Work]:
        """The first request that waits, and those behind it while the batch stays small."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._waiting)
            batch: list[Work] = []
            size = 0
            while self._waiting and (not batch or size + len(self._waiting[0].instances) <= LARGEST_BATCH):
                batch.append(self._waiting.popleft())
                size += len(batch[-1].instances)
            return batch

    def _predict(self, batch: list[Work]) -> None:
        try:
            answers = iter(self.model.predict([instance for work in batch for instance in work.instances]))
            for work in batch:
                work.answer.set_result([next(answers) for _ in work.instances])
        except Exception as error:  # Whatever it is belongs to the requests, not to this thread.
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
            else:
                for work in batch:
                    self._predict([work])
