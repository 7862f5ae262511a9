"""Shadow variants: a copy of the asked share of requests, answered for the capture alone; nobody waits for it."""

import asyncio
from collections import Counter

from local_mode.front_door.runtime.calls import Call, Containers
from local_mode.front_door.runtime.capture import Capture
from local_mode.front_door.runtime.faults import RuntimeFault
from local_mode.front_door.runtime.routes import CaptureSettings, VariantRoute
from local_mode.front_door.runtime.window import Window

MAX_COPIES = 64
"""Of an endpoint, under way at once: a shadow that is slower than its production variant misses the others."""


class Shadows:
    """The copies under way."""

    def __init__(self, containers: Containers, capture: Capture, window: Window) -> None:
        self._containers, self._capture, self._window = containers, capture, window
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()

    def copy(self, call: Call, shadow: VariantRoute, capture: CaptureSettings | None) -> None:
        """Sends a copy to a shadow, unless it has too many already."""
        if self._counts[call.endpoint] >= MAX_COPIES or not shadow.instances:
            return
        self._counts[call.endpoint] += 1
        task = asyncio.create_task(self._ask(call, shadow, capture))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(ended, call.endpoint))

    async def close(self) -> None:
        """Ends the copies."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, call: Call, shadow: VariantRoute, capture: CaptureSettings | None) -> None:
        try:
            with self._window.measured(call.endpoint, shadow.name):
                answer = await self._containers.ask(call, shadow)
        except RuntimeFault:
            return  # The shadow's trouble, which its own log tells.
        if capture is not None:
            self._capture.record(capture, call, shadow.name, answer)

    def _end(self, task: "asyncio.Task[None]", endpoint: str) -> None:
        self._tasks.discard(task)
        self._counts[endpoint] -= 1
