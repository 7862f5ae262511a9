"""Requests and answers against botocore's own description of SageMaker: types, required members and constraints.

botocore's validator knows required members, types and minima; SageMaker also refuses by maximum, enum and pattern.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, OperationNotFoundError, ServiceModel, Shape, StructureShape

TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Alnum}": "A-Za-z0-9"}
"""Java's classes of characters as they stand in brackets, where an underscore is allowed as well."""


class Fault(Exception):
    """An error that a client gets in the shape of AWS's JSON protocol."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def invalid(message: str) -> Fault:
    """What SageMaker calls most of what is wrong with a request."""
    return Fault("ValidationException", message)


@cache
def service() -> ServiceModel:
    """SageMaker's control plane."""
    return botocore.session.get_session().get_service_model("sagemaker")


def operation(name: str) -> OperationModel:
    """An operation by its name in X-Amz-Target; Fault for one that SageMaker does not have."""
    try:
        return service().operation_model(name)
    except OperationNotFoundError:
        raise Fault("UnknownOperationException", f"SageMaker has no operation {name}") from None


def check_request(model: OperationModel, request: Any) -> None:
    """Raises Fault, with all faults, for a request of another type, one that lacks a member or breaks a constraint."""
    if model.input_shape is None:
        return
    try:
        faults = list(_faults(model.input_shape, request, ""))
    except _WrongTypeError as error:
        raise Fault("SerializationException", str(error)) from None
    if faults:
        count = f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected"
        raise invalid(f"{count}: {'; '.join(faults)}")


def answer(model: OperationModel, document: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a document that the answer of an operation has, as JSON writes them."""
    shape = model.output_shape
    return {} if shape is None else _written(shape, document)


class _WrongTypeError(Exception):
    pass


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    fits = isinstance(value, TYPES[shape.type_name])
    if not fits or (isinstance(value, bool) and shape.type_name != "boolean"):
        got = "null" if value is None else type(value).__name__
        raise _WrongTypeError(f"{path or 'the request'} is of the type {got}: it must be a {shape.type_name}")
    yield from (_sentence(value, path, rule) for rule in _broken_rules(shape, value))
    if shape.type_name == "structure":
        yield from _members(shape, value, path)
    elif shape.type_name == "list":
        for number, member in enumerate(value, 1):
            yield from _faults(shape.member, member, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, member in value.items():
            yield from _faults(shape.key, key, f"{path}.key")
            yield from _faults(shape.value, member, f"{path}.{key}.member")


def _members(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _sentence(None, _below(path, name), "Member must not be null")
    for name, member in value.items():
        if name in shape.members and member is not None:
            yield from _faults(shape.members[name], member, _below(path, name))


def _broken_rules(shape: Shape, value: Any) -> Iterator[str]:
    rules = shape.metadata
    size: float
    if isinstance(value, str | list | dict):
        size, what = len(value), "length"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        size, what = value, "value"
    else:
        return
    if shape.type_name != "timestamp":
        if "min" in rules and size < rules["min"]:
            yield f"Member must have {what} greater than or equal to {rules['min']}"
        if "max" in rules and size > rules["max"]:
            yield f"Member must have {what} less than or equal to {rules['max']}"
    if isinstance(value, str):
        if "enum" in rules and value not in rules["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"
        pattern = _pattern(rules["pattern"]) if "pattern" in rules else None
        if pattern is not None and not pattern.fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {rules['pattern']}"


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """A pattern of Java's as Python's; None for the few that Python does not know, or would read as another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            for java, python in _CLASSES.items():
                text = text.replace(java, python)
            return re.compile(text)
        except (re.error, FutureWarning):
            return None


def _sentence(value: Any, path: str, rule: str) -> str:
    shown = "null" if value is None else str(value)
    return f"Value '{shown[:200]}' at '{path}' failed to satisfy constraint: {rule}"


def _below(path: str, name: str) -> str:
    """SageMaker writes a member's path in lower camel case."""
    own = name[:1].lower() + name[1:]
    return f"{path}.{own}" if path else own


def _written(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        return {
            name: _written(member, value[name]) for name, member in shape.members.items() if value.get(name) is not None
        }
    if shape.type_name == "list":
        return [_written(shape.member, member) for member in value]
    if shape.type_name == "map":
        return {key: _written(shape.value, member) for key, member in value.items()}
    return value.timestamp() if isinstance(value, datetime) else value
