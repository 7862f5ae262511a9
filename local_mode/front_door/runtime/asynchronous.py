"""InvokeEndpointAsync: requests that wait in the store, and whose answers go to S3; none is lost with the process."""

import asyncio
import base64
import json
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from multidict import CIMultiDict

from local_mode.front_door.resources import Document, bucket_and_key
from local_mode.front_door.runtime.calls import INFERENCE_ID, PREFIX, Answer, Call, Containers
from local_mode.front_door.runtime.capture import Capture
from local_mode.front_door.runtime.faults import RuntimeFault, validation_error
from local_mode.front_door.runtime.routes import AsyncSettings, Choice, Instance, Route, VariantRoute
from local_mode.front_door.runtime.window import Window
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault
from local_mode.front_door.store import Store

KIND = "async-request"
MAX_BODY_BYTES = 128_000
LOOK_SECONDS = 0.25
OF_SAGEMAKER = ("inputlocation", "requestttlseconds", "invocationtimeoutseconds", "s3outputpathextension", "filename")


class AsyncRequests:
    """The requests of all async endpoints, in the order in which they came; routes: looks an endpoint's up."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        logs: Logs,
        containers: Containers,
        capture: Capture,
        choice: Choice,
        routes: Callable[[str], Route | None],
        pool: ThreadPoolExecutor,
        window: Window,
    ) -> None:
        self._store, self._objects, self._logs = store, objects, logs
        self._containers, self._capture, self._choice = containers, capture, choice
        self._routes, self._pool, self._window = routes, pool, window
        self._queues: dict[str, deque[tuple[str, Document]]] = {}
        self._running: Counter[Instance] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Takes up the requests that the process before this one left."""
        left = sorted(self._store.all(KIND).items(), key=lambda item: item[1]["came"])
        for name, document in left:
            self._queues.setdefault(document["endpoint"], deque()).append((name, document))
        self._keep(asyncio.create_task(self._look()))

    async def close(self) -> None:
        """Ends the asking; requests that were not answered are kept."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self, call: Call, settings: AsyncSettings) -> tuple[dict[str, str], dict[str, str]]:
        """Keeps a request; the headers and the body of the answer to it."""
        document = _document(call, settings)
        name = str(uuid.uuid4())
        headers = {}
        for what, place, suffix in (("output", settings.output, ".out"), ("failure", settings.failure, "-error.out")):
            if place is not None:
                bucket, prefix = place
                document[what] = [bucket, f"{prefix}{name}{suffix}"]
                headers[f"{PREFIX}{what}location"] = f"s3://{bucket}/{prefix}{name}{suffix}"
        await self._in_thread(self._store.put, KIND, name, document)
        self._queues.setdefault(call.endpoint, deque()).append((name, document))
        self._pump(call.endpoint)
        return headers, {"InferenceId": call.headers.get(INFERENCE_ID, name)}

    async def _look(self) -> None:
        while True:
            for endpoint in list(self._queues):
                self._pump(endpoint)
                if endpoint in self._queues:
                    await self._forget(endpoint)
            await asyncio.sleep(LOOK_SECONDS)

    def _pump(self, endpoint: str) -> None:
        """Begins requests while an instance has room."""
        route, waiting = self._routes(endpoint), self._queues.get(endpoint)
        while waiting:
            name, document = waiting[0]
            place = None
            if not _late(document):
                place = self._free(route) if route is not None and route.asynchronous is not None else None
                if place is None:
                    return  # The next answer, or the next look, begins it.
                self._running[place[1]] += 1
                place[1].waiting += 1  # Its server is not ended while the request's body is read.
            waiting.popleft()
            self._keep(asyncio.create_task(self._run(name, document, place)))
        self._queues.pop(endpoint, None)

    def _free(self, route: Route) -> tuple[VariantRoute, Instance] | None:
        """A variant by the weights, of those that have room for a request, and its instance with the fewest."""
        route = self._choice.side(route)
        if route.asynchronous is None:
            return None
        most, places = route.asynchronous.concurrent, list[tuple[VariantRoute, Instance]]()
        for variant in route.variants:
            free = [instance for instance in variant.instances if self._running[instance] < most]
            if free and variant.weight:
                places.append((variant, min(free, key=lambda instance: self._running[instance])))
        weights = [variant.weight for variant, _ in places]
        return self._choice.random.choices(places, weights)[0] if places else None

    async def _forget(self, endpoint: str) -> None:
        """Drops the requests of an endpoint that was deleted, as SageMaker does."""
        if self._routes(endpoint) is None and await self._in_thread(self._store.get, "endpoint", endpoint) is None:
            for name, _ in self._queues.pop(endpoint, ()):
                await self._in_thread(self._store.drop, KIND, name)

    async def _run(self, name: str, document: Document, place: tuple[VariantRoute, Instance] | None) -> None:
        try:
            await self._answer_to_s3(document, place)
            await self._in_thread(self._store.drop, KIND, name)
        except Exception as error:  # It is kept, and begun again at the next start.
            group = f"/aws/sagemaker/Endpoints/{document['endpoint']}"
            line = f"the answer to async request {name} could not be kept: {error}"
            await self._in_thread(self._logs.write, group, "front-door", line)
        finally:
            if place is not None:
                place[1].waiting -= 1
                self._running[place[1]] -= 1
                if not self._running[place[1]]:
                    del self._running[place[1]]
        self._pump(document["endpoint"])

    async def _answer_to_s3(self, document: Document, place: tuple[VariantRoute, Instance] | None) -> None:
        try:
            answer = await self._answer(document, place)
        except RuntimeFault as fault:
            text = json.dumps({"errorType": fault.code, "message": str(fault)})
            await self._put(document.get("failure"), text.encode(), "application/json")
        else:
            await self._put(document.get("output"), answer.body, answer.headers.get("Content-Type"))

    async def _answer(self, document: Document, place: tuple[VariantRoute, Instance] | None) -> Answer:
        if place is None:
            raise validation_error("The request has waited for longer than its RequestTTLSeconds.")
        try:
            body = await self._in_thread(self._body, document)
        except OSError as error:
            raise RuntimeFault("InternalFailure", 500, f"the request could not be read: {error}") from None
        call = Call(document["endpoint"], CIMultiDict(document["headers"]), body)
        with self._window.measured(call.endpoint, place[0].name):
            answer = await self._containers.ask(call, place[0], document["seconds"], place[1])
        route = self._routes(document["endpoint"])
        if route is not None and route.capture and self._choice.one_of(route.capture.percentage / 100):
            self._capture.record(route.capture, call, place[0].name, answer)
        return answer

    def _body(self, document: Document) -> bytes:
        if "body" in document:
            return base64.b64decode(document["body"])
        path = self._objects.path(*document["input"])
        if path is None:
            raise validation_error(f"The object s3://{'/'.join(document['input'])} does not exist.")
        return path.read_bytes()

    async def _put(self, place: list[str] | None, data: bytes, content_type: str | None) -> None:
        if place is not None:
            await self._in_thread(self._objects.put_bytes, *place, data, content_type)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _document(call: Call, settings: AsyncSettings) -> Document:
    own = [f"{PREFIX}{name}" for name in OF_SAGEMAKER]
    headers = {name: value for name, value in call.headers.items() if name.lower() not in own}
    document: Document = {"endpoint": call.endpoint, "headers": headers, "came": time.time()}
    document["until"] = document["came"] + _number(call.headers, "requestttlseconds", 21_600, 60, 21_600)
    document["seconds"] = _number(call.headers, "invocationtimeoutseconds", 900, 1, 3_600)
    for other in ("s3outputpathextension", "filename"):
        if PREFIX + other in call.headers:
            raise validation_error(f"{other} is not honoured on this machine: leave it out.")
    location = call.headers.get(f"{PREFIX}inputlocation")
    if location is not None and call.body:
        raise validation_error("Give InputLocation or Body, not both.")
    if location is not None:
        try:
            document["input"] = list(bucket_and_key(location, "InputLocation"))
        except Fault as fault:
            raise validation_error(str(fault)) from None
    elif call.body:
        if len(call.body) > MAX_BODY_BYTES:
            raise validation_error(
                f"The body has {len(call.body)} bytes; at most {MAX_BODY_BYTES}: put it in S3 and give InputLocation."
            )
        document["body"] = base64.b64encode(call.body).decode()
    else:
        raise validation_error("Give InputLocation or Body.")
    if settings.output is None:
        raise validation_error("The endpoint's AsyncInferenceConfig has no S3OutputPath.")
    return document


def _number(headers: Mapping[str, str], name: str, otherwise: int, least: int, most: int) -> int:
    text = headers.get(PREFIX + name)
    if text is None:
        return otherwise
    if not text.isdecimal() or not least <= int(text) <= most:
        raise validation_error(f"{name} is '{text}': it must be a whole number from {least} to {most}.")
    return int(text)


def _late(document: Document) -> bool:
    return bool(time.time() > document["until"])
