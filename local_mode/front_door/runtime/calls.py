"""A request to an endpoint, the server's answer to it, and the asking."""

import asyncio
import io
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from local_mode.front_door.runtime.faults import model_error, validation_error
from local_mode.front_door.runtime.routes import Choice, Instance, VariantRoute, check_target_model

MAX_BODY_BYTES = 25 * 1024 * 1024
CONTAINER_SECONDS, KEEP_ALIVE_SECONDS = 60.0, 1.5
LARGE_BYTES = 2**20
"""A body above this is sent in parts, so that other requests are not kept waiting."""
PREFIX = "x-amzn-sagemaker-"
INFERENCE_ID, TARGET_MODEL = f"{PREFIX}inference-id", f"{PREFIX}target-model"
TARGET_VARIANT, INVOKED_VARIANT = f"{PREFIX}target-variant", "x-Amzn-Invoked-Production-Variant"
RETURNED = (
    "content-type",
    f"{PREFIX}custom-attributes",
    f"{PREFIX}new-session-id",
    f"{PREFIX}closed-session-id",
)
NOT_HONOURED = {
    f"{PREFIX}target-container-hostname": "TargetContainerHostname",
    f"{PREFIX}inference-component": "InferenceComponentName",
    f"{PREFIX}enable-explanations": "EnableExplanations",
}


@dataclass(frozen=True)
class Call:
    """A request as a container gets it."""

    endpoint: str
    headers: CIMultiDict[str]
    body: bytes
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def model(self) -> str | None:
        """TargetModel."""
        return self.headers.get(TARGET_MODEL)


@dataclass(frozen=True)
class Answer:
    """What a container answered."""

    headers: CIMultiDictProxy[str]
    body: bytes


async def read_call(request: web.Request, endpoint: str) -> Call:
    """The request to an endpoint: SageMaker hands its own headers on and strips the others."""
    body = await _read(request)
    for header, member in NOT_HONOURED.items():
        if header in request.headers:
            raise validation_error(f"{member} is not honoured on this machine: leave it out.")
    headers = CIMultiDict[str]()
    for name, value in request.headers.items():
        if name.lower() in ("content-type", "accept") or name.lower().startswith(PREFIX):
            headers[name] = value
    return Call(endpoint, headers, body)


def with_own_headers(call: Call) -> Call:
    """A call of the operations whose content type and accepted type travel as SageMaker's own headers."""
    headers = call.headers.copy()
    headers.popall("Accept", None)
    for name in ("Accept", "Content-Type"):
        own = headers.pop(f"{PREFIX}{name}", None)
        if own is not None:
            headers[name] = own
    return Call(call.endpoint, headers, call.body, call.event_id)


class Containers:
    """The connections to the servers of all endpoints."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Opens what requests go out by."""
        timeout = aiohttp.ClientTimeout(total=CONTAINER_SECONDS, sock_connect=5.0)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Closes it."""
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, call: Call, variant: VariantRoute, seconds: float = CONTAINER_SECONDS, instance: Instance | None = None
    ) -> Answer:
        """The answer of a variant, of its instance with the least to do; RuntimeFault for any but a good one."""
        async with self.asked(
            call, variant, aiohttp.ClientTimeout(total=seconds, sock_connect=5.0), instance
        ) as answer:
            try:
                return Answer(answer.headers, await answer.read())
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _no_answer(call, variant, error) from error

    def asked(
        self, call: Call, variant: VariantRoute, timeout: aiohttp.ClientTimeout, instance: Instance | None = None
    ) -> "_Asked":
        """The same as a context, for answers that are read in parts."""
        check_target_model(call.endpoint, variant, call.model)
        assert self._session is not None
        chosen = instance or self._choice.instance(call.endpoint, variant, call.model)
        return _Asked(self._session, call, variant, chosen, timeout)


class _Asked:
    """A request under way, counted at its instance until it is answered."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        variant: VariantRoute,
        instance: Instance,
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self._session, self._call, self._variant, self._instance = session, call, variant, instance
        self._timeout = timeout
        self._answer: aiohttp.ClientResponse | None = None
        self._model: str | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        self._instance.waiting += 1
        longest = self._timeout.total or CONTAINER_SECONDS
        self._instance.busy_until = max(self._instance.busy_until, time.monotonic() + longest)
        try:
            self._answer = await self._send()
        except BaseException:
            self._end()
            raise
        return self._answer

    async def __aexit__(self, *error: object) -> None:
        assert self._answer is not None
        self._answer.release() if error[0] is None else self._answer.close()
        self._end()

    def _end(self) -> None:
        self._instance.waiting -= 1
        if self._instance.models is not None and self._model is not None:
            self._instance.models.give_back(self._model)

    async def _send(self) -> aiohttp.ClientResponse:
        call, url = self._call, self._instance.url
        try:
            path = "/invocations"
            if self._instance.models is not None and call.model is not None:
                async with asyncio.timeout(self._timeout.total):
                    path = await self._instance.models.take(self._session, url, call.model)
                self._model = call.model
            answer = await self._session.post(
                url + path,
                data=io.BytesIO(call.body) if len(call.body) > LARGE_BYTES else call.body,
                headers=call.headers,
                timeout=self._timeout,
            )
            if answer.status >= 400:
                text = (await answer.read()).decode("utf-8", "replace")
                raise model_error(call.endpoint, self._variant.name, answer.status, text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _no_answer(call, self._variant, error) from error
        return answer


def _no_answer(call: Call, variant: VariantRoute, error: Exception) -> Exception:
    reason = str(error) or type(error).__name__
    return model_error(call.endpoint, variant.name, 0, f"no answer from the container: {reason}")


def returned(answer: Mapping[str, str]) -> dict[str, str]:
    """The headers of a container's answer that a client gets."""
    return {name: value for name, value in answer.items() if name.lower() in RETURNED}


async def _read(request: web.Request) -> bytes:
    """The body; one that is too large is read to its end, or its client would not see the answer."""
    if (request.content_length or 0) <= MAX_BODY_BYTES and "Content-Length" in request.headers:
        return await request.read()
    parts, size = [], 0
    async for chunk in request.content.iter_chunked(1 << 18):
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            parts.append(chunk)
    if size > MAX_BODY_BYTES:
        raise validation_error(f"The request body has {size} bytes; at most {MAX_BODY_BYTES} are allowed.")
    return b"".join(parts)
