"""The Flask application: /ping, /invocations, /execution-parameters."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from polyadic.errors import UserError, classify
from polyadic.formats import FORMATS, Format, json
from polyadic.serving import content, places
from polyadic.serving import settings as configuration
from polyadic.serving.batching import Batcher, Full
from polyadic.serving.instances import Refusal, arrange, parse_all, read_instances, spoken_formats
from polyadic.serving.settings import Settings

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
MOST_ATTRIBUTE_CHARACTERS = 1024
BOOT_ERROR = 3
"""The exit code of a worker that makes gunicorn give up instead of starting another."""
MOST_DRAINED_BYTES = 128 * 2**20


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
        self.loaded = threading.Event()

    def load(self) -> None:
        """Loads and warms the model; a model that cannot be loaded ends the server, with the reason."""
        try:
            from polyadic.serving import repository

            list(FORMATS.values())  # Those that are slow to import are so now, not in the first request.
            self.batcher = Batcher(repository.load(self.settings.model_folder), self.settings.slots)
            self.loaded.set()
            places.tell_ready()
        except Exception as error:  # There is no one else to tell: the server must not live without a model.
            failure = classify(error)
            if not isinstance(failure, UserError):
                traceback.print_exc()
            print(f"error: {failure}", file=sys.stderr, flush=True)
            os._exit(BOOT_ERROR)

    @cached_property
    def spoken(self) -> list[Format]:
        """The formats of the model, which must be there."""
        assert self.batcher is not None
        return spoken_formats(self.batcher.model)

    def ping(self) -> Response:
        """200 once every worker has made a prediction, 503 before."""
        return Response(status=200 if self.loaded.is_set() and places.all_ready(self.settings.workers) else 503)

    def execution_parameters(self) -> Response:
        """What a transform job should send."""
        return _answer(
            json.FORMAT,
            {
                "MaxConcurrentTransforms": self.settings.workers,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": min(6, self.settings.largest_body // configuration.MIB or 1),
            },
        )

    def invocations(self) -> Response:
        """Checks in the order 503, 413, 415, 400, 406, then predicts; waits for a model that is still being loaded."""
        if not self.loaded.wait(self.settings.deadline):
            _drain()
            raise Refusal(503, "the model is still being loaded: try again shortly", retry_after="1")
        assert self.batcher is not None
        try:
            self.batcher.reserve()
        except Full:
            _drain()
            raise Refusal(503, f"{self.batcher.slots} requests are under way: try again", retry_after="1") from None
        try:
            model, spoken, body = self.batcher.model, self.spoken, self._body()
            asked = content.request_format(spoken)
            instances = self._parse(model, asked, body)
            wanted = content.answer_format(spoken, asked, self.settings.default_accept)
        except BaseException:
            self.batcher.release()
            raise
        answer = self.batcher.submit(instances)
        try:
            predictions = answer.result(timeout=self.settings.deadline)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        except TimeoutError:
            answer.cancel()  # What nobody waits for any more is not predicted.
            raise Refusal(
                503, f"no answer within {self.settings.deadline} s: send fewer instances a request", retry_after="1"
            ) from None
        response = _answer(wanted, arrange(wanted, predictions, model))
        if self.settings.batch_transform and wanted.ends_lines:
            # A transform job that assembles by line ends each answer with a line break of its own.
            response.set_data(response.get_data().rstrip(b"\r\n"))
        return response

    def _body(self) -> bytes:
        """The body, unpacked; 413 where it is too large, 415 for an unknown encoding, 400 where it is cut or broken."""
        limit, stated = self.settings.largest_body, request.content_length
        too_large = Refusal(
            413, f"the body is larger than {limit / configuration.MIB:g} MiB: send fewer instances a request"
        )
        body: bytes = b""
        try:
            if (stated or 0) <= limit:
                body = request.environ["wsgi.input"].read(limit + 1)  # A chunked body states no length.
        except Exception as error:  # Each server has errors of its own for a body that it cannot read.
            text = f"the body breaks off, or its chunks are broken: {error}"
            raise Refusal(400, text.rstrip(": "), connection="close") from None
        if (stated or 0) > limit or len(body) > limit:
            _drain()
            raise too_large
        if len(body) < (stated or 0):
            raise Refusal(400, f"the body ends after {len(body)} of {stated} bytes: send it whole", connection="close")
        unpacked = content.unpacked(body, limit)
        if unpacked is None:
            raise too_large
        return unpacked

    def _parse(self, model: Model, asked: Format, body: bytes) -> list[Any]:
        """The instances of a body, each checked by the model; 400 for the first that it refuses."""
        try:
            instances, configuration = read_instances(model, asked, body, self.settings.default_configuration)
            return parse_all(model, instances, configuration)
        except UserError as error:
            raise Refusal(400, str(error)) from None

    def refuse(self, refusal: Refusal) -> Response:
        """A sentence that says what was got, what is allowed and what to do."""
        headers = {name.replace("_", "-").title(): value for name, value in refusal.headers.items()}
        return _answer(json.FORMAT, {"error": str(refusal)}, refusal.status, headers)

    def refuse_http(self, error: HTTPException) -> Response:
        """A path or a method that is not ours."""
        text = f"{request.method} {request.path}: {error.name}. Here are GET /ping, POST /invocations and "
        return _answer(json.FORMAT, {"error": text + "GET /execution-parameters"}, error.code or 500)

    def fail(self, error: Exception) -> Response:
        """500 with an id under which the log has the traceback."""
        number = uuid.uuid4().hex[:12]
        print(
            f"error {number}: {error!r}\n{''.join(traceback.format_exception(error))}",
            file=sys.stderr,
            flush=True,
        )
        return _answer(
            json.FORMAT, {"error": f"a fault in the server: the log has more under id {number}", "id": number}, 500
        )

    def sign(self, response: Response) -> Response:
        """Echoes the variant, which the platform does not tell a client of the container itself.

        It is added to the attributes of the request, where both together are not longer than the platform passes on.
        """
        if self.settings.variant:
            own, given = f"variant={self.settings.variant}", request.headers.get(ATTRIBUTES, "")
            both = f"{given},{own}" if given else own
            response.headers[ATTRIBUTES] = both if len(both) <= MOST_ATTRIBUTE_CHARACTERS else own
        return response


def _answer(wanted: Format, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(wanted.encode(value), status, dict(headers or {}), content_type=wanted.content_types[0])


def _drain() -> None:
    """Reads what the client is still sending: a connection cut in mid-body would hide the answer from it."""
    stream, left = request.environ["wsgi.input"], MOST_DRAINED_BYTES
    with contextlib.suppress(Exception):  # Each server has errors of its own for a body that breaks off.
        while left > 0 and (chunk := stream.read(min(left, 2**20))):
            left -= len(chunk)
