"""Instances from the values of formats, and predictions as formats take them.

They are arranged by the form of a format, never by its name: a new format is served as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from polyadic.errors import InstanceError, UserError
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
    return names_of([each for form in forms for each in FORMATS.values() if each.form is form])


def names_of(formats: Sequence[Format]) -> str:
    """The usual content types of formats, for a message."""
    *others, last = (each.content_types[0] for each in formats)
    return f"{', '.join(others)} or {last}" if others else last


def parse_all(model: Model, instances: Sequence[Any], configuration: Mapping[str, Any]) -> list[Any]:
    """The instances, each checked by the model; InstanceError for the first that it refuses."""
    if len(instances) > 1:
        from polyadic.jobs.model import Together

        if isinstance(model, Together):
            with suppress(UserError):  # One by one tells which it is.
                if (together := model.parse_together(instances, configuration)) is not None:
                    return together
    parsed = []
    for index, instance in enumerate(instances):
        try:
            parsed.append(model.parse(instance, configuration))
        except UserError as error:
            raise InstanceError(index, str(error)) from None
    return parsed
