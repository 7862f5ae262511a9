"""The front door: one port, behind it SageMaker's control plane and runtime, and moto for all else."""

import asyncio
import json
import re
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door import orphans, shapes, surroundings
from local_mode.front_door.browsers import check_origin
from local_mode.front_door.hosting.configurations import Configurations
from local_mode.front_door.hosting.endpoints import Endpoints
from local_mode.front_door.hosting.models import Models
from local_mode.front_door.jobs.training import TrainingJobs
from local_mode.front_door.jobs.transform import TransformJobs
from local_mode.front_door.jobs.tuning import TuningJobs
from local_mode.front_door.page.page import Page
from local_mode.front_door.registry import Registry
from local_mode.front_door.resources import REGION, Document
from local_mode.front_door.runtime.invocations import Runtime
from local_mode.front_door.search import Search
from local_mode.front_door.services.cloudwatch import CloudWatch
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.moto_bridge import Moto
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store
from local_mode.front_door.tags import Tags
from local_mode.stopping import StopRequest, stop_requests

AUTOSCALING = "AnyScaleFrontendService."
TARGET, RUNTIME_PATH = "SageMaker.", re.compile(r"/endpoints/([^/]+)/([a-z-]+)")
THREADS, MAX_REQUEST_BYTES = 16, 4 * 2**20
CONTENT_TYPE, REQUEST_ID = "application/x-amz-json-1.1", "x-amzn-RequestId"


@dataclass(frozen=True)
class FrontDoorSettings:
    """Where the front door listens, what it keeps and where, and what its jobs and servers run in.

    interrupt_after: seconds of training after which a spot job is interrupted, once. end_left: ends what an earlier
    front door of this state left running where processes are not enough: containers.
    """

    port: int
    state: Path
    backend: Callable[[], Backend]
    host: str = "127.0.0.1"
    interrupt_after: float | None = None
    end_left: Callable[[], None] = lambda: None


class FrontDoor:
    """All that is behind the port; it is made and closed outside of the event loop."""

    def __init__(self, settings: FrontDoorSettings) -> None:
        self._state, self._host = settings.state.resolve(), settings.host
        self._state.mkdir(parents=True, exist_ok=True)
        self._guard = orphans.lock(self._state)
        scratch = self._state / "run"
        settings.end_left()
        orphans.end_all(scratch)
        self.store = Store(self._state)
        moto_lock = threading.RLock()
        self.objects = Objects(self._state / "s3", self.store, REGION, moto_lock)
        logs = Logs(self._state / "logs", REGION, moto_lock)
        self.pool = ThreadPoolExecutor(THREADS, "front-door")
        self.moto = Moto(self.objects, self.pool, moto_lock)
        cloudwatch = CloudWatch(self._state / "metrics", REGION, moto_lock)
        self.runtime = Runtime(self.store, self.objects, logs, cloudwatch, self.pool)
        self.page = Page(self._state, self.runtime, self.pool)
        self.jobs = TrainingJobs(
            self.store, self.objects, logs, cloudwatch, settings.backend, scratch, settings.interrupt_after
        )
        self.tunings = TuningJobs(self.store, self.jobs)
        registry = Registry(self.store)
        models = Models(self.store, registry)
        configurations = Configurations(self.store, models)
        self.transforms = TransformJobs(self.store, models, self.objects, logs, settings.backend, scratch)
        self.endpoints = Endpoints(
            self.store, configurations, self.objects, logs, cloudwatch, self.runtime, settings.backend, scratch
        )
        self.operations: Mapping[str, Callable[[Document], Document]] = {
            **self.jobs.operations,
            **self.tunings.operations,
            **registry.operations,
            **models.operations,
            **configurations.operations,
            **self.endpoints.operations,
            **self.transforms.operations,
            **Tags(self.store).operations,
            **Search(self.store).operations,
        }

    def application(self) -> web.Application:
        """The application of aiohttp."""
        application = web.Application(client_max_size=1 << 50)
        application.router.add_route("*", "/{path:.*}", self.answer)
        application.on_startup.append(lambda _: self.runtime.open())
        application.on_cleanup.append(lambda _: self.runtime.close())
        return application

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request: to whom it goes is told by its target, then by its path."""
        try:
            check_origin(request, self._host)
        except Fault as fault:
            return _refusal(fault)
        target = request.headers.get("X-Amz-Target", "")
        if target.startswith(TARGET):
            return await self._control(request, target.removeprefix(TARGET))
        if target.startswith(AUTOSCALING):
            return _refusal(invalid("autoscaling is not honoured on this machine: give an instance count"))
        path = RUNTIME_PATH.fullmatch(request.path)
        if path is not None and request.method == "POST":
            return await self.runtime.answer(request, path[1], path[2])
        if request.path == "/ping":
            return web.Response(headers={"Server": "local_mode"})
        if self.page.takes(request):
            return await self.page.answer(request)
        return await self.moto.answer(request)

    async def _control(self, request: web.Request, name: str) -> web.Response:
        try:
            model = shapes.operation(name)
            document = _parsed(await _small_body(request))
            shapes.check_request(model, document)
            handler = self.operations.get(name)
            if handler is None:
                raise Fault("UnknownOperationException", f"{name} is not honoured on this machine yet")
            answer = await asyncio.get_running_loop().run_in_executor(self.pool, handler, document)
        except Fault as fault:
            return _refusal(fault)
        except Exception as error:
            traceback.print_exc()
            return _refusal(Fault("InternalFailure", f"{name} failed: {type(error).__name__}: {error}", 500))
        text = json.dumps(shapes.answer(model, answer))
        return web.Response(text=text, content_type=CONTENT_TYPE, headers={REQUEST_ID: str(uuid.uuid4())})

    def close(self) -> None:
        """Ends jobs and servers; what is kept is told truly at the next start."""
        self.endpoints.close()
        self.tunings.close()
        self.jobs.close()
        self.transforms.close()
        self.pool.shutdown(wait=True)
        self.page.close()
        self.store.close()
        self._guard.close()


def run(settings: FrontDoorSettings, stop: StopRequest, began: float | None = None) -> int:
    """Serves until SIGINT or SIGTERM, one that `stop` has received already too; the exit code."""
    door = FrontDoor(settings)
    try:
        return asyncio.run(_serve(door, settings, stop, began or time.monotonic()))
    finally:
        with stop_requests():  # One more Ctrl-C leaves nothing running.
            door.close()


async def _serve(door: FrontDoor, settings: FrontDoorSettings, stop: StopRequest, began: float) -> int:
    runner = web.AppRunner(door.application(), access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise LocalModeError(
            f"cannot listen on port {settings.port}: {error.strerror}; choose another --port"
        ) from None
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if stop:
        stopped.set()
    port = runner.addresses[0][1]
    url = surroundings.url_of(settings.host, port)
    environment = surroundings.write(settings.state.resolve(), url)
    print(f"AWS_ENDPOINT_URL={url}  (up after {time.monotonic() - began:.1f} s; Ctrl-C ends it)")
    print(f"for SageMaker's SDKs: source {environment}")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()
    return 0


async def _small_body(request: web.Request) -> bytes:
    """A body that is no larger than a request of the control plane can be."""
    body = b""
    async for chunk in request.content.iter_chunked(1 << 18):
        body = body + chunk if len(body) <= MAX_REQUEST_BYTES else body  # The rest is read and dropped.
    if len(body) > MAX_REQUEST_BYTES:
        raise Fault("RequestEntityTooLargeException", f"a request has {MAX_REQUEST_BYTES} bytes at most", 413)
    return body


def _parsed(body: bytes) -> Any:
    try:
        return _without_nulls(json.loads(body or b"{}"))
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", f"the body is no JSON: {error}") from None


def _without_nulls(value: Any) -> Any:
    """A document without the members that say nothing."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(member) for member in value] if isinstance(value, list) else value


def _refusal(fault: Fault) -> web.Response:
    body = {"__type": fault.code, "message": str(fault), "Message": str(fault)}
    return web.Response(
        text=json.dumps(body),
        status=fault.status,
        content_type=CONTENT_TYPE,
        headers={"x-amzn-ErrorType": fault.code, REQUEST_ID: str(uuid.uuid4())},
    )
