"""InvokeEndpointWithResponseStream: a container's chunks as events of AWS's event stream, as they come."""

import asyncio
import binascii
import json
import struct
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from local_mode.front_door.runtime.calls import PREFIX, Call, Containers, returned
from local_mode.front_door.runtime.routes import VariantRoute

STREAM_SECONDS, SILENT_SECONDS = 480.0, 60.0
EVENT_STREAM = "application/vnd.amazon.eventstream"
STRING = 7


async def stream(
    containers: Containers, request: web.Request, call: Call, variant: VariantRoute, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Hands a container's answer on, part by part; a fault before the first part is an error as of InvokeEndpoint."""
    timeout = aiohttp.ClientTimeout(total=STREAM_SECONDS, sock_connect=5.0, sock_read=SILENT_SECONDS)
    async with containers.asked(call, variant, timeout) as answer:
        own = returned(answer.headers)
        content_type = own.pop("Content-Type", "application/octet-stream")
        response = web.StreamResponse(headers={**own, **headers, f"{PREFIX}content-type": content_type})
        response.content_type = EVENT_STREAM
        await response.prepare(request)
        try:
            async with asyncio.timeout(STREAM_SECONDS):  # A client that does not read has no longer either.
                async for part in answer.content.iter_any():
                    await response.write(event("PayloadPart", part))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client has gone") from error
            code = "ModelInvocationTimeExceeded" if isinstance(error, TimeoutError) else "StreamBroken"
            await response.write(exception(code, f"the container's answer broke off: {error}"))
        await response.write_eof()
        return response


def event(kind: str, payload: bytes) -> bytes:
    """A message of the event stream that holds bytes."""
    return _message(
        {":message-type": "event", ":event-type": kind, ":content-type": "application/octet-stream"}, payload
    )


def exception(code: str, message: str) -> bytes:
    """A message that ends the stream with a ModelStreamError of a code."""
    body = json.dumps({"Message": message, "ErrorCode": code}).encode()
    headers = {":message-type": "exception", ":exception-type": "ModelStreamError", ":content-type": "application/json"}
    return _message(headers, body)


def _message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Lengths and their checksum, headers, payload, checksum of all: AWS's vnd.amazon.eventstream."""
    block = b"".join(
        struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(block) + len(payload) + 16, len(block))
    start = prelude + struct.pack("!I", binascii.crc32(prelude))
    whole = start + block + payload
    return whole + struct.pack("!I", binascii.crc32(whole))
