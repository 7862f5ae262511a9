"""The records of a transform: split, filtered by JSONPath, put together in requests, joined with their answers."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jsonpath

from local_mode.front_door.shapes import invalid

JSON = ("application/json", "application/jsonlines", "application/x-jsonlines")


class RecordError(ValueError):
    """A file that cannot be transformed, and why."""


def kind_of(content_type: str | None) -> str | None:
    """What filters and joins know, "csv" or "json"; None for other types."""
    name = (content_type or "").partition(";")[0].strip().lower()
    return "csv" if name == "text/csv" else "json" if name in JSON else None


def lines(data: bytes) -> list[bytes]:
    """The lines that hold something."""
    return [line for line in data.split(b"\n") if line.strip()]


def batches(records: Sequence[bytes], single: bool, most_bytes: int) -> list[list[bytes]]:
    """Records as requests hold them: one, or as many as fit; RecordError for one that is too large by itself."""
    found: list[list[bytes]] = []
    size = 0
    for number, record in enumerate(records, 1):
        if len(record) + 1 > most_bytes:
            raise RecordError(
                f"record {number} has {len(record)} bytes, and a request {most_bytes} at most: raise MaxPayloadInMB"
            )
        if single or not found or size + len(record) + 1 > most_bytes:
            found.append([])
            size = 0
        found[-1].append(record)
        size += len(record) + 1
    return found


def path(expression: str | None, member: str) -> "jsonpath.JSONPath | jsonpath.CompoundJSONPath | None":
    """A compiled JSONPath; None for one that selects all. Fault for one that is none."""
    if expression in (None, "", "$"):
        return None
    try:
        return jsonpath.compile(str(expression))
    except jsonpath.JSONPathError as error:
        raise invalid(f"DataProcessing.{member} is '{expression}', which is no JSONPath: {error}") from None


def select(expression: Any, value: Any) -> Any:
    """What a JSONPath selects, as SageMaker gives it.

    One value where the path can select but one; an object of the members that it names; else a list. RecordError where
    it selects nothing.
    """
    if expression is None:
        return value
    matches = list(jsonpath.finditer(str(expression), value))
    if not matches:
        raise RecordError(f"{expression} selects nothing of a record")
    if isinstance(expression, jsonpath.JSONPath) and expression.singular_query():
        return matches[0].obj
    parents = {id(match.parent) for match in matches}
    names = [match.parts[-1] if match.parts else None for match in matches]
    if len(parents) == 1 and all(isinstance(name, str) for name in names):
        return {str(name): match.obj for name, match in zip(names, matches, strict=True)}
    return [match.obj for match in matches]


def parsed(record: bytes, kind: str) -> Any:
    """A record as a value: a list of texts for CSV."""
    try:
        text = record.decode()
        return next(csv.reader([text.rstrip("\r")])) if kind == "csv" else json.loads(text)
    except (ValueError, csv.Error) as error:
        raise RecordError(f"a record is no {kind.upper()}: {error}") from None


def written(value: Any, kind: str) -> bytes:
    """A value as a line."""
    if kind == "json":
        return json.dumps(value, separators=(",", ":")).encode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(value if isinstance(value, list) else [value])
    return buffer.getvalue().encode()


def joined(record: Any, answer: Any, kind: str) -> Any:
    """A record with its answer: CSV's columns beside its own, JSON's as its member SageMakerOutput."""
    if kind == "csv":
        return [*record, *(answer if isinstance(answer, list) else [answer])]
    if isinstance(record, Mapping):
        return {**record, "SageMakerOutput": answer}
    return {"SageMakerInput": record, "SageMakerOutput": answer}


def answers(body: bytes, count: int, kind: str) -> list[Any]:
    """The answers to so many records; RecordError where there are more or fewer."""
    parts = [body.strip()] if count == 1 else lines(body)
    if len(parts) != count:
        raise RecordError(
            f"{count} records were answered by {len(parts)} lines: they cannot be joined. "
            "Give Accept application/jsonlines or text/csv, or BatchStrategy SingleRecord"
        )
    return [parsed(part, kind) for part in parts]


def assembled(bodies: Iterable[bytes], by_line: bool) -> bytes:
    """The answers of a file as its output."""
    if by_line:
        return b"".join(body.rstrip(b"\n") + b"\n" for body in bodies)
    return b"".join(bodies)
