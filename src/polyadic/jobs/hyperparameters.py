"""Hyperparameters: strings of any producer in, one frozen typed value out."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from polyadic.errors import UserError, unknown
from polyadic.options import Options

H = TypeVar("H", bound="Hyperparameters")


class Hyperparameters(Options):
    """What a job may set; each field is made by `polyadic.options.option`.

    renamed: former names of fields, each with the present name, which the refusal of the former one tells.
    """

    renamed: ClassVar[Mapping[str, str]] = {}


def word_for_none(field: FieldInfo) -> str:
    """What a job writes for None."""
    extra = field.json_schema_extra
    return str(extra.get("none", "")) if isinstance(extra, dict) else ""


def is_foreign(key: str) -> bool:
    """Whether a key is the platform's or a toolkit's rather than the job's."""
    return key.startswith(("_", "sagemaker_"))


def bare(value: object) -> object:
    """A value without the JSON quoting that some producers add, up to two layers of it."""
    for _ in range(2):
        if isinstance(value, str):
            value = value.strip()
            if len(value) >= 2 and value[0] == value[-1] == '"':
                try:
                    value = json.loads(value)
                except json.JSONDecodeError:
                    return value
    return value


def parse(kind: type[H], raw: Mapping[str, object]) -> H:
    """The typed value of a job's hyperparameters; one UserError names everything wrong with them."""
    faults, values = [], {}
    for key, value in raw.items():
        if key in kind.renamed:
            faults.append(_former_name(kind, key))
        elif key not in kind.model_fields:
            faults.append(unknown("hyperparameter", key, list(kind.model_fields)))
        else:
            values[key] = _convert(bare(value), kind.model_fields[key])
    try:
        result = kind(**values)
    except ValidationError as error:
        result = None
        faults += [_explain(kind, fault) for fault in error.errors(include_url=False)]
    if faults or result is None:
        raise UserError(". ".join(dict.fromkeys(faults)))
    return result


def _former_name(kind: type[Hyperparameters], name: str) -> str:
    """The sentence for a name that a field once had."""
    present = kind.renamed[name]
    field = kind.model_fields[present]
    return f"hyperparameter {name} is called {present} here: {allowed(field)} ({field.description})"


def shape(field: FieldInfo) -> tuple[Any, bool]:
    """A field's type without None, and whether None is allowed (written as an empty string)."""
    if get_origin(field.annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
        return kinds[0], True
    return field.annotation, False


def bounds(field: FieldInfo) -> dict[str, Any]:
    """A field's bounds by the names ge, gt, le and lt."""
    kinds = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt"}
    return {kinds[type(bound)]: getattr(bound, kinds[type(bound)]) for bound in field.metadata if type(bound) in kinds}


def allowed(field: FieldInfo) -> str:
    """The values that a field takes, in words."""
    kind, optional = shape(field)
    if get_origin(kind) is Literal:
        words = " or ".join(get_args(kind))
    elif get_origin(kind) in (list, tuple):
        words = "an integer or a list such as " if int in get_args(field.annotation) else "a list such as "
        words += "[20, 20, 5]" if get_args(kind) == (int,) else "[0.1, 0.5, 0.9]"
    else:
        words = {int: "an integer", float: "a number", bool: "true or false"}.get(kind, "a text")
    signs = {"ge": "{} or more", "gt": "more than {}", "le": "{} at most", "lt": "less than {}"}
    limits = " and ".join(signs[name].format(f"{bound:g}") for name, bound in bounds(field).items())
    return words + (f", {limits}" if limits else "") + (f", or {word_for_none(field) or 'empty'}" if optional else "")


def _convert(value: object, field: FieldInfo) -> object:
    kind, optional = shape(field)
    if optional and (
        value is None or (isinstance(value, str) and value.lower() in ("", "null", "none", word_for_none(field)))
    ):
        return None
    if isinstance(value, bool) and kind in (int, float):
        return str(value)  # Pydantic would take true for 1.
    if not isinstance(value, str):
        return value
    if get_origin(kind) in (list, tuple):
        values = _list(value)
        if isinstance(values, bool):
            return value
        whole = get_args(kind) == (int,) and isinstance(values, list)
        return [_whole(str(number)) for number in values] if whole else values
    if get_origin(kind) is Literal:
        return next((choice for choice in get_args(kind) if choice.lower() == value.lower()), value)
    if kind is int:
        return _whole(value)
    return value


def _whole(text: str) -> object:
    """An integer, also where a tuner has written it as 5.0 or 5e0."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else text


def _list(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [part.strip().strip("'\"") for part in text.strip("[]()").split(",")]


def _explain(kind: type[Hyperparameters], fault: Any) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    field = kind.model_fields.get(name)
    if field is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"hyperparameter {name} is missing: it must be {allowed(field)} ({field.description})"
    if fault["type"] == "value_error":
        return f"hyperparameter {name} is {fault['input']!r}: {str(fault['msg']).removeprefix('Value error, ')}"
    return f"hyperparameter {name} is {fault['input']!r}: it must be {allowed(field)}"
