"""SageMaker Runtime: InvokeEndpoint, to a variant by its weight and to the instance of it with the least to do."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from local_mode.front_door.resources import ACCOUNT
from local_mode.router import (
    CONTAINER_SECONDS,
    INVOKED_VARIANT,
    MAX_BODY_BYTES,
    RETURNED,
    TARGET_VARIANT,
    RuntimeFault,
    forwarded,
    model_error,
    validation_error,
)

SESSION = "X-Amzn-SageMaker-Session-Id"
NOT_HONOURED = {
    SESSION: "SessionId",
    "X-Amzn-SageMaker-Target-Model": "TargetModel",
    "X-Amzn-SageMaker-Target-Container-Hostname": "TargetContainerHostname",
    "X-Amzn-SageMaker-Inference-Component": "InferenceComponentName",
}


@dataclass(eq=False)
class Instance:
    """A server of a variant; waiting: the requests that it has and has not answered."""

    url: str
    waiting: int = 0


@dataclass(frozen=True)
class VariantRoute:
    """A variant's share of the requests, and the instances that are up."""

    name: str
    weight: float
    instances: Sequence[Instance]


@dataclass(frozen=True)
class Route:
    """What a request to an endpoint may go to; it is replaced as a whole, never changed."""

    variants: Sequence[VariantRoute]


@dataclass
class Runtime:
    """The routes of all endpoints, and the requests on them, in the event loop; `routes` may be set by threads."""

    routes: dict[str, Route] = field(default_factory=dict)
    chance: random.Random = field(default_factory=random.Random)
    _session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Opens what requests go out by."""
        timeout = aiohttp.ClientTimeout(total=CONTAINER_SECONDS, sock_connect=5.0)
        self._session = aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )

    async def close(self) -> None:
        """Closes it."""
        if self._session is not None:
            await self._session.close()

    async def invoke(self, request: web.Request, name: str) -> web.Response:
        """The answer to an InvokeEndpoint, or an error in its shape."""
        try:
            return await self._invoke(request, name)
        except RuntimeFault as fault:
            return web.json_response(fault.body, status=fault.status, headers={"x-amzn-ErrorType": fault.code})

    async def _invoke(self, request: web.Request, name: str) -> web.Response:
        body = await _read(request)
        for header, member in NOT_HONOURED.items():
            if header in request.headers:
                raise validation_error(f"{member} is not honoured on this machine: leave it out.")
        route = self.routes.get(name)
        if route is None:
            raise validation_error(f"Endpoint {name} of account {ACCOUNT} not found.")
        variant = self._choose(name, route, request.headers.get(TARGET_VARIANT))
        if not variant.instances:
            raise RuntimeFault(
                "ServiceUnavailable", 503, f"Variant {variant.name} of endpoint {name} has no instance that is up."
            )
        instance = min(variant.instances, key=lambda each: each.waiting)
        instance.waiting += 1
        try:
            return await self._ask(name, variant.name, instance, forwarded(request.headers), body)
        finally:
            instance.waiting -= 1

    async def _ask(
        self, endpoint: str, variant: str, instance: Instance, headers: Mapping[str, str], body: bytes
    ) -> web.Response:
        assert self._session is not None
        try:
            async with self._session.post(f"{instance.url}/invocations", data=body, headers=headers) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise model_error(endpoint, variant, 0, f"no answer from the container: {reason}") from error
        if answer.status >= 400:
            raise model_error(endpoint, variant, answer.status, data.decode("utf-8", "replace"))
        returned = {key: value for key, value in answer.headers.items() if key.lower() in RETURNED}
        return web.Response(body=data, headers=returned | {INVOKED_VARIANT: variant})

    def _choose(self, endpoint: str, route: Route, wanted: str | None) -> VariantRoute:
        if wanted is not None:
            for variant in route.variants:
                if variant.name == wanted:
                    return variant
            names = ", ".join(variant.name for variant in route.variants)
            raise validation_error(f"Variant {wanted} of endpoint {endpoint} not found; it has {names}.")
        weights = [variant.weight for variant in route.variants]
        if not sum(weights):
            raise validation_error(f"Every variant of endpoint {endpoint} has weight 0: name a TargetVariant.")
        return self.chance.choices(route.variants, weights)[0]


async def _read(request: web.Request) -> bytes:
    """The body; one that is too large is read to its end, or its client would not see the answer."""
    parts, size = [], 0
    async for chunk in request.content.iter_chunked(1 << 18):
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            parts.append(chunk)
    if size > MAX_BODY_BYTES:
        raise validation_error(f"The request body has {size} bytes; at most {MAX_BODY_BYTES} are allowed.")
    return b"".join(parts)
