"""What is not SageMaker: S3, CloudWatch, STS, IAM and the rest, answered by moto in this process."""

import asyncio
import functools
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from local_mode.front_door.services import permissions
from local_mode.front_door.services.objects import Objects

SMALL_BYTES, MEMORY_BYTES = 2**16, 16 * 2**20
"""Of a body that may be a question, and of one that waits in memory; a larger one lies on the disk."""
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Moto:
    """moto's own application, asked in threads; changed objects are on the disk before their request is answered."""

    def __init__(self, objects: Objects, pool: ThreadPoolExecutor, lock: threading.RLock) -> None:
        self._objects, self._pool, self._lock = objects, pool, lock

    @functools.cached_property
    def _application(self) -> Any:
        os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        return DomainDispatcherApplication(create_backend_app)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """moto's answer to a request."""
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as body:
            async for chunk in request.content.iter_chunked(1 << 20):
                body.write(chunk)
            size = body.tell()
            body.seek(0)
            environ = _environ(request, body, size)
            small = body.read() if size < SMALL_BYTES else b""
            body.seek(0)
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, request, environ, small)

    def _ask(self, request: web.Request, environ: dict[str, Any], body: bytes) -> web.Response:
        with self._lock:  # moto is no code for several threads.
            about_roles = permissions.answer(body) if request.method == "POST" and body else None
            if about_roles is not None:
                return web.Response(text=about_roles, content_type="text/xml")
            try:
                if _asks_for_versions(request, body):
                    raise NotImplementedError(
                        "versions of objects are not kept on this machine: leave the bucket's versioning off"
                    )
                status, headers, parts = self._run(environ)
            except Exception as error:  # What moto lacks, and what it trips over.
                return _not_answered(request, error)
            if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
                path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
                bucket = request.host.partition(":")[0].removesuffix("localhost").rstrip(".")
                by_host = bucket and self._objects.has_bucket(bucket)  # bucket.localhost
                self._keep(f"/{bucket}{path}" if by_host else path)
        answer = web.Response(status=status, body=parts)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                if name.lower() == "content-type":
                    answer.headers[name] = value
                else:
                    answer.headers.add(name, value)
        if request.method == "HEAD":
            length = next((value for name, value in headers if name.lower() == "content-length"), None)
            if length is not None:
                answer.headers["Content-Length"] = length
        return answer

    def _run(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
            told[:] = [int(status.split()[0]), headers]

        parts = self._application(environ, start_response)
        try:
            data = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return told[0], told[1], data

    def _keep(self, path: str) -> None:
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket and "." not in bucket[:1]:
            self._objects.sync(bucket, key or None)


def _asks_for_versions(request: web.Request, body: bytes) -> bool:
    """Whether a bucket is to keep versions: a key has one file, and an older version would read the newest."""
    return request.method == "PUT" and "versioning" in request.query and b"Enabled" in body


def _not_answered(request: web.Request, error: Exception) -> web.Response:
    """AWS's error, in the shape that the client reads."""
    lacking = isinstance(error, NotImplementedError)
    code, status = ("NotImplemented", 501) if lacking else ("InternalFailure", 500)
    message = str(error) if lacking else f"{type(error).__name__}: {error}"
    if "json" in request.headers.get("Content-Type", ""):
        return web.json_response({"__type": code, "message": message}, status=status)
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></ErrorResponse>"
    return web.Response(text=text, status=status, content_type="text/xml")


def _environ(request: web.Request, body: IO[bytes], size: int) -> dict[str, Any]:
    """The request as WSGI has it."""
    host, _, port = request.host.partition(":")
    path = request.rel_url.raw_path
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "RAW_URI": request.raw_path if hasattr(request, "raw_path") else path,
        "REQUEST_URI": str(request.rel_url),
        "QUERY_STRING": request.rel_url.raw_query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.remote or "127.0.0.1",
        "CONTENT_LENGTH": str(size),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name.lower() in ("content-length", "transfer-encoding", "expect"):
            continue
        key = name.upper().replace("-", "_")
        environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ
