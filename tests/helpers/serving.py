"""The serving application over a model's folder, without a server."""

from __future__ import annotations

import time
from pathlib import Path

from flask.testing import FlaskClient

from polyadic.serving import app, settings


def ready_client(base: Path, seconds: float = 60) -> FlaskClient:
    """A client of the application that has loaded and warmed the model in base/model."""
    client = app.application(settings.read({"SAGEMAKER_BASE_DIR": str(base)})).test_client()
    deadline = time.monotonic() + seconds
    while client.get("/ping").status_code != 200:
        assert time.monotonic() < deadline, "the model was not loaded in time"
        time.sleep(0.01)
    return client
