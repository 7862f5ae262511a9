"""The requests of the last minute, by endpoint and variant, in a size that no traffic makes larger."""

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic

from local_mode.front_door.runtime.faults import RuntimeFault

WINDOW_SECONDS = 60
STEPS_A_DOUBLING = 16
"""Latencies are counted in steps of a sixteenth of a doubling: a quantile is off by 2.2 % at most."""
FASTEST_SECONDS, SLOWEST_SECONDS = 1e-5, 3_600.0


@dataclass(frozen=True)
class Traffic:
    """What a variant did in the window; quantiles in seconds, None without a request."""

    requests: int
    per_second: float
    p50: float | None
    p99: float | None
    client_errors: int
    server_errors: int


NO_TRAFFIC = Traffic(0, 0.0, None, None, 0, 0)


@dataclass
class _Second:
    """The requests that ended in one second; latencies: how many fell on each step."""

    moment: int
    latencies: dict[int, int] = field(default_factory=dict)
    client_errors: int = 0
    server_errors: int = 0


@dataclass
class _Ring:
    """The last seconds of a variant in which a request ended, each at its place of a minute; began: the first ever."""

    began: float
    seconds: dict[int, _Second] = field(default_factory=dict)

    def at(self, moment: float) -> _Second:
        """The second of a moment; it takes the place of the one a minute before."""
        whole = int(moment)
        second = self.seconds.get(whole % WINDOW_SECONDS)
        if second is None or second.moment != whole:
            second = self.seconds[whole % WINDOW_SECONDS] = _Second(whole)
        return second

    def last(self, now: float) -> list[_Second]:
        """The seconds of the minute before a moment."""
        return [each for each in self.seconds.values() if each.moment > now - WINDOW_SECONDS]


class Window:
    """Counts in the event loop, a microsecond a request; is read by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: dict[tuple[str, str], _Ring] = {}

    @contextmanager
    def measured(self, endpoint: str, variant: str) -> Iterator[None]:
        """Counts what happens within the context as a request to a variant, when it has ended."""
        began, status = monotonic(), 200
        try:
            yield
        except RuntimeFault as fault:
            status = int(fault.body.get("OriginalStatusCode", fault.status))
            raise
        finally:
            ended = monotonic()
            self.add(endpoint, variant, ended - began, status, ended)

    def add(self, endpoint: str, variant: str, seconds: float, status: int, moment: float) -> None:
        """Counts a request that took so long and ended at a moment of time.monotonic."""
        key, step = (endpoint, variant), _step(seconds)
        with self._lock:
            if key not in self._rings:
                self._rings = {name: ring for name, ring in self._rings.items() if ring.last(moment)}
                self._rings[key] = _Ring(moment)
            second = self._rings[key].at(moment)
            second.latencies[step] = second.latencies.get(step, 0) + 1
            second.client_errors += 400 <= status < 500
            second.server_errors += status >= 500 or status < 200

    def traffic(self, endpoint: str, variant: str, moment: float | None = None) -> Traffic:
        """What a variant did in the minute before a moment, now by default."""
        now = monotonic() if moment is None else moment
        with self._lock:
            ring = self._rings.get((endpoint, variant))
            seconds = [replace(each, latencies=each.latencies.copy()) for each in ring.last(now)] if ring else []
        if ring is None or not seconds:
            return NO_TRAFFIC
        latencies = Counter[int]()
        for second in seconds:
            latencies.update(second.latencies)
        requests = latencies.total()
        p50, p99 = (_quantile(latencies, requests, share) for share in (0.5, 0.99))
        return Traffic(
            requests,
            requests / min(WINDOW_SECONDS, max(1.0, now - ring.began)),
            p50,
            p99,
            sum(second.client_errors for second in seconds),
            sum(second.server_errors for second in seconds),
        )


def _step(seconds: float) -> int:
    return round(STEPS_A_DOUBLING * math.log2(min(max(seconds, FASTEST_SECONDS), SLOWEST_SECONDS)))


def _quantile(latencies: Counter[int], requests: int, share: float) -> float:
    """The nearest-rank quantile."""
    rank, seen = math.ceil(share * requests), 0
    for step in sorted(latencies):
        seen += latencies[step]
        if seen >= rank:
            break
    return float(2 ** (step / STEPS_A_DOUBLING))
