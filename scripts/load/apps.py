"""Applications that gunicorn runs in the place of ours, to measure against: gunicorn 'scripts.load.apps:NAME()'."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

from polyadic.serving import app as serving
from polyadic.serving import settings
from polyadic.serving.batching import Batcher, Work
from polyadic.serving.served import Served


def constant() -> Flask:
    """What HTTP costs: the body is read, and the same few bytes are answered."""
    app = Flask("constant")

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200)

    @app.post("/invocations")
    def invocations() -> Response:
        request.get_data()
        return Response(b'{"predictions":[{"value":0.123456789}]}', content_type="application/json")

    return app


class Constant:
    """A model that is no work."""

    def parse(self, instance: Any, configuration: Any) -> Any:
        """The instance as it is."""
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        """The same answer to all."""
        return [{"value": 0.123456789}] * len(instances)


def modelless() -> Flask:
    """Ours, with a model that is no work: what reading, checking, batching, figures and the log cost beside HTTP."""
    from polyadic.serving import repository

    model: Any = Constant()
    repository.load = lambda folder, settings, name="": Served(model, settings)
    return serving.application()


def unbatched() -> Flask:
    """Ours, but each request is predicted alone."""

    def one(self: Batcher, own: Work, batch: list[Work]) -> None:
        with self._lock:
            work = self._waiting.popleft()
        if self._prepare(work):
            batch.append(work)
        else:
            self._tell(work, own)

    Batcher._next = one  # type: ignore[method-assign]
    Batcher._linger = lambda self, own: None  # type: ignore[method-assign]
    return serving.application()


def plain() -> Flask:
    """What one would write in an afternoon: Flask's own JSON, a model behind a lock."""
    model: Any = loaded(settings.read().model_folder)
    app, lock = Flask("plain"), threading.Lock()

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200)

    @app.post("/invocations")
    def invocations() -> Response:
        asked = request.get_json()
        parsed = [model.parse(instance, asked.get("configuration", {})) for instance in asked["instances"]]
        with lock:
            predictions = model.predict(parsed)
        return jsonify(predictions=[plainly(prediction) for prediction in predictions])

    return app


def loaded(folder: Path) -> Any:
    """The model of a folder, which has predicted once."""
    from polyadic.serving import repository
    from polyadic.serving.settings import read

    return repository.load(folder, read()).model


def plainly(value: Any) -> Any:
    """A value without arrays, as Python's own json takes it."""
    if isinstance(value, dict):
        return {key: plainly(each) for key, each in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
