"""Figures of the server for Prometheus: GET /metrics.

Several workers share a folder, which gunicorn's master makes and names in PROMETHEUS_MULTIPROC_DIR before they start.
"""

from __future__ import annotations

import bisect
import os
import resource
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client import Counter as Total
from prometheus_client.multiprocess import MultiProcessCollector

from polyadic.serving import places
from polyadic.serving.record import Record

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
INSTANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
VARIANT = os.environ.get("MODEL_VARIANT", "")

_requests = Total("polyadic_requests", "Requests that were answered.", ("variant", "algorithm", "code"))
_seconds = Histogram(
    "polyadic_request_seconds", "From a whole request to its whole answer.", ("variant", "algorithm"), buckets=SECONDS
)
_phases = Histogram(
    "polyadic_phase_seconds",
    "What a request's time went into: decode, queue, predict (its batch, with others' instances), encode.",
    ("variant", "algorithm", "phase"),
    buckets=SECONDS,
)
_batches = Histogram(
    "polyadic_batch_instances", "Instances that were predicted together.", ("variant", "algorithm"), buckets=INSTANCES
)
_batch_seconds = Total("polyadic_batch_seconds", "Seconds of prediction.", ("variant", "algorithm"))
_under_way = Gauge(
    "polyadic_requests_under_way",
    "Requests that are read, wait or are answered.",
    ("variant",),
    multiprocess_mode="livesum",
)
_load = Gauge(
    "polyadic_model_load_seconds",
    "Loading the last model of an algorithm, and its first prediction.",
    ("variant", "algorithm"),
    multiprocess_mode="livemax",
)
_models = Gauge("polyadic_models", "Models in memory.", ("variant",), multiprocess_mode="livesum")
_memory = Gauge(
    "polyadic_resident_bytes",
    "Memory of the workers.",
    ("variant",),
    multiprocess_mode="livesum",
)


_counting = threading.Lock()
_open = set[int]()
_answered = deque[tuple[Record, int, float]](maxlen=100_000)
_predicted = deque[tuple[str, int, float]](maxlen=100_000)
"""The requests under way, and what is not counted yet: figures cost more than it takes to answer a small request."""


def begun(record: Record) -> None:
    """A request is under way."""
    _open.add(id(record))


def ended(record: Record, status: int, seconds: float) -> None:
    """A request is answered."""
    _open.discard(id(record))
    _answered.append((record, status, seconds))


def batch(algorithm: str, count: int, seconds: float) -> None:
    """A batch is predicted."""
    _predicted.append((algorithm, count, seconds))


def count_up() -> None:
    """Counts what has happened since the last time."""
    with _counting:
        counts, observed = Counter[tuple[Any, ...]](), defaultdict[tuple[Any, ...], list[float]](list)
        for record, status, seconds in _taken(_answered):
            counts[_requests, record.algorithm, str(status)] += 1
            observed[_seconds, record.algorithm].append(seconds)
            for phase, took in record.phases.items():
                observed[_phases, record.algorithm, phase].append(took)
        for algorithm, count, seconds in _taken(_predicted):
            counts[_batch_seconds, algorithm] += seconds
            observed[_batches, algorithm].append(count)
        for (figure, *labels), amount in counts.items():
            _of(figure, *labels).inc(amount)
        for (figure, *labels), values in observed.items():
            _observe(_of(figure, *labels), values)
        _of(_under_way).set(len(_open))
        _of(_memory).set(resident_bytes())


def _taken(waiting: deque[Any]) -> Iterator[Any]:
    """What waits to be counted, which is then gone."""
    for _ in range(len(waiting)):
        yield waiting.popleft()


def _observe(histogram: Any, values: Sequence[float]) -> None:
    """As `observe` of each value, but each bucket is counted once."""
    buckets = Counter(bisect.bisect_left(histogram._upper_bounds, value) for value in values)
    histogram._sum.inc(sum(values))
    for place, count in buckets.items():
        histogram._buckets[place].inc(count)


def loaded(algorithm: str, seconds: float) -> None:
    """A model is loaded."""
    _of(_load, algorithm).set(seconds)
    _of(_models).inc()
    _of(_memory).set(resident_bytes())


def unloaded() -> None:
    """A model is no longer in memory."""
    _of(_models).dec()


@lru_cache(1024)
def _of(figure: Any, *labels: str) -> Any:
    """A figure of this variant, and of such labels."""
    return figure.labels(VARIANT, *labels)


@cache
def keep_counting(seconds: float = 0.5) -> None:
    """Counts again and again, in a thread of its own, one for the process."""
    never = threading.Event()

    def count() -> None:
        while not never.wait(seconds):
            count_up()

    threading.Thread(target=count, name="figures", daemon=True).start()


def resident_bytes() -> int:
    """The memory of this process."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def text() -> tuple[bytes, str]:
    """The figures of all workers, those of others as they were half a second ago, and their content type."""
    count_up()
    registry = REGISTRY
    if places.FIGURES_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
