"""The serving application over a model's folder, without a server and in the real one."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import urllib3
from flask.testing import FlaskClient

from polyadic.serving import app, settings
from tests.helpers.opt_ml import OptMl, Process, free_ports

JSON = {"Content-Type": "application/json"}
http = urllib3.PoolManager(retries=False, timeout=60)


def ready_client(base: Path, seconds: float = 60) -> FlaskClient:
    """A client of the application that has loaded and warmed the model in base/model."""
    client = app.application(settings.read({"SAGEMAKER_BASE_DIR": str(base)})).test_client()
    deadline = time.monotonic() + seconds
    while client.get("/ping").status_code != 200:
        assert time.monotonic() < deadline, "the model was not loaded in time"
        time.sleep(0.01)
    return client


class Server:
    """A server of one variant."""

    def __init__(self, job: OptMl, **environ: str) -> None:
        self.port = free_ports()
        self.run: Process = job.start(
            "serve",
            **{
                "SAGEMAKER_BIND_TO_PORT": str(self.port),
                "MODEL_VARIANT": "tt-lstm",
                "MODEL_SERVER_WORKERS": "1",
                **environ,
            },
        )

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        return http.request(method, f"http://127.0.0.1:{self.port}{path}", body=body, headers=headers or JSON)

    def ping(self) -> int:
        try:
            return int(self.send("GET", "/ping").status)
        except urllib3.exceptions.HTTPError:
            return 0

    def ready(self) -> Server:
        self.run.until(lambda: self.ping() == 200)
        return self

    def stop(self) -> None:
        self.run.process.send_signal(signal.SIGTERM)
        assert self.run.wait(30) == 0, self.run.output
