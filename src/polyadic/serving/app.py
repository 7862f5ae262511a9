"""The Flask application: /ping, /invocations, /execution-parameters."""

from __future__ import annotations

import os
import sys
import threading
import traceback
import uuid
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from polyadic.errors import InstanceError, UserError, classify
from polyadic.formats import Format, by_content_type, json, jsonlines
from polyadic.serving import settings as configuration
from polyadic.serving.batching import Batcher, Full
from polyadic.serving.settings import Settings

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
BOOT_ERROR = 3
"""The exit code of a worker upon which gunicorn gives up instead of starting another."""
DRAINED_AT_MOST = 128 * 2**20


class Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def application(settings: Settings | None = None) -> Flask:
    """The application of one worker. The model is loaded beside it, so that /ping answers from the first moment."""
    settings = settings or configuration.read()
    service = Service(settings)
    app = Flask("polyadic")
    app.add_url_rule("/ping", view_func=service.ping, methods=["GET"])
    app.add_url_rule("/invocations", view_func=service.invocations, methods=["POST"])
    app.add_url_rule("/execution-parameters", view_func=service.execution_parameters, methods=["GET"])
    app.register_error_handler(Refusal, service.refuse)
    app.register_error_handler(HTTPException, service.refuse_http)
    app.register_error_handler(Exception, service.fail)
    app.after_request(service.sign)
    threading.Thread(target=service.load, name="load", daemon=True).start()
    return app


class Service:
    """One worker's model and the answers it gives."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.batcher: Batcher | None = None

    def load(self) -> None:
        """Loads and warms the model; a model that cannot be loaded ends the server, with the reason."""
        try:
            from polyadic.serving import repository

            self.batcher = Batcher(repository.load(self.settings.model_folder), self.settings.slots)
        except Exception as error:  # There is no one else to tell: the server must not live without a model.
            failure = classify(error)
            if not isinstance(failure, UserError):
                traceback.print_exc()
            print(f"error: {failure}", file=sys.stderr, flush=True)
            os._exit(BOOT_ERROR)

    def ping(self) -> Response:
        """200 once a prediction has been made, 503 before."""
        return Response(status=200 if self.batcher else 503)

    def execution_parameters(self) -> Response:
        """What a transform job should send."""
        return _answer(
            json,
            {
                "MaxConcurrentTransforms": self.settings.workers,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": min(6, self.settings.largest_body // configuration.MIB or 1),
            },
        )

    def invocations(self) -> Response:
        """Checks in the order 413, 415, 400, 406, 503, then predicts."""
        body = self._body()
        if self.batcher is None:
            raise Refusal(503, "the model is still being loaded: try again shortly", retry_after="1")
        given = _content_format()
        instances = self._parse(self.batcher, given, body)
        wanted = _accepted_format(given, self.settings.default_accept)
        try:
            answer = self.batcher.submit(instances)
        except Full:
            raise Refusal(503, f"{self.batcher.slots} requests are under way: try again", retry_after="1") from None
        try:
            predictions = answer.result(timeout=self.settings.deadline)
        except TimeoutError:
            raise Refusal(
                503, f"no answer within {self.settings.deadline} s: send fewer instances a request", retry_after="1"
            ) from None
        if wanted is not jsonlines:
            return _answer(wanted, {"predictions": predictions})
        lines = _answer(wanted, predictions)
        if self.settings.batch_transform:
            # A transform job that assembles by line ends each answer with a line break of its own.
            lines.set_data(lines.get_data().removesuffix(b"\n"))
        return lines

    def _body(self) -> bytes:
        limit = self.settings.largest_body
        body: bytes = b""
        if (request.content_length or 0) <= limit:
            body = request.environ["wsgi.input"].read(limit + 1)  # A chunked body states no length.
            if len(body) <= limit:
                return body
        _drain()
        raise Refusal(413, f"the body is larger than {limit / configuration.MIB:g} MiB: send fewer instances a request")

    def _parse(self, batcher: Batcher, given: Format, body: bytes) -> list[Any]:
        try:
            instances, wishes = _instances(given, body, self.settings.default_configuration)
            parsed = []
            for index, instance in enumerate(instances):
                try:
                    parsed.append(batcher.model.parse(instance, wishes))
                except UserError as error:
                    raise InstanceError(index, str(error)) from None
        except UserError as error:
            raise Refusal(400, str(error)) from None
        return parsed

    def refuse(self, refusal: Refusal) -> Response:
        """A sentence that says what was got, what is allowed and what to do."""
        headers = {name.replace("_", "-").title(): value for name, value in refusal.headers.items()}
        return _answer(json, {"error": str(refusal)}, refusal.status, headers)

    def refuse_http(self, error: HTTPException) -> Response:
        """A path or a method that is not ours."""
        text = f"{request.method} {request.path}: {error.name}. Here are GET /ping, POST /invocations and "
        return _answer(json, {"error": text + "GET /execution-parameters"}, error.code or 500)

    def fail(self, error: Exception) -> Response:
        """500 with an id under which the log has the traceback."""
        number = uuid.uuid4().hex[:12]
        print(
            f"error {number}: {error!r}\n{''.join(traceback.format_exception(error))}",
            file=sys.stderr,
            flush=True,
        )
        return _answer(json, {"error": f"a fault in the server: the log has more under id {number}", "id": number}, 500)

    def sign(self, response: Response) -> Response:
        """Echoes the variant, which the platform does not tell a client of the container itself."""
        if self.settings.variant:
            response.headers[ATTRIBUTES] = f"variant={self.settings.variant}"
        return response


def _content_format() -> Format:
    try:
        given = by_content_type(request.content_type)
    except UserError as error:
        raise Refusal(415, str(error)) from None
    if given not in (json, jsonlines):
        raise Refusal(415, f"content type {request.content_type!r} is not taken here: send {_TAKEN}")
    return given


def _instances(given: Format, body: bytes, default: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """The instances of a request and the configuration that goes for all of them."""
    value = given.decode(body) if body else None
    if given is jsonlines and value:
        return value, default
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list) or not value["instances"]:
        raise UserError('the body holds no instances: send {"instances": [...]}, or JSON Lines, one instance a line')
    wishes = value.get("configuration", default)
    if not isinstance(wishes, dict):
        raise UserError('configuration must be an object such as {"num_samples": 100}')
    return value["instances"], {**default, **wishes}


def _accepted_format(given: Format, default: str | None) -> Format:
    """The format that Accept asks for; where it asks for nothing, that of the request."""
    asked = request.accept_mimetypes
    if not asked or asked.best == "*/*":
        return by_content_type(default) if default else given
    best = asked.best_match([*json.CONTENT_TYPES, *jsonlines.CONTENT_TYPES])
    if best is None:
        raise Refusal(406, f"Accept {request.headers.get('Accept')!r} cannot be met: ask for {_TAKEN}")
    return by_content_type(best)


def _answer(kind: Format, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(kind.encode(value), status, dict(headers or {}), content_type=kind.CONTENT_TYPES[0])


def _drain() -> None:
    """Reads what the client is still sending: a connection cut in mid-body would hide the answer from it."""
    stream, left = request.environ["wsgi.input"], DRAINED_AT_MOST
    while left > 0 and (chunk := stream.read(min(left, 2**20))):
        left -= len(chunk)


_TAKEN = f"{json.CONTENT_TYPES[0]} or {jsonlines.CONTENT_TYPES[0]}"
