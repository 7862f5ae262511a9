"""Shadow variants: a copy of the asked share of requests, answered for the capture alone; nobody waits for it."""

import asyncio
from collections import Counter, defaultdict

from local_mode.front_door.runtime.calls import Call, Containers
from local_mode.front_door.runtime.capture import Capture
from local_mode.front_door.runtime.faults import RuntimeFault
from local_mode.front_door.runtime.routes import CaptureSettings, VariantRoute
from local_mode.front_door.runtime.window import Window
from local_mode.front_door.services.logs import Logs

MAX_ASKED = 64
"""Copies of an endpoint that its shadow is asked at once; the others wait."""
MAX_COPIES, MAX_BYTES = 8192, 64 * 2**20
"""Of an endpoint, asked and waiting: a shadow that falls further behind its production variant misses the others."""


class Shadows:
    """The copies asked and waiting."""

    def __init__(self, containers: Containers, capture: Capture, window: Window, logs: Logs) -> None:
        self._containers, self._capture, self._window, self._logs = containers, capture, window, logs
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_ASKED))

    def copy(self, call: Call, shadow: VariantRoute, capture: CaptureSettings | None) -> None:
        """Sends a copy to a shadow, unless too many wait already."""
        if not shadow.instances:
            return
        name, size = call.endpoint, len(call.body)
        if self._counts[name] >= MAX_COPIES or (self._counts[name] and self._bytes[name] + size > MAX_BYTES):
            self._missed[name] += 1
            if self._missed[name].bit_count() == 1:  # The first, the second, the fourth and so on, as long as it lasts.
                self._tell(name, "so far")
            return
        self._counts[name] += 1
        self._bytes[name] += size
        task = asyncio.create_task(self._ask(call, shadow, capture))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(ended, name, size))

    async def close(self) -> None:
        """Ends the copies."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, call: Call, shadow: VariantRoute, capture: CaptureSettings | None) -> None:
        try:
            async with self._turns[call.endpoint]:
                with self._window.measured(call.endpoint, shadow.name):
                    answer = await self._containers.ask(call, shadow)
        except RuntimeFault:
            return  # The shadow's trouble, which its own log tells.
        if capture is not None:
            self._capture.record(capture, call, shadow.name, answer)

    def _end(self, task: "asyncio.Task[None]", name: str, size: int) -> None:
        self._tasks.discard(task)
        self._bytes[name] -= size
        self._counts[name] -= 1
        if self._counts[name] == 0:
            del self._counts[name], self._bytes[name]
            self._turns.pop(name, None)
            if self._missed[name]:
                self._tell(name, "in all")
            del self._missed[name]

    def _tell(self, name: str, when: str) -> None:
        line = f"{self._missed[name]} requests {when} were not copied to the shadow: it fell too far behind"
        self._logs.write(f"/aws/sagemaker/Endpoints/{name}", "shadow", line)
