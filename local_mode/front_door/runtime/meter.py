"""How many requests each variant got, how long its containers took, and how many errors there were."""

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from local_mode.front_door.runtime.faults import RuntimeFault
from local_mode.front_door.runtime.window import Window
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
    """Counts in the event loop, and tells CloudWatch every few seconds; window: is told of each request at once."""

    def __init__(self, cloudwatch: CloudWatch, pool: ThreadPoolExecutor, window: Window) -> None:
        self._cloudwatch, self._pool, self._window = cloudwatch, pool, window
        self._counts: dict[tuple[str, str], _Count] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begins to tell."""
        self._task = asyncio.create_task(self._flush_again())

    async def close(self) -> None:
        """Tells what is left."""
        if self._task is not None:
            self._task.cancel()
        self._tell(self._counts)

    @asynccontextmanager
    async def measured(self, endpoint: str, variant: str) -> AsyncIterator[None]:
        """Counts what happens within the context as a request to a variant, when it has ended."""
        began, status = monotonic(), 200
        try:
            yield
        except RuntimeFault as fault:
            status = int(fault.body.get("OriginalStatusCode", fault.status))
            raise
        finally:
            ended = monotonic()
            count = self._counts.setdefault((endpoint, variant), _Count())
            count.latencies.append((ended - began) * MICROSECONDS)
            count.client_errors += 400 <= status < 500
            count.server_errors += status >= 500 or status < 200
            self._window.add(endpoint, variant, ended - began, status, ended)

    async def _flush_again(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            counts, self._counts = self._counts, {}
            await asyncio.get_running_loop().run_in_executor(self._pool, self._tell, counts)

    def _tell(self, counts: dict[tuple[str, str], _Count]) -> None:
        for (endpoint, variant), count in counts.items():
            put = partial(self._cloudwatch.put, ENDPOINTS, {"EndpointName": endpoint, "VariantName": variant})
            requests = len(count.latencies)
            try:
                put("Invocations", [1.0] * requests)
                put("ModelLatency", count.latencies, "Microseconds")
                for name, errors in (("4XX", count.client_errors), ("5XX", count.server_errors)):
                    put(f"Invocation{name}Errors", [1.0] * errors + [0.0] * (requests - errors))
            except OSError as error:  # A full disk: what was counted is lost, and counting goes on.
                print(f"metrics of endpoint {endpoint} were not kept: {error}", file=sys.stderr)
