"""Altered bodies against the application of each algorithm: never a fault, a traceback, a hang or growing memory."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from scripts.soak.mutate import mutants

MOST_SECONDS = 2.0
MOST_GROWTH_BYTES = 64 * 2**20


@dataclass
class Found:
    """A body that was answered as none may be."""

    kind: str
    body: bytes
    why: str


@dataclass
class Result:
    """How many bodies of a content type were answered how, and what was found."""

    statuses: Counter[int]
    found: list[Found]
    slowest: float
    grown: int


def fuzz(client: FlaskClient, kind: str, seeds: Sequence[bytes], count: int, seed: int = 0) -> Result:
    """Sends altered bodies of a content type; what follows the first thousand must not add to the memory."""
    result, before = Result(Counter(), [], 0.0, 0), 0
    for number, body in enumerate(mutants(seeds, count, seed)):
        why, status, seconds = sent(client, kind, body)
        result.statuses[status] += 1
        result.slowest = max(result.slowest, seconds)
        if why:
            result.found.append(Found(kind, body, why))
        if number == min(1000, count // 2):
            before = resident_bytes()
    result.grown = resident_bytes() - before
    if result.grown > MOST_GROWTH_BYTES:
        result.found.append(Found(kind, b"", f"the memory grew by {result.grown} bytes"))
    return result


def sent(client: FlaskClient, kind: str, body: bytes, path: str = "/invocations") -> tuple[str | None, int, float]:
    """What is wrong about the answer to a body, if anything is; its status, and the seconds that it took."""
    began = time.monotonic()
    answer = client.post(path, data=body, content_type=kind)
    data = answer.get_data()
    seconds = time.monotonic() - began
    why = None
    if answer.status_code >= 500:
        why = f"status {answer.status_code}: {data[:300]!r}"
    elif b"Traceback" in data and b"Traceback" not in body:
        why = f"a traceback: {data[:300]!r}"
    elif seconds > MOST_SECONDS:
        why = f"{seconds:.1f} s"
    elif answer.status_code != 200 and not _is_fault(data):
        why = f"status {answer.status_code} without a sentence: {data[:300]!r}"
    return why, answer.status_code, seconds


def _is_fault(data: bytes) -> bool:
    try:
        return bool(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return False


def resident_bytes() -> int:
    """The memory of this process, without garbage."""
    from polyadic.serving.metrics import resident_bytes

    gc.collect()
    return resident_bytes()


def bodies(
    instances: Sequence[Any], configuration: Mapping[str, Any], client: FlaskClient
) -> Iterator[tuple[str, list[bytes]]]:
    """Valid bodies of each JSON type from instances; those that the server refuses are left out."""
    documents = [json.dumps({"instances": [one], "configuration": dict(configuration)}).encode() for one in instances]
    documents.append(json.dumps({"instances": list(instances)}).encode())
    lines = [json.dumps(one).encode() + b"\n" for one in instances]
    yield "application/json", [body for body in documents if sent(client, "application/json", body)[1] == 200]
    yield "application/jsonlines", [*lines, b"".join(lines)]
