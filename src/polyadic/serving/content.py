"""What a request is written in, and what its answer shall be written in: Content-Type and Accept -> formats.

Instances and predictions are arranged by the form of a format, never by its name: a new format is served as it is.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import request

from polyadic.errors import UserError
from polyadic.formats import FORMATS, Form, Format

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

_DOCUMENT = 'send {"instances": [...]}, or JSON Lines, with one instance per line'
_ADVICE = {
    Form.DOCUMENT: _DOCUMENT,
    Form.LINES: _DOCUMENT,
    Form.TABLE: "send a table, with one instance per row",
    Form.ARRAY: "send an array, with one instance per row",
    Form.RECORDS: "send records with the feature `values`, one instance per record",
}


class Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def spoken_formats(model: Model) -> list[Format]:
    """The formats that a model is asked in and answers in, in the order of their forms."""
    forms = _spoken_forms(model)
    return sorted((each for each in FORMATS.values() if each.form in forms), key=lambda each: forms.index(each.form))


def _spoken_forms(model: Model) -> list[Form | None]:
    from polyadic.jobs.model import Recorded, Tabular

    tables = [Form.TABLE, Form.ARRAY] if isinstance(model, Tabular) else []
    return [Form.DOCUMENT, Form.LINES, *tables, *([Form.RECORDS] if isinstance(model, Recorded) else [])]


def unpacked(body: bytes, limit: int) -> bytes | None:
    """A body without its Content-Encoding, of which gzip is known; None where it is longer than `limit`.

    Refused with 415 for another encoding, and with 400 for gzip that is broken or ends early.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, f"Content-Encoding {encoding!r} is not taken here: send the body as it is, or gzip")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(limit + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise Refusal(400, f"the body is not gzip, as its Content-Encoding says: {error}") from None
    return plain if len(plain) <= limit else None


def request_format(spoken: Sequence[Format]) -> Format:
    """The format that a request is written in; 415 for one that the model does not speak."""
    asked = _by_content_type(request.content_type, spoken)
    if asked is None:
        raise Refusal(415, f"content type {request.content_type!r} is not taken here: send {_names(spoken)}")
    return asked


def answer_format(spoken: Sequence[Format], asked: Format, default: str | None) -> Format:
    """The format that Accept asks for; where it asks for nothing, the server's default or that of the request."""
    usual = _by_content_type(default, spoken) if default else asked
    accepted = [_bare(kind) for kind, quality in request.accept_mimetypes if quality > 0]
    for kind in accepted or ["*/*"]:
        if kind in ("*/*", "*"):
            if usual is None:
                raise Refusal(
                    406, f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT {default!r} cannot be met: ask for {_names(spoken)}"
                )
            return usual
        wanted = next((each for each in spoken if any(_matches(kind, own) for own in each.content_types)), None)
        if wanted is not None:
            return wanted
    raise Refusal(406, f"Accept {request.headers.get('Accept')!r} cannot be met: ask for {_names(spoken)}")


def _bare(content_type: str) -> str:
    """A content type without its parameters: those that are not understood exclude no format."""
    return content_type.partition(";")[0].strip().lower()


def _matches(wanted: str, content_type: str) -> bool:
    return wanted == content_type or (wanted.endswith("/*") and content_type.startswith(wanted[:-1]))


def _by_content_type(content_type: str | None, spoken: Sequence[Format]) -> Format | None:
    """The format of a content type, whatever its parameters; None where it is none of these."""
    bare = _bare(content_type or "")
    return next((each for each in spoken if bare in each.content_types), None)


def read_instances(
    model: Any, asked: Format, body: bytes, default: Mapping[str, Any]
) -> tuple[list[Any], Mapping[str, Any]]:
    """The instances of a request, and the configuration that holds for all of them.

    Raises UserError for a body that does not read, and for one that holds no instances.
    """
    value = asked.decode(body) if body else None
    match asked.form:
        case Form.LINES if value:
            return value, default
        case Form.TABLE if value:
            return model.from_table(value), default
        case Form.ARRAY if value is not None and value.size:
            return model.from_table(value), default
        case Form.RECORDS if value is not None and len(value):
            return model.from_records(value), default
        case Form.DOCUMENT | Form.LINES | Form.TABLE | Form.ARRAY | Form.RECORDS as form:
            return _of_document(value, default, _ADVICE[form])
    raise AssertionError(f"{asked.name} is no format of requests")


def _of_document(value: Any, default: Mapping[str, Any], advice: str) -> tuple[list[Any], Mapping[str, Any]]:
    """The instances and the configuration of {"instances": [...], "configuration": {...}}."""
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list) or not value["instances"]:
        raise UserError(f"the body holds no instances: {advice}")
    configuration = value.get("configuration", default)
    if not isinstance(configuration, dict):
        raise UserError('configuration must be an object such as {"num_samples": 100}')
    return value["instances"], {**default, **configuration}


def arrange(wanted: Format, predictions: list[Any], model: Any) -> Any:
    """The predictions as a format takes them; 406 for predictions that make no table, or no array."""
    if wanted.form is Form.DOCUMENT:
        return {"predictions": predictions}
    if wanted.form in (Form.LINES, Form.RECORDS):
        return predictions
    try:
        table = model.to_table(predictions)
    except UserError as error:
        others = _names_of_forms([Form.DOCUMENT])
        raise Refusal(406, f"{error}, as {wanted.content_types[0]} has them: ask for {others}") from None
    if wanted.form is Form.TABLE:
        return table if isinstance(table, list) else table.tolist()
    if isinstance(table, list):
        others = _names_of_forms([Form.DOCUMENT, Form.TABLE])
        raise Refusal(406, f"the answers differ in length and make no array: ask for {others}")
    return table[:, 0] if table.shape[1] == 1 else table


def _names_of_forms(forms: Sequence[Form]) -> str:
    return _names([each for form in forms for each in FORMATS.values() if each.form is form])


def _names(formats: Sequence[Format]) -> str:
    """The usual content types of formats, for a message."""
    *others, last = (each.content_types[0] for each in formats)
    return f"{', '.join(others)} or {last}" if others else last
