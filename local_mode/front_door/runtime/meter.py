"""How many requests each variant got, how long its containers took, and how many errors there were."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from local_mode.front_door.runtime.faults import RuntimeFault
from local_mode.front_door.services.cloudwatch import ENDPOINTS, CloudWatch

FLUSH_SECONDS = 10.0
MICROSECONDS = 1e6


@dataclass
class _Count:
    """Of one variant, since the last flush; latencies in microseconds."""

    latencies: list[float] = field(default_factory=list)
    client_errors: int = 0
    server_errors: int = 0


class Meter:
    """Counts in the event loop, and tells CloudWatch every few seconds."""

    def __init__(self, cloudwatch: CloudWatch, pool: ThreadPoolExecutor) -> None:
        self._cloudwatch, self._pool = cloudwatch, pool
        self._counts: dict[tuple[str, str], _Count] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begins to tell."""
        self._task = asyncio.create_task(self._flush_again())

    async def close(self) -> None:
        """Tells what is left."""
        if self._task is not None:
            self._task.cancel()
        self._flush()

    @asynccontextmanager
    async def measured(self, endpoint: str, variant: str) -> AsyncIterator[None]:
        """Counts what happens within the context as a request to a variant."""
        began, count = monotonic(), self._counts.setdefault((endpoint, variant), _Count())
        try:
            yield
        except RuntimeFault as fault:
            status = int(fault.body.get("OriginalStatusCode", fault.status))
            if 400 <= status < 500:
                count.client_errors += 1
            else:
                count.server_errors += 1
            raise
        finally:
            count.latencies.append((monotonic() - began) * MICROSECONDS)

    async def _flush_again(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.get_running_loop().run_in_executor(self._pool, self._flush)

    def _flush(self) -> None:
        counts, self._counts = self._counts, {}
        for (endpoint, variant), count in counts.items():
            if not count.latencies:
                continue
            put = partial(self._cloudwatch.put, ENDPOINTS, {"EndpointName": endpoint, "VariantName": variant})
            put("Invocations", [1.0] * len(count.latencies))
            put("ModelLatency", count.latencies, "Microseconds")
            for name, errors in (("4XX", count.client_errors), ("5XX", count.server_errors)):
                put(f"Invocation{name}Errors", [1.0] * errors + [0.0] * (len(count.latencies) - errors))
