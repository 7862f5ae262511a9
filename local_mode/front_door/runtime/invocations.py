"""SageMaker Runtime: InvokeEndpoint and its kin, each request to a variant by its weight."""

import random
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from local_mode.front_door.resources import ACCOUNT
from local_mode.front_door.runtime.asynchronous import AsyncRequests
from local_mode.front_door.runtime.calls import (
    INVOKED_VARIANT,
    TARGET_VARIANT,
    Call,
    Containers,
    read_call,
    returned,
    with_own_headers,
)
from local_mode.front_door.runtime.capture import Capture
from local_mode.front_door.runtime.faults import RuntimeFault, validation_error
from local_mode.front_door.runtime.meter import Meter
from local_mode.front_door.runtime.routes import Choice, Route
from local_mode.front_door.runtime.shadows import Shadows
from local_mode.front_door.runtime.streams import stream
from local_mode.front_door.runtime.window import Window
from local_mode.front_door.services.cloudwatch import CloudWatch
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.store import Store


class Runtime:
    """The routes of all endpoints, and the requests on them, in the event loop; `routes` may be set by threads."""

    def __init__(
        self, store: Store, objects: Objects, logs: Logs, cloudwatch: CloudWatch, pool: ThreadPoolExecutor
    ) -> None:
        self.routes: dict[str, Route] = {}
        self._choice = Choice(random.Random())
        self._containers = Containers(self._choice)
        self._capture = Capture(objects, logs)
        self.window = Window()
        self._meter = Meter(cloudwatch, pool, self.window)
        self._shadows = Shadows(self._containers, self._capture, self.window, logs)
        self._asynchronous = AsyncRequests(
            store, objects, logs, self._containers, self._capture, self._choice, self.routes.get, pool, self.window
        )

    async def open(self) -> None:
        """Opens what requests go out by."""
        await self._containers.open()
        await self._asynchronous.open()
        await self._meter.open()

    async def close(self) -> None:
        """Ends what is under way; what was captured is written first."""
        await self._asynchronous.close()
        await self._shadows.close()
        await self._containers.close()
        await self._meter.close()
        self._capture.close()

    async def answer(self, request: web.Request, name: str, operation: str) -> web.StreamResponse:
        """The answer to a request to an endpoint, or an error in its shape."""
        operations = {
            "invocations": self._invoke,
            "invocations-response-stream": self._stream,
            "async-invocations": self._accept,
        }
        try:
            if operation not in operations:
                raise RuntimeFault("UnknownOperationException", 404, f"SageMaker Runtime has no operation {operation}")
            call = await read_call(request, name)
            route = self.routes.get(name)
            if route is None:
                raise validation_error(f"Endpoint {name} of account {ACCOUNT} not found.")
            return await operations[operation](
                request, call, self._choice.side(route, call.headers.get(TARGET_VARIANT))
            )
        except RuntimeFault as fault:
            return fault.response()

    async def _invoke(self, request: web.Request, call: Call, route: Route) -> web.StreamResponse:
        _check_kind(call, route, asynchronous=False)
        variant = self._choice.variant(call.endpoint, route, call.headers.get(TARGET_VARIANT))
        capture = route.capture if route.capture and self._choice.one_of(route.capture.percentage / 100) else None
        if route.shadow is not None and self._choice.one_of(route.shadow_share):
            self._shadows.copy(call, route.shadow, capture)
        async with self._meter.measured(call.endpoint, variant.name):
            answer = await self._containers.ask(call, variant)
        if capture is not None:
            self._capture.record(capture, call, variant.name, answer)
        return web.Response(body=answer.body, headers=returned(answer.headers) | {INVOKED_VARIANT: variant.name})

    async def _stream(self, request: web.Request, call: Call, route: Route) -> web.StreamResponse:
        _check_kind(call, route, asynchronous=False)
        variant = self._choice.variant(call.endpoint, route, call.headers.get(TARGET_VARIANT))
        headers = {INVOKED_VARIANT: variant.name}
        async with self._meter.measured(call.endpoint, variant.name):
            return await stream(self._containers, request, with_own_headers(call), variant, headers)

    async def _accept(self, request: web.Request, call: Call, route: Route) -> web.StreamResponse:
        _check_kind(call, route, asynchronous=True)
        assert route.asynchronous is not None
        headers, body = await self._asynchronous.accept(with_own_headers(call), route.asynchronous)
        return web.json_response(body, status=202, headers=headers)


def _check_kind(call: Call, route: Route, *, asynchronous: bool) -> None:
    if asynchronous != (route.asynchronous is not None):
        own, other = (
            ("InvokeEndpointAsync", "InvokeEndpoint")
            if route.asynchronous
            else ("InvokeEndpoint", "InvokeEndpointAsync")
        )
        raise validation_error(f"Endpoint {call.endpoint} is asked with {own}, not with {other}.")
