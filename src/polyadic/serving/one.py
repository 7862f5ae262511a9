"""A container of one model: /ping and /invocations."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback

from flask import Flask, Response

from polyadic.errors import UserError, classify
from polyadic.formats import FORMATS
from polyadic.serving import content, openapi, places
from polyadic.serving.batching import Slots
from polyadic.serving.instances import Refusal
from polyadic.serving.served import Served, in_slot
from polyadic.serving.settings import Settings

BOOT_ERROR = 3
"""The exit code of a worker that makes gunicorn give up instead of starting another."""


class One:
    """One worker's model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.served: Served | None = None
        self.loaded = threading.Event()

    def join(self, app: Flask) -> None:
        """Adds the paths to the application, and loads the model beside it."""
        app.add_url_rule("/ping", view_func=self.ping, methods=["GET"])
        app.add_url_rule("/openapi.json", view_func=self.describe, methods=["GET"])
        view = in_slot(Slots(self.settings.slots), self.invocations)
        app.add_url_rule("/invocations", "invocations", view, methods=["POST"])
        threading.Thread(target=self.load, name="load", daemon=True).start()

    def load(self) -> None:
        """Loads and warms the model; a model that cannot be loaded ends the server, with the reason."""
        try:
            from polyadic.serving import repository

            list(FORMATS.values())  # Those that are slow to import are so now, not in the first request.
            served = repository.load(self.settings.model_folder, self.settings)
            places.tell_ready()
            self.serve(served)
        except Exception as error:  # There is no one else to tell: the server must not live without a model.
            failure = classify(error)
            if not isinstance(failure, UserError):
                traceback.print_exc()
            print(f"error: {failure}", file=sys.stderr, flush=True)
            os._exit(BOOT_ERROR)

    def serve(self, served: Served) -> None:
        """Answers with a model from now on."""
        self.served = served
        gc.collect()
        gc.freeze()  # What stands until the end is not looked through again and again.
        self.loaded.set()

    def ping(self) -> Response:
        """200 once every worker has made a prediction, 503 before."""
        return Response(status=200 if self.loaded.is_set() and places.all_ready(self.settings.workers) else 503)

    def describe(self) -> Response:
        """What the model is asked and answers; 503 while it is being loaded."""
        if self.served is None:
            raise Refusal(503, "the model is still being loaded: try again shortly", retry_after="1")
        return content.document(openapi.describe(openapi.of_one(self.served.model, self.served.spoken)))

    def invocations(self) -> Response:
        """The model's answer; waits for a model that is still being loaded."""
        if not self.loaded.wait(self.settings.deadline):
            content.drain()
            raise Refusal(503, "the model is still being loaded: try again shortly", retry_after="1")
        assert self.served is not None
        return self.served.answer()
