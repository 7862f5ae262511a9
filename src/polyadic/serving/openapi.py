"""GET /openapi.json: what the server is asked and answers, from the models' own descriptions (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from polyadic.formats import FORMATS, Form, Format
from polyadic.jobs.model import Described, Model, Schemas

ANYTHING = Schemas(instance={}, configuration={"type": "object"}, prediction={})
REFUSALS = {
    "400": "the body, an instance or a parameter is wrong; the sentence has the number of the instance",
    "404": "there is no such path or model",
    "406": "the format that Accept asks for is not one of the model's",
    "408": "the request came too slowly",
    "413": "the body is too large",
    "415": "the content type, its charset or the encoding is not taken",
    "500": "a fault of the server's own, with an id under which its log has more",
    "503": "too many requests are under way, or the answer took too long; Retry-After says when to try again",
}
MODEL_REFUSALS = {
    **REFUSALS,
    "409": "a model of that name is loaded",
    "507": "the model does not fit into the memory that is left",
}
MODEL = {"type": "object", "properties": {"modelName": {"type": "string"}, "modelUrl": {"type": "string"}}}
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def describe(paths: dict[str, Any]) -> dict[str, Any]:
    """The document of a server with these paths, and those that every server has."""
    fault = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    parameters = {
        "type": "object",
        "properties": {
            "MaxConcurrentTransforms": {"type": "integer", "minimum": 1},
            "BatchStrategy": {"enum": ["MULTI_RECORD"]},
            "MaxPayloadInMB": {"type": "integer", "minimum": 0},
        },
    }
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "polyadic", "version": version("polyadic"), "license": {"name": "Apache-2.0"}},
        "paths": {
            "/ping": {"get": {"responses": {"200": {"description": "ready"}, "503": {"description": "not ready yet"}}}},
            "/execution-parameters": {"get": _operation(_json(parameters), {})},
            "/metrics": {"get": {"responses": {"200": {"description": "figures for Prometheus", "content": text}}}},
            **paths,
        },
        "components": {"schemas": {"Fault": fault}},
    }


def of_one(model: Model, spoken: Sequence[Format]) -> dict[str, Any]:
    """The paths of a server of one model."""
    schemas = model.schemas() if isinstance(model, Described) else ANYTHING
    return {"/invocations": {"post": _invocation(schemas, spoken, REFUSALS)}}


def of_many() -> dict[str, Any]:
    """The paths of a server of many models, of which each describes its own requests."""
    token = {"type": "string"}
    listed = {"type": "object", "properties": {"models": {"type": "array", "items": MODEL}, "nextPageToken": token}}
    target = {"name": "X-Amzn-SageMaker-Target-Model", "in": "header", "required": True, "schema": {"type": "string"}}
    page = [
        {"name": "next_page_token", "in": "query", "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    ]
    asked = {
        "type": "object",
        "properties": {"model_name": {"type": "string"}, "url": {"type": "string"}},
        "required": ["model_name", "url"],
    }
    spoken = [each for each in FORMATS.values() if each.form is not None]
    return {
        "/models": {
            "get": {"parameters": page, **_operation(_json(listed), MODEL_REFUSALS)},
            "post": {
                "requestBody": {"required": True, "content": _json(asked)},
                **_operation(_json(MODEL), MODEL_REFUSALS),
            },
        },
        "/models/{name}": {
            "parameters": [NAME],
            "get": _operation(_json(MODEL), MODEL_REFUSALS),
            "delete": _operation(_json({"type": "object"}), MODEL_REFUSALS),
        },
        "/invocations": {"parameters": [target], "post": _invocation(ANYTHING, spoken, MODEL_REFUSALS)},
        "/models/{name}/invoke": {"parameters": [NAME], "post": _invocation(ANYTHING, spoken, MODEL_REFUSALS)},
    }


def _invocation(schemas: Schemas, spoken: Sequence[Format], refusals: dict[str, str]) -> dict[str, Any]:
    """A request for predictions, in each of the formats that are spoken."""
    document = {
        "type": "object",
        "properties": {
            "instances": {"type": "array", "items": schemas.instance, "minItems": 1},
            "configuration": schemas.configuration,
        },
        "required": ["instances"],
    }
    answer = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": schemas.prediction}},
        "required": ["predictions"],
    }
    asked, answered = dict[str, Any](), dict[str, Any]()
    for each in spoken:
        is_document = each.form is Form.DOCUMENT
        asked[each.content_types[0]] = {"schema": document if is_document else _text(each)}
        answered[each.content_types[0]] = {"schema": answer if is_document else _text(each)}
    return {"requestBody": {"required": True, "content": asked}, **_operation(answered, refusals)}


def _text(of: Format) -> dict[str, Any]:
    """What is no JSON document is text or bytes to OpenAPI."""
    return {"description": (of.form and of.form.name.lower()) or "", "type": "string"}


def _operation(content: dict[str, Any], refusals: dict[str, str]) -> dict[str, Any]:
    fault = _json({"$ref": "#/components/schemas/Fault"})
    refused = {status: {"description": why, "content": fault} for status, why in refusals.items()}
    return {"responses": {"200": {"description": "the answer", "content": content}, **refused}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
