"""SageMaker Runtime in front of the variants of one endpoint that never changes."""

import asyncio
import random
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from aiohttp import web

from local_mode.front_door.resources import ACCOUNT
from local_mode.front_door.runtime.calls import INVOKED_VARIANT, TARGET_VARIANT, Containers, read_call, returned
from local_mode.front_door.runtime.faults import RuntimeFault, validation_error
from local_mode.front_door.runtime.routes import Choice, Route


class Router:
    """Chooses a variant for each request, hands the request to its server, and counts."""

    def __init__(self, endpoint: str, route: Route, seed: int | None = None) -> None:
        self._endpoint, self._route = endpoint, route
        self._choice = Choice(random.Random(seed))
        self._containers = Containers(self._choice)
        self._invocations: Counter[str] = Counter()

    def application(self) -> web.Application:
        """The application of aiohttp."""

        async def opened(application: web.Application) -> None:
            await self._containers.open()

        async def closed(application: web.Application) -> None:
            await self._containers.close()

        application = web.Application(client_max_size=1 << 50, middlewares=[_faults])
        application.router.add_post("/endpoints/{name}/invocations", self._invoke)
        application.router.add_get("/endpoints/{name}", self._describe)
        application.router.add_get("/ping", _ping)
        application.on_startup.append(opened)
        application.on_cleanup.append(closed)
        return application

    async def _invoke(self, request: web.Request) -> web.Response:
        call = await read_call(request, self._named(request))
        variant = self._choice.variant(call.endpoint, self._route, call.headers.get(TARGET_VARIANT))
        self._invocations[variant.name] += 1
        answer = await self._containers.ask(call, variant)
        return web.Response(body=answer.body, headers=returned(answer.headers) | {INVOKED_VARIANT: variant.name})

    async def _describe(self, request: web.Request) -> web.Response:
        name = self._named(request)
        variants = [
            {
                "VariantName": variant.name,
                "CurrentWeight": variant.weight,
                "Invocations": self._invocations[variant.name],
            }
            for variant in self._route.variants
        ]
        return web.json_response({"EndpointName": name, "ProductionVariants": variants})

    def _named(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name != self._endpoint:
            raise validation_error(f"Endpoint {name} of account {ACCOUNT} not found; this is {self._endpoint}.")
        return name


@contextmanager
def serving(router: Router, listener: socket.socket) -> Iterator[None]:
    """Within the context the router answers on a listening socket, from a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(router.application(), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    ready: Future[None] = Future()

    async def start() -> None:
        await runner.setup()
        await web.SockSite(runner, listener.dup()).start()

    def serve() -> None:
        try:
            loop.run_until_complete(start())
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, name="router", daemon=True)
    thread.start()
    ready.result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _ping(request: web.Request) -> web.Response:
    return web.Response()


@web.middleware
async def _faults(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RuntimeFault as fault:
        return fault.response()
    except web.HTTPNotFound:
        return RuntimeFault("UnknownOperationException", 404, f"no operation at {request.path}").response()
