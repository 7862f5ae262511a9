"""The description of the server holds: of every model's requests and answers, and under generated ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from polyadic.formats import json as document
from polyadic.serving.openapi import MODEL_REFUSALS
from tests.helpers.served_models import constant_cp, one_of_each, written
from tests.serving.test_app import ECHO, ready
from tests.serving.test_many import client_of

INSTANCES: dict[str, list[Any]] = {
    "cp": [
        [0, "ann", 3],
        {"index": [0, 1, 2]},
        {"index": [None, "bob", 2]},
        {"index": [None, 1, 2], "top_k": 3, "exclude": [0], "smallest": True},
        {"indices": [[0, 0, 0], [5, "eve", 3]]},
        {"fold_in": {"mode": 2, "slab": [[1.0] * 5] * 6}, "index": [0, "ann"]},
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [2], "absent": "zeros"}},
    ],
    "lda": [
        {"features": [1, 0, 0, 2, 0, 0, 0, 0]},
        {"data": {"features": {"keys": [1, 7], "shape": [8], "values": [2, 1]}}},
        {"data": {"features": {"values": [1, 0, 0, 2, 0, 0, 0, 0]}}},
    ],
    "forecaster": [{"start": "2020-01-01 00:00:00", "target": [1, None, "NaN", 2.5]}],
}
WRONG: dict[str, list[Any]] = {
    "cp": [[0, 0], [0, "nobody", 3], {"index": [0, 1, 9]}, {"index": [0, 1, 2], "top": 3}, {"top_k": 1}, 7],
    "lda": [{"features": [1]}, {"data": [1]}, {"features": {"keys": [9], "shape": [8], "values": [1]}}],
    "forecaster": [{"start": "2020-01-01"}, {"target": [1]}, {"start": "2020-01-01", "target": ["x"]}],
}


@pytest.mark.parametrize("name", list(one_of_each()))
def test_a_model_describes_what_it_takes_and_answers(name: str) -> None:
    model: Any = one_of_each()[name]
    schemas = model.schemas()
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    for instance in [model.example(), *INSTANCES.get(name, [])]:
        jsonschema.validate(instance, schemas.instance)
        query = model.parse(instance, {})
        answer = document.decode(document.encode(model.predict([query])[0]))
        jsonschema.validate(answer, schemas.prediction)
    for instance in WRONG.get(name, []):
        assert not jsonschema.Draft202012Validator(schemas.instance).is_valid(instance), instance


def test_a_configuration_is_described() -> None:
    schema = one_of_each()["forecaster"].schemas().configuration  # type: ignore[attr-defined]
    jsonschema.validate({"num_samples": 3, "quantiles": ["0.1"], "output_types": ["samples"]}, schema)
    for wrong in ({"num_samples": 0}, {"output_types": ["median"]}, {"samples": 1}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_each_format_of_a_model_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kinds in {"cp": 4, "lda": 5, "forecaster": 2}.items():
        client = ready(monkeypatch, one_of_each()[name])
        told = client.get("/openapi.json").get_json()
        operation = told["paths"]["/invocations"]["post"]
        assert len(operation["requestBody"]["content"]) == len(operation["responses"]["200"]["content"]) == kinds
    told = ready(monkeypatch, ECHO).get("/openapi.json").get_json()
    assert told["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert told["openapi"] == "3.1.0"


def test_a_model_that_is_not_loaded_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyadic.serving import app, settings
    from polyadic.serving.one import One

    monkeypatch.setattr(One, "load", lambda one: None)
    answer = app.application(settings.read({})).test_client().get("/openapi.json")
    assert (answer.status_code, "still being loaded" in answer.text) == (503, True)


def test_many_models_are_described_with_their_refusals(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    told = client.get("/openapi.json").get_json()
    assert {"/models", "/models/{name}", "/models/{name}/invoke"} <= set(told["paths"])
    assert set(told["paths"]["/models"]["post"]["responses"]) == {"200", *MODEL_REFUSALS}
    written(constant_cp(1), tmp_path / "models" / "h")
    body = json.dumps({"model_name": "a", "url": str(tmp_path / "models" / "h" / "model")})
    loaded = client.post("/models", data=body).get_json()
    schema = told["paths"]["/models"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(loaded, schema)
