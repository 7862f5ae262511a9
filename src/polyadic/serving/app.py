"""The Flask application: /ping, /invocations, /execution-parameters, /metrics, and /models of a container of many."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from polyadic.serving import content, metrics
from polyadic.serving import settings as configuration
from polyadic.serving.instances import Refusal
from polyadic.serving.many import Many
from polyadic.serving.one import One
from polyadic.serving.record import REQUEST_ID, TRACE, Record, current, log, log_fault
from polyadic.serving.settings import Settings

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
MOST_ATTRIBUTE_CHARACTERS = 1024
QUIET = ("/ping", "/metrics")
"""Paths that are asked all day long: they are neither counted nor logged."""


def application(settings: Settings | None = None) -> Flask:
    """The application of one worker: of one model, which is loaded beside it, or of many.

    /ping is answered from the first moment.
    """
    settings = settings or configuration.read()
    service = Service(settings)
    app = Flask("polyadic")
    app.add_url_rule("/execution-parameters", view_func=service.execution_parameters, methods=["GET"])
    app.add_url_rule("/metrics", view_func=service.metrics, methods=["GET"])
    app.before_request(service.begin)
    app.after_request(service.sign)
    app.register_error_handler(Refusal, service.refuse)
    app.register_error_handler(HTTPException, partial(service.refuse_http, app))
    app.register_error_handler(Exception, service.fail)
    metrics.keep_counting()
    (Many if settings.many_models else One)(settings).join(app)
    return app


class Service:
    """What a worker answers whatever its models are, and what every answer carries."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def execution_parameters(self) -> Response:
        """What a transform job should send."""
        return content.document(
            {
                "MaxConcurrentTransforms": self.settings.workers,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": min(6, self.settings.largest_body // configuration.MIB or 1),
            }
        )

    def metrics(self) -> Response:
        """The figures of all workers, as Prometheus reads them."""
        text, kind = metrics.text()
        return Response(text, content_type=kind)

    def begin(self) -> None:
        """A record for the request."""
        asked = request._get_current_object()  # type: ignore[attr-defined]
        g.record = record = Record.of_request(asked.environ)
        if asked.path not in QUIET:
            metrics.begun(record)

    def sign(self, response: Response) -> Response:
        """What every answer carries: the request's number and trace, and the variant; it is counted once it is sent.

        The variant, which the platform does not tell a client of the container itself, is added to the attributes of
        the request, where both together are not longer than the platform passes on.
        """
        record, asked = current(), request._get_current_object()  # type: ignore[attr-defined]
        response.headers[REQUEST_ID] = record.id
        if record.trace:
            response.headers[TRACE] = record.trace
        if self.settings.variant:
            own, given = f"variant={self.settings.variant}", asked.headers.get(ATTRIBUTES, "")
            both = f"{given},{own}" if given else own
            response.headers[ATTRIBUTES] = both if len(both) <= MOST_ATTRIBUTE_CHARACTERS else own
        if asked.path not in QUIET:
            response.call_on_close(partial(self._end, record, asked.method, asked.path, response.status_code))
        return response

    def _end(self, record: Record, method: str, path: str, status: int) -> None:
        metrics.ended(record, status, time.monotonic() - record.began)
        if self.settings.access_log:
            log(record.line(method, path, status, self.settings.variant))

    def refuse(self, refusal: Refusal) -> Response:
        """A sentence that says what was got, what is allowed and what to do."""
        headers = {name.replace("_", "-").title(): value for name, value in refusal.headers.items()}
        return _told(str(refusal), refusal.status, headers)

    def refuse_http(self, app: Flask, error: HTTPException) -> Response:
        """A path or a method that is not ours."""
        here = sorted(
            f"{method} {rule.rule}"
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if rule.endpoint != "static"
        )
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        sentence = f"{request.method} {request.path}: {error.name}. Here are {', '.join(here)}"
        return _told(sentence, error.code or 500, headers)

    def fail(self, error: Exception) -> Response:
        """500 with an id under which the log has the traceback."""
        sentence, number = log_fault(error)
        return _told(sentence, 500, id=number)


def _told(sentence: str, status: int, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    sentence = sentence.encode(errors="backslashreplace").decode()  # What a request quotes may be no text.
    return content.document({"error": sentence, **more}, status, headers)
