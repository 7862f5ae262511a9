"""A fault of ours: 500 with an id, and no traceback for the client."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient

from polyadic.serving import app as serving
from polyadic.serving import settings
from polyadic.serving.batching import Batcher


class Faulty:
    """A model that breaks on every prediction."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        raise RuntimeError("secret inner state")


def ready(monkeypatch: pytest.MonkeyPatch, model: Any, **environ: str) -> FlaskClient:
    """A client of an application that serves the model."""
    monkeypatch.setattr(serving.Service, "load", lambda service: setattr(service, "batcher", Batcher(model, 2)))
    client = serving.application(settings.read(environ)).test_client()
    while client.get("/ping").status_code != 200:
        pass
    return client


def test_a_fault_is_answered_with_an_id_that_the_log_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = ready(monkeypatch, Faulty())
    answer = client.post("/invocations", json={"instances": [1]})
    body = json.loads(answer.data)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert body["id"] in capsys.readouterr().err


def test_until_the_model_is_warm_everything_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.Service, "load", lambda service: None)
    client = serving.application(settings.read({})).test_client()
    assert client.get("/ping").status_code == 503
    answer = client.post("/invocations", json={"instances": [1]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


class Echo:
    """Answers with the instance."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        return [{"value": instance} for instance in instances]


@pytest.mark.parametrize(("batch", "end"), [("true", b'{"value":2}'), ("false", b'{"value":2}\n')])
def test_a_transform_job_s_lines_end_without_a_break(monkeypatch: pytest.MonkeyPatch, batch: str, end: bytes) -> None:
    client = ready(monkeypatch, Echo(), SAGEMAKER_BATCH=batch)
    answer = client.post("/invocations", data=b"1\n2\n", content_type="application/jsonlines")
    assert answer.data == b'{"value":1}\n' + end
    one = client.post(
        "/invocations", data=b"1\n", content_type="application/jsonlines", headers={"Accept": "application/json"}
    )
    assert json.loads(one.data) == {"predictions": [{"value": 1}]}


class Slow:
    """A model that takes longer than it may."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        threading.Event().wait(3)
        return [{} for _ in instances]


def test_a_prediction_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Slow(), MODEL_SERVER_TIMEOUT="6")
    answer = client.post("/invocations", json={"instances": [1]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "no answer within 1 s: send fewer instances a request" in answer.text
