"""What a request is written in and what its answer shall be: Content-Type and Accept -> formats, instances, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import request

from polyadic.errors import UserError
from polyadic.formats import Format, by_content_type, csv, json, jsonlines, npy, recordio

if TYPE_CHECKING:
    from polyadic.jobs.job import Model


class Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def spoken(model: Model) -> list[Format]:
    """What a model reads and answers in."""
    from polyadic.jobs.job import Recorded, Tabular

    tables = [csv, npy] if isinstance(model, Tabular) else []
    return [json, jsonlines, *tables, *([recordio] if isinstance(model, Recorded) else [])]


def content_format(known: Sequence[Format]) -> Format:
    """The format that a request is written in; 415 for one that the model does not take."""
    given = _spoken(request.content_type, known)
    if given is None:
        raise Refusal(415, f"content type {request.content_type!r} is not taken here: send {_names(known)}")
    return given


def instances(
    model: Any, given: Format, body: bytes, default: Mapping[str, Any]
) -> tuple[list[Any], Mapping[str, Any]]:
    """The instances of a request and the configuration that goes for all of them."""
    value = given.decode(body) if body else None
    if given is jsonlines and value:
        return value, default
    if (given is csv and value) or (given is npy and value is not None and value.size):
        return model.from_table(value), default
    if given is recordio and value is not None and len(value):
        return model.from_records(value), default
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list) or not value["instances"]:
        raise UserError(f"the body holds no instances: {_SEND.get(given, _SEND_JSON)}")
    wishes = value.get("configuration", default)
    if not isinstance(wishes, dict):
        raise UserError('configuration must be an object such as {"num_samples": 100}')
    return value["instances"], {**default, **wishes}


def accepted_format(known: Sequence[Format], given: Format, default: str | None) -> Format:
    """The format that Accept asks for; where it asks for nothing, the server's default or that of the request."""
    asked = request.accept_mimetypes
    if not asked or asked.best == "*/*":
        wanted = _spoken(default, known) if default else given
        said = f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT {default!r}"
    else:
        best = asked.best_match([kind for one in known for kind in one.CONTENT_TYPES])
        wanted = _spoken(best, known)
        said = f"Accept {request.headers.get('Accept')!r}"
    if wanted is None:
        raise Refusal(406, f"{said} cannot be met: ask for {_names(known)}")
    return wanted


def _spoken(content_type: str | None, known: Sequence[Format]) -> Format | None:
    """The format of a content type, if it is among those."""
    try:
        found = by_content_type(content_type)
    except UserError:
        return None
    return found if found in known else None


def arrange(wanted: Format, predictions: list[Any], model: Any) -> Any:
    """The predictions as a format writes them; 406 for those that are no table."""
    if wanted is json:
        return {"predictions": predictions}
    if wanted in (jsonlines, recordio):
        return predictions
    try:
        table = model.to_table(predictions)
    except UserError as error:
        raise Refusal(406, f"{error}, as {wanted.CONTENT_TYPES[0]} has them: ask for {_names([json])}") from None
    if wanted is csv:
        return table if isinstance(table, list) else table.tolist()
    if isinstance(table, list):
        raise Refusal(406, f"the answers differ in length and make no array: ask for {_names([json, csv])}")
    return table[:, 0] if table.shape[1] == 1 else table


def _names(known: Sequence[Format]) -> str:
    *first, last = (one.CONTENT_TYPES[0] for one in known)
    return f"{', '.join(first)} or {last}" if first else last


_SEND_JSON = 'send {"instances": [...]}, or JSON Lines, one instance a line'
_SEND: Mapping[Any, str] = {
    csv: "send rows of comma-separated values, one instance a line",
    recordio: "send records with the feature `values`, one instance a record",
    npy: "send an array written with numpy.save, one index a row",
}
