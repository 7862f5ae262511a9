"""Figures of the server for Prometheus: GET /metrics.

Several workers share a folder, which gunicorn's master makes and names in PROMETHEUS_MULTIPROC_DIR before they start.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from polyadic.serving import places
from polyadic.serving.record import Record

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
INSTANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
VARIANT = os.environ.get("MODEL_VARIANT", "")

_requests = Counter("polyadic_requests", "Requests that were answered.", ("variant", "algorithm", "code"))
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
_batch_seconds = Counter("polyadic_batch_seconds", "Seconds of prediction.", ("variant", "algorithm"))
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


def begun() -> None:
    """A request is under way."""
    _of(_under_way).inc()


def ended(record: Record, status: int, seconds: float) -> None:
    """A request is answered."""
    _of(_under_way).dec()
    _of(_requests, record.algorithm, str(status)).inc()
    _of(_seconds, record.algorithm).observe(seconds)
    for phase, took in record.phases.items():
        _of(_phases, record.algorithm, phase).observe(took)


def batch(algorithm: str, count: int, seconds: float) -> None:
    """A batch is predicted."""
    _of(_batches, algorithm).observe(count)
    _of(_batch_seconds, algorithm).inc(seconds)


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


def keep_memory_told(seconds: float = 2.0) -> None:
    """Tells the memory of this process again and again, in a thread of its own."""

    def tell() -> None:
        while True:
            _of(_memory).set(resident_bytes())
            time.sleep(seconds)

    threading.Thread(target=tell, name="memory", daemon=True).start()


def resident_bytes() -> int:
    """The memory of this process."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def text() -> tuple[bytes, str]:
    """The figures of all workers, and their content type."""
    registry = REGISTRY
    if places.FIGURES_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
